"""The directories of one run: one for sockets, journals and Ray's session, one of shared memory. They go when the run ends,
however it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

from omnistream.link.segment import LINK_NAME
from omnistream.record.done import finished
from omnistream.record.part import ABOUT, BOX, DONE, ENDED
from omnistream.record.spool import HOLE, SUFFIX, read_frames

__all__ = ["RunDir", "homes", "remove", "sweep", "unfinished"]

_log = logging.getLogger("omnistream")
_PREFIX = "omnistream-"
_MEMORY = "/dev/shm"  # noqa: S108  a directory of our own is made in it
#: With less than this free, a few large arrays are all that will fit.
_SCARCE = 128 << 20
#: Tenths of a second that a recorder whose run is dead is waited for.
_PATIENCE = 50
#: Ray's longest path below it has 93 bytes.
_LONGEST = 14
#: In the directory of shared memory: the run's other one.
_HOME = "home"
#: What a recording is made of.
_KEPT = (SUFFIX, HOLE)


class RunDir:
    """Made private to its user, named short (socket paths are bounded). Directories of runs that are dead are swept.

    A run holds a lock on the file `owner` in each of its directories; the system lets go of it, however the run dies. A
    process that has been given `locks` holds them, too: nobody sweeps what it works on.
    """

    def __init__(self) -> None:
        sweep()
        self._locks: list[int] = []
        self.path = self._make(_parent())
        self.memory: str | None = None
        try:
            there = os.statvfs(_MEMORY)
            self.memory = self._make(_MEMORY)
            Path(self.memory, _HOME).symlink_to(self.path)
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

    @property
    def locks(self) -> tuple[int, ...]:
        """The file descriptors of its locks."""
        return tuple(self._locks)

    def remove(self, *, keep_recording: bool = False) -> None:
        """`keep_recording`: what was recorded did not come to be a file, and is left for `omnistream record recover`."""
        if keep_recording and _holds_recording(Path(self.path)):
            _keep(Path(self.path))
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        if self.memory is not None and not _is_needed(Path(self.memory)):
            shutil.rmtree(self.memory, ignore_errors=True)
        while self._locks:
            os.close(self._locks.pop())


def _parent() -> str:
    """Where directories of runs lie: TMPDIR, or /tmp where its name leaves too little for Ray's sockets (107 bytes in all)."""
    there = tempfile.gettempdir()
    return there if len(there) <= _LONGEST else "/tmp"  # noqa: S108  a directory of our own is made in it


def sweep() -> None:
    """Remove what runs that were killed outright have left, but for what they had recorded."""
    for parent in dict.fromkeys((_parent(), _MEMORY)):  # homes first: what they leave in memory is seen by that
        for path in _directories(parent):
            with _claimed(path) as ours:
                if not ours or _is_needed(path):
                    continue
                if _holds_recording(path):
                    _keep(path)
                else:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def unfinished() -> Generator[list[Path]]:
    """The directories of runs that were killed outright and whose recordings are not finished; nobody else touches them
    meanwhile. A recorder that has outlived its run is waited for."""
    with ExitStack() as stack:
        found: list[Path] = []
        left = [path for path in _directories(_parent()) if (path / ABOUT).exists()]
        for again in range(_PATIENCE):
            if again:
                Event().wait(0.1)
            found += [path for path in left if _claim_all(path, stack)]
            left = [path for path in left if path not in found and _is_orphan(path)]
            if not left:
                break
        for path in left:
            _log.warning("the recorder of %s is still at work; try again in a moment", path)
        yield sorted(found)


def _directories(parent: str) -> list[Path]:
    return sorted(Path(parent).glob(f"{_PREFIX}*"))


def _is_needed(memory: Path) -> bool:
    """Whether it is the shared memory of a run that is going on, or that has left a black box there."""
    home = memory / _HOME
    return home.is_symlink() and (home / LINK_NAME).is_symlink() and (home / LINK_NAME).resolve() == memory.resolve()


def _claim_all(home: Path, stack: ExitStack) -> bool:
    """Whether a run's directories are ours now."""
    with ExitStack() as both:
        memory = home / LINK_NAME
        if not both.enter_context(_claimed(home)):
            return False
        if memory.is_dir() and not both.enter_context(_claimed(memory.resolve())):
            return False
        stack.enter_context(both.pop_all())
        return True


def _is_orphan(path: Path) -> bool:
    """Whether somebody holds the lock of a run whose process is gone."""
    try:
        os.kill(int((path / "owner").read_text()), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


@contextmanager
def _claimed(path: Path) -> Generator[bool]:
    """Whether it is the directory of a run of this user's that is dead; nobody else claims it meanwhile."""
    lock = _claim(path)
    try:
        yield lock >= 0
    finally:
        if lock >= 0:
            os.close(lock)


def _claim(path: Path) -> int:
    """A lock that nobody holds, of a directory that was this user's and somebody's; -1 where there is none."""
    lock = -1
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid() or not (path / "owner").read_text():
            return -1
        lock = os.open(path / "owner", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (path / "owner").stat().st_ino == os.fstat(lock).st_ino:  # else it was swept meanwhile
            return lock
    except OSError:
        pass
    if lock >= 0:
        os.close(lock)
    return -1


def remove(path: Path) -> None:
    """Remove the directory of a run that is dead, and its memory; whoever asks has claimed it (`unfinished`)."""
    if (path / LINK_NAME).is_dir():
        shutil.rmtree((path / LINK_NAME).resolve(), ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _holds_recording(path: Path) -> bool:
    """Whether any message has been recorded there."""
    if not (path / ABOUT).exists() or finished(path) is not None:
        return False
    if (path / DONE).exists():
        return True
    for part in path.glob(f"*{SUFFIX}"):
        with part.open("rb") as file:
            if next(read_frames(file, b"M"), None) is not None:
                return True
    return False


def _keep(path: Path) -> None:
    """Leave only what was recorded, and say so."""
    _log.warning("a run left its recording unfinished: 'omnistream record recover' makes the file, or 'rm -r %s'", path)
    memory = path / LINK_NAME
    kept = (ABOUT, DONE, ENDED, BOX, "owner", *((LINK_NAME,) if (memory / BOX).is_dir() else ()))
    _clear(path, kept)
    if LINK_NAME in kept:
        _clear(memory.resolve(), (BOX, _HOME, "owner"))


def _clear(folder: Path, kept: Collection[str]) -> None:
    for other in folder.iterdir():
        if other.name in kept or other.suffix in _KEPT:
            continue
        if other.is_dir() and not other.is_symlink():
            shutil.rmtree(other, ignore_errors=True)
        else:
            other.unlink(missing_ok=True)


def homes() -> list[Path]:
    """The directories of this user's runs, going on or dead, where their sockets lie."""
    return [path for path in _directories(_parent()) if path.stat().st_uid == os.getuid()]
