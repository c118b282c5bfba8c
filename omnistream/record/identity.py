"""Whose a recording is: the id of its run at the head of the file, and the lock of whoever records into it."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from mcap.records import Metadata

from omnistream.errors import RecordingError
from omnistream.record.about import About
from omnistream.record.index import MAGIC, Walk

__all__ = ["RUN_ID", "Claim", "run_of"]

#: In the metadata at the head of a file.
RUN_ID = "run"


def run_of(path: Path) -> str | None:
    """The id of the run that made a file, empty where it is of none. None: no file, or one with nothing in it yet."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                return None
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC:
                return ""
            for part in (walk := Walk(file, size)):
                if isinstance(part.record, Metadata):
                    return part.record.metadata.get(RUN_ID, "")
                if part.at > len(MAGIC):
                    return ""
            return "" if walk.why else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror})") from None


class Claim:
    """The place that a run is to record into, its own until `release` and until the processes that inherit `fds` have ended.

    What is there stays as it is until something is recorded. Raises RecordingError where another run records into it, where
    a file is there (unless the run is to overwrite it), and where none can be.
    """

    def __init__(self, about: About, named: str = "--record") -> None:
        self._path = about.numbered(1)
        self._fd, self._is_ours = -1, False
        where = f"{named} {about.path}"
        if about.keep.box_ns or (self._path.exists() and not stat.S_ISREG(self._path.stat().st_mode)):
            return  # a black box writes files of names that nobody has; a pipe is nobody's
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RecordingError(f"{where}: it cannot be written ({error.strerror}); name a file that is yours") from None
        try:
            there = [path for path in about.pieces() if path.stat().st_size]
            for path in (self._path, *there):
                if _is_held(path, self._fd if path == self._path else -1):
                    raise RecordingError(f"{where}: a run is recording into {path.name}; name another file")
                self._is_ours = True
            if there and not about.overwrite:
                other = "" if named == "--record" else " with --record FILE.mcap"
                raise RecordingError(
                    f"{where}: {there[0].name} is there already; add --overwrite to replace it, or name another file{other} ("
                    "{time} in a name is when the run began)"
                )
        except BaseException:
            self.release()
            raise

    @property
    def fds(self) -> tuple[int, ...]:
        """For the recorder's process, which holds the place, too, for as long as it lives."""
        return (self._fd,) if self._fd >= 0 else ()

    def release(self) -> None:
        """Let the place go, without the empty file if nothing was recorded. Idempotent."""
        if self._fd < 0:
            return
        with suppress(OSError):
            ours = os.fstat(self._fd)
            if self._is_ours and not ours.st_size and os.path.samestat(ours, self._path.stat()):
                self._path.unlink()
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _is_held(path: Path, fd: int) -> bool:
    """Whether somebody else has a file's lock; with `fd`, that of the file, it is taken if not."""
    mine = fd if fd >= 0 else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        if mine != fd:
            os.close(mine)
    return False
