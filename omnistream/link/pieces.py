"""A batch as messages of one frame each, none of them long: on a slow wire heartbeats go between them.

A batch is the number of its parts, their sizes, the parts; this is cut where it has more than `PIECE` bytes. Bytes in, parts
out: no socket is touched here. One frame, because a ZeroMQ socket that is closed as its connection breaks in the midst of a
message of several ends the process (an assertion of libzmq 4.3.5 in `session_base_t::clean_pipes`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["PIECE", "Assembly", "cut"]

PIECE = 256 << 10
_COUNT = struct.Struct("<I")
_MOST_PARTS = 1 << 20


def cut(parts: Sequence[Any]) -> Iterator[tuple[bool, list[Any]]]:
    """(whether more of the batch follows, buffers that make it up) of each message that carries a batch."""
    sizes = struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts))
    piece: list[Any] = [sizes]  # whole, in the first
    room = PIECE - len(sizes)
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            if room <= 0:
                yield True, piece
                room, piece = PIECE, []
            taken = view[:room]
            piece.append(taken)
            room -= len(taken)
            view = view[len(taken) :]
    yield False, piece


class Assembly:
    """The pieces of one line's batch, put together. Raises ValueError for what is none; what is only claimed takes no room."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._whole = bytearray()
        self._size = 0
        self._sizes: tuple[int, ...] = ()

    def add(self, more: bool, data: memoryview) -> list[memoryview] | None:
        """The parts of a batch that is complete now; of one piece they are parts of it, not copies."""
        begins = not self._sizes
        if begins:
            data = self._begin(data)
        if len(self._whole) + len(data) > self._size:
            raise ValueError("a batch has more pieces than it says")
        if more or not begins:
            self._whole += data
        if more:
            return None
        view = (data if begins else memoryview(self._whole)).toreadonly()
        if len(view) != self._size:
            raise ValueError("a batch ends before its last piece")
        parts: list[memoryview] = []
        at = 0
        for size in self._sizes:
            parts.append(view[at : at + size])
            at += size
        self._whole, self._sizes = bytearray(), ()
        return parts

    def _begin(self, data: memoryview) -> memoryview:
        """The sizes of the parts, and what is left of the first piece."""
        count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else 0
        start = _COUNT.size + 8 * count
        if not 0 < count <= _MOST_PARTS or len(data) < start:
            raise ValueError("this is no first piece of a batch")
        sizes = struct.unpack_from(f"<{count}Q", data, _COUNT.size)
        if sum(sizes) > self._largest:
            raise ValueError(f"a batch of {sum(sizes)} bytes is too large")
        self._sizes, self._size = sizes, sum(sizes)
        return data[start:]
