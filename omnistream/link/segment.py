"""Segments: files of shared memory, each made by one life of a worker and mapped, read-only, by its peers on the host.

They lie in a directory of the run's own, which only its user can enter. A segment begins with a page that says whose it
is and, for each of its slots, which filling of it is the present one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import struct
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from omnistream.errors import PayloadError

__all__ = [
    "LINK_NAME",
    "PAGE",
    "TOKEN_BYTES",
    "Segment",
    "attach",
    "checksum_of",
    "home_of",
    "make",
    "make_token",
    "read_token",
]

#: In the run's directory: a link to its directory of shared memory.
LINK_NAME = "shm"
TOKEN_BYTES = 16
PAGE = 4096
_HEAD = struct.Struct(f"<8s{TOKEN_BYTES}sQQ")
_MAGIC = b"OmniSlot"
#: As many slots as the first page has room for.
MOST_SLOTS = (PAGE - _HEAD.size) // 8


class Segment:
    """One mapped file: `slots` equal pieces of `room` bytes after the first page, and the filling `seqs` of each."""

    __slots__ = ("map", "number", "path", "room", "seqs", "slots")

    def __init__(self, path: Path, number: int, mapped: mmap.mmap, room: int, slots: int) -> None:
        self.path, self.number, self.map, self.room, self.slots = path, number, mapped, room, slots
        self.seqs = memoryview(mapped)[_HEAD.size : _HEAD.size + 8 * slots].cast("Q")

    def piece(self, index: int, length: int) -> np.ndarray:
        """The first `length` bytes of a slot. What is cut from the result keeps it alive: nothing reaches behind it."""
        return np.frombuffer(self.map, np.uint8, length, PAGE + index * self.room)


def checksum_of(array: np.ndarray) -> int:
    """Of the bytes of a piece."""
    flat: Any = array
    return crc32(flat)


def home_of(run_dir: str) -> Path | None:
    """The run's directory of shared memory; None where it has none, or it is not this user's alone."""
    try:
        home = Path(run_dir, LINK_NAME).resolve(strict=True)
        found = home.stat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return home if private else None


def _path(home: Path, worker: str, incarnation: int, number: int) -> Path:
    return home / f"{worker}.{incarnation}.{number}"


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def make_token(home: Path, worker: str, incarnation: int) -> bytes:
    """Begin a life: remove what earlier ones have left, and leave a secret by which peers show that they look here too.

    Raises OSError where nothing can be written.
    """
    for old in home.glob(f"{worker}.*"):
        life = old.name.removeprefix(f"{worker}.").split(".")[0]
        if life.isdigit() and int(life) <= incarnation:
            old.unlink(missing_ok=True)
    token = os.urandom(TOKEN_BYTES)
    fd = _open(_path(home, worker, incarnation, 0), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, token)
    finally:
        os.close(fd)
    return token


def read_token(home: Path, worker: str, incarnation: int) -> bytes:
    """What a peer has left. Empty where it cannot be read from here."""
    try:
        fd = _open(_path(home, worker, incarnation, 0), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, TOKEN_BYTES)
    finally:
        os.close(fd)


def make(home: Path, worker: str, incarnation: int, number: int, room: int, slots: int, token: bytes) -> Segment:
    """A new segment, its memory reserved: writing to it cannot fail later. Raises OSError where there is no room."""
    path = _path(home, worker, incarnation, number)
    size = PAGE + room * slots
    fd = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.posix_fallocate(fd, 0, size)
        mapped = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    _HEAD.pack_into(mapped, 0, _MAGIC, token, room, slots)
    return Segment(path, number, mapped, room, slots)


def attach(home: Path, worker: str, incarnation: int, number: int, token: bytes) -> Segment:
    """A peer's segment, to be read. Raises OSError if it cannot be mapped, PayloadError if it is not what it should be."""
    path = _path(home, worker, incarnation, number)
    fd = _open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_size < PAGE:
            raise PayloadError(f"segment {number} of {worker} is no segment of this run")
        magic, theirs, room, slots = _HEAD.unpack(os.pread(fd, _HEAD.size, 0))
        if magic != _MAGIC or theirs != token or not 0 < slots <= MOST_SLOTS or found.st_size != PAGE + room * slots:
            raise PayloadError(f"segment {number} of {worker} is of another life, or no segment")
        mapped = mmap.mmap(fd, found.st_size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
    return Segment(path, number, mapped, room, slots)


def remove(segment: Segment) -> None:
    """Take its name away. Whoever has it mapped reads on."""
    with contextlib.suppress(OSError):
        segment.path.unlink()
