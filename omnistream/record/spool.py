"""Files that are only ever appended to, frame by frame, and of which every whole frame survives a kill at any moment.

A frame is its length, its CRC-32 and its bytes, one or more, written by one system call: what was appended is with the
operating system when `append` returns. A spool is a row of such files, its segments: a reader removes those that it is done
with.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

__all__ = [
    "HOLE",
    "SUFFIX",
    "Spool",
    "all_is_here",
    "apart",
    "is_damaged",
    "leave_apart",
    "life_of",
    "put_at",
    "read_frames",
    "segments",
    "waiting",
]

_HEAD = struct.Struct("<II")
_MAX_FRAME = 1 << 30
#: Segments are called "WORKER.INCARNATION.NUMBER.part".
SUFFIX = ".part"
#: "WORKER.INCARNATION.apart" says that a life's spool is on another host, and not all of it is here yet.
APART = ".apart"
#: "WORKER.INCARNATION.hole" says that a part of a life is missing.
HOLE = ".hole"
#: A segment ends when it has so many bytes.
SEGMENT_BYTES = 4 << 20


class Spool:
    """One life of a worker's. Raises OSError in `append` where the disk is full: that frame is not there, and what was
    written before is whole; later ones may be appended again.

    Each segment begins with the frame that `preface` gives, if it gives one.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        preface: Callable[[], tuple[bytes, ...]] = tuple,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._folder, self._name, self._preface, self._limit = Path(folder), name, preface, segment_bytes
        self._number = self._size = 0
        self._before: dict[Path, int] = {}
        self._fd = self._open(0)

    def _open(self, number: int) -> int:
        return os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}.{number:06d}{SUFFIX}"

    def append(self, *parts: bytes | memoryview) -> None:
        """One frame, of all `parts` together: none is copied but by the system."""
        if self._size >= self._limit:
            self.turn_over()
        if not self._size and (first := self._preface()):
            self._put(first)
        self._put(parts)

    def _put(self, parts: Sequence[bytes | memoryview]) -> None:
        crc, length = 0, 0
        for part in parts:
            crc = crc32(part, crc)
            length += len(part)
        wanted = length + _HEAD.size
        written = os.writev(self._fd, (_HEAD.pack(length, crc), *parts))
        if written != wanted:
            os.ftruncate(self._fd, self._size)  # half a frame would hide what is appended after it
            raise OSError(errno.ENOSPC, "No space left on device")
        self._size += wanted

    def turn_over(self) -> None:
        """The next segment, if this one holds anything; that there is one says that the last has ended."""
        if not self._size:
            return
        before, self._fd = self._fd, self._open(self._number + 1)
        self._before[self._path(self._number)] = self._size
        self._number += 1
        self._size = 0
        os.close(before)

    def waiting(self) -> int:
        """Bytes that nobody has taken away yet."""
        for path in list(self._before):
            if path.exists():
                break  # they are taken in order
            del self._before[path]
        return self._size + sum(self._before.values())

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def leave_apart(folder: str, worker: str, incarnation: int) -> None:
    """Say that a life's spool is on another host."""
    Path(folder, f"{worker}.{incarnation}{APART}").touch()


def all_is_here(folder: str | Path, worker: str, incarnation: int) -> None:
    """Say that a life is over and all of its spool has come."""
    Path(folder, f"{worker}.{incarnation}{APART}").unlink(missing_ok=True)


def apart(folder: Path) -> set[tuple[str, int]]:
    """The lives of which not all is here."""
    names = (path.name.removesuffix(APART).rpartition(".") for path in folder.glob(f"*{APART}"))
    return {(worker, int(incarnation)) for worker, _, incarnation in names}


def life_of(path: Path) -> tuple[str, int, int]:
    """Of a segment: the worker, which life of it, and the segment's number in that. Raises ValueError for other names."""
    worker, incarnation, number = path.name.removesuffix(SUFFIX).split(".")
    return worker, int(incarnation), int(number)


def segments(folder: Path) -> dict[tuple[str, int], list[Path]]:
    """The segments in a folder, in order, by (worker, incarnation)."""
    found: dict[tuple[str, int], list[Path]] = {}
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.name.endswith(SUFFIX))
    for name in names:
        with suppress(ValueError):
            worker, incarnation, _ = life_of(Path(name))
            found.setdefault((worker, incarnation), []).append(folder / name)
    return dict(sorted(found.items()))


def waiting(folder: Path, lives: Collection[tuple[str, int]]) -> int:
    """Bytes of these lives' segments that nobody has taken away yet."""
    total = 0
    for life, paths in segments(folder).items():
        for path in paths if life in lives else ():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def put_at(path: Path, at: int, data: bytes) -> None:
    """Bytes of a file that is brought here in pieces; a piece that failed may come again."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while data:
            written = os.pwrite(fd, data, at)
            at, data = at + written, data[written:]
    finally:
        os.close(fd)


def read_frames(file: BinaryIO, only: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """(place in the file, bytes) of each whole frame from where the file stands, up to the first that is damaged or was
    not written to its end.

    With `only`, one byte, those that begin with it; the others are passed over unread, and so is what is damaged in them.
    """
    at = file.tell()
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, crc = _HEAD.unpack(head)
        if not 0 < length <= _MAX_FRAME:
            return
        data = b""
        if only:
            data = file.read(min(1, length))
            if data != only:
                file.seek(length - len(data), os.SEEK_CUR)
                at += _HEAD.size + length
                continue
        data += file.read(length - len(data))
        if len(data) != length or crc32(data) != crc:
            return
        yield at, data
        at += _HEAD.size + length


def is_damaged(file: BinaryIO, at: int) -> bool:
    """Whether what follows the whole frames is anything but one that was not written to its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return False
    length, _ = _HEAD.unpack(head)
    return not 0 < length <= _MAX_FRAME or at + _HEAD.size + length <= size
