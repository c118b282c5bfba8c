"""The directory of one run: sockets, journals and Ray's session lie in it, and it goes when the run ends, however it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["RunDir"]

_PREFIX = "omnistream-"


class RunDir:
    """Made private to its user, named short (socket paths are bounded). Directories of runs that are dead are swept."""

    def __init__(self) -> None:
        sweep()
        self.path = tempfile.mkdtemp(prefix=_PREFIX)
        Path(self.path, "owner").write_text(str(os.getpid()))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Remove what runs that were killed outright have left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            owner = int((path / "owner").read_text())
            if path.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists():
                shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            continue
