"""A file that is only ever appended to, frame by frame, and of which every whole frame survives a kill at any moment.

A frame is its length, its CRC-32 and its bytes, written by one system call: what was appended is with the operating
system when `append` returns.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

__all__ = ["Spool", "read_frames"]

_HEAD = struct.Struct("<II")
_MAX_FRAME = 1 << 30


class Spool:
    """Raises OSError in `append` where the disk is full; what was written before is whole."""

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, *parts: bytes | memoryview) -> None:
        """One frame, of all `parts` together: none is copied but by the system."""
        crc, length = 0, 0
        for part in parts:
            crc = crc32(part, crc)
            length += len(part)
        wanted = length + _HEAD.size
        written = os.writev(self._fd, (_HEAD.pack(length, crc), *parts))
        if written != wanted:
            raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_frames(file: BinaryIO, only: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """(place in the file, bytes) of each whole frame, up to the first that is damaged or was not written to its end.

    With `only`, one byte, those that begin with it; the others are passed over unread, and so is what is damaged in them.
    """
    at = 0
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, crc = _HEAD.unpack(head)
        if length > _MAX_FRAME:
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
