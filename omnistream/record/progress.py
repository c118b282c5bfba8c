"""How far a recording has come, in a file whose room is taken beforehand: it is written in place, in one of two halves in
turn. So it can be said where the disk is full, and whoever dies over it leaves the half before."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

__all__ = ["Progress", "read_progress", "reserve"]

#: Of a half: its number, the length of its text, and the CRC-32 of both numbers and the text.
_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_HALF = 64 << 10
_LEAST = _HEAD.size + _CRC.size


def reserve(path: Path) -> None:
    """Take the room for it, while there is some. Raises OSError where there is none."""
    _allocate(_room(path), _HALF)


def read_progress(path: Path) -> str:
    """What was said last. Raises OSError or ValueError where nothing is whole."""
    return _newest(path.read_bytes())[1]


class Progress:
    """The file at `path`, which comes to be when something is said first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = self._half = 0
        with suppress(OSError, ValueError):
            data = path.read_bytes()
            self._half = len(data) // 2
            self._number = _newest(data)[0]

    def say(self, text: str) -> None:
        """Raises OSError where the text does not fit and there is no room for a larger file."""
        data = text.encode()
        wanted = len(data) + _LEAST
        if 2 * wanted > self._half:
            try:
                self._replace(data, wanted)
                return
            except OSError:
                if wanted > self._half:
                    raise
        self._number += 1
        _put(self._path, self._number, data, self._half)

    def _replace(self, data: bytes, wanted: int) -> None:
        """A file that fits: the one whose room was taken, or a larger one."""
        room, half = _room(self._path), _HALF
        while half < 2 * wanted:
            half *= 2
        if not room.exists() or room.stat().st_size != 2 * half:
            _allocate(room, half)
        _put(room, self._number + 1, data, half)
        room.replace(self._path)
        self._number, self._half = self._number + 1, half


def _room(path: Path) -> Path:
    return path.with_name(f"{path.name}.room")


def _allocate(path: Path, half: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, 2 * half)
    finally:
        os.close(fd)


def _put(path: Path, number: int, data: bytes, half: int) -> None:
    head = _HEAD.pack(number, len(data))
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, b"".join((head, _CRC.pack(crc32(data, crc32(head))), data)), number % 2 * half)
    finally:
        os.close(fd)


def _newest(data: bytes) -> tuple[int, str]:
    half = len(data) // 2
    found: list[tuple[int, str]] = []
    for at in (0, half):
        if half < _LEAST:
            break
        head = data[at : at + _HEAD.size]
        number, length = _HEAD.unpack(head)
        text = data[at + _LEAST : at + _LEAST + length] if length <= half - _LEAST else b""
        if number and (crc32(text, crc32(head)),) == _CRC.unpack_from(data, at + _HEAD.size):
            found.append((number, text.decode()))
    if not found:
        raise ValueError("neither of its halves is whole")
    return max(found)
