"""The directories of one run: one for sockets, journals and Ray's session, one of shared memory. They go when the run ends,
however it ends."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from omnistream.link.segment import LINK_NAME
from omnistream.record.part import ABOUT, DONE, ENDED
from omnistream.record.progress import read_progress
from omnistream.record.spool import SUFFIX, read_frames

__all__ = ["RunDir", "dead", "homes", "remove"]

_log = logging.getLogger("omnistream")
_PREFIX = "omnistream-"
_MEMORY = "/dev/shm"  # noqa: S108  a directory of our own is made in it
#: With less than this free, a few large arrays are all that will fit.
_SCARCE = 128 << 20
#: Ray's longest path below it has 93 bytes.
_LONGEST = 14
#: What a recording is made of.
_KEPT = (SUFFIX, ".hole")


class RunDir:
    """Made private to its user, named short (socket paths are bounded). Directories of runs that are dead are swept.

    A run holds a lock on the file `owner` in each of its directories; the system lets go of it, however the run dies.
    """

    def __init__(self) -> None:
        sweep()
        self._locks: list[int] = []
        self.path = self._make(_parent())
        self.memory: str | None = None
        try:
            there = os.statvfs(_MEMORY)
            self.memory = self._make(_MEMORY)
            Path(self.path, LINK_NAME).symlink_to(self.memory)
        except OSError as error:
            _log.warning(
                "there is no shared memory at %s (%s): large arrays are copied through sockets", _MEMORY, error.strerror
            )
        else:
            if there.f_bavail * there.f_frsize < _SCARCE:
                _log.warning(
                    "%s has only %d MiB free: large arrays that do not fit are copied through sockets (docker: --shm-size=1g)",
                    _MEMORY, there.f_bavail * there.f_frsize >> 20,
                )  # fmt: skip

    def _make(self, parent: str) -> str:
        path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        lock = os.open(Path(path, "owner"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, str(os.getpid()).encode())  # only now, so that a sweep between takes it for nobody's yet
        self._locks.append(lock)
        return path

    def remove(self, *, keep_recording: bool = False) -> None:
        """`keep_recording`: what was recorded did not come to be a file, and is left for `omnistream record recover`."""
        kept = keep_recording and _holds_recording(Path(self.path))
        if self.memory is not None and kept and _has_ring(Path(self.path)):
            _prune(Path(self.memory))
        elif self.memory is not None:
            shutil.rmtree(self.memory, ignore_errors=True)
        if kept:
            _keep(Path(self.path))
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        while self._locks:
            os.close(self._locks.pop())


def _parent() -> str:
    """Where directories of runs lie: TMPDIR, or /tmp where its name leaves too little for Ray's sockets (107 bytes in all)."""
    there = tempfile.gettempdir()
    return there if len(there) <= _LONGEST else "/tmp"  # noqa: S108  a directory of our own is made in it


def sweep() -> None:
    """Remove what runs that were killed outright have left, but for what they had recorded."""
    left = dead()
    kept = [path for path in left if _holds_recording(path)]
    rings = {_memory_of(path) for path in kept if _has_ring(path)}  # of black boxes that nobody has written yet
    for path in left:
        if path in kept:
            _keep(path)
        elif path in rings:
            _prune(path)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _has_ring(path: Path) -> bool:
    return (_memory_of(path) / "box").is_dir()


def remove(path: Path) -> None:
    """Remove the directory of a run that is dead, and its memory."""
    memory = _memory_of(path)
    if memory in dead():
        shutil.rmtree(memory, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _memory_of(path: Path) -> Path:
    """A run's directory of shared memory; its own where it has none."""
    return (path / LINK_NAME).resolve() if (path / LINK_NAME).exists() else path


def _holds_recording(path: Path) -> bool:
    """Whether any message has been recorded there."""
    if not (path / ABOUT).exists() or _is_finished(path):
        return False
    if (path / DONE).exists():
        return True
    for part in path.glob(f"*{SUFFIX}"):
        with part.open("rb") as file:
            if next(read_frames(file, b"M"), None) is not None:
                return True
    return False


def _is_finished(path: Path) -> bool:
    """Whether its recording has come to be a file."""
    with suppress(OSError, ValueError, AttributeError):
        return bool(json.loads(read_progress(path / DONE)).get("made"))
    return False


def _keep(path: Path) -> None:
    """Leave only what was recorded, and say so."""
    _log.warning("a run left its recording unfinished: 'omnistream record recover' makes the file, or 'rm -r %s'", path)
    _prune(path)


def _prune(path: Path) -> None:
    for other in path.iterdir():
        if other.is_dir() and not other.is_symlink():
            if other.name != "box":
                shutil.rmtree(other, ignore_errors=True)
        elif other.suffix not in _KEPT and other.name not in (ABOUT, DONE, ENDED, LINK_NAME, "owner"):
            other.unlink(missing_ok=True)


def homes() -> list[Path]:
    """The directories of this user's runs, going on or dead, where their sockets lie."""
    return sorted(path for path in Path(_parent()).glob(f"{_PREFIX}*") if path.stat().st_uid == os.getuid())


def dead() -> list[Path]:
    """The directories of runs that were killed outright."""
    found = [path for parent in {_parent(), _MEMORY} for path in Path(parent).glob(f"{_PREFIX}*")]
    return sorted(path for path in found if _is_dead(path))


def _is_dead(path: Path) -> bool:
    """Whether nobody holds the lock of a directory that was this user's and somebody's."""
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid() or not (path / "owner").read_text():
            return False
        lock = os.open(path / "owner", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
