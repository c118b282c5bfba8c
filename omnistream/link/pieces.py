"""Large batches in pieces, so that no message is long on a slow wire: heartbeats go between them, each is acknowledged apart.

A batch of more than `PIECE` bytes is its frame (the number of its parts, their sizes, the parts) cut into pieces. Bytes in,
parts out: no socket is touched here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["LAST", "MORE", "PIECE", "WHOLE", "Assembly", "cut"]

#: How a numbered message continues: a batch of its own, a piece that others follow, the last piece.
WHOLE, MORE, LAST = range(3)
PIECE = 256 << 10
_COUNT = struct.Struct("<I")
_MOST_PARTS = 1 << 20


def cut(parts: Sequence[Any]) -> Iterator[tuple[int, list[bytes]]]:
    """(how it continues, frames) of each message that carries a batch."""
    total = sum(map(len, parts))
    if total <= PIECE:
        yield WHOLE, [p if isinstance(p, bytes) else bytes(p) for p in parts]
        return
    piece = bytearray(_COUNT.pack(len(parts)) + struct.pack(f"<{len(parts)}Q", *map(len, parts)))  # whole, in the first
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            if len(piece) >= PIECE:
                yield MORE, [bytes(piece)]
                piece.clear()
            taken = view[: PIECE - len(piece)]
            piece += taken
            view = view[len(taken) :]
    yield LAST, [bytes(piece)]


class Assembly:
    """The pieces of one line's batch, put together. Raises ValueError for what is none; what is only claimed takes no room."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._whole = bytearray()
        self._size = 0
        self._sizes: tuple[int, ...] = ()

    def add(self, kind: int, frames: Sequence[Any]) -> list[Any] | None:
        """The parts of a batch that is complete now."""
        if kind == WHOLE and not self._sizes:
            return list(frames)
        if kind not in (MORE, LAST) or len(frames) != 1:
            raise ValueError("this is no piece of the batch")
        data = memoryview(frames[0])
        if not self._sizes:
            data = self._begin(data)
        if len(self._whole) + len(data) > self._size:
            raise ValueError("a batch has more pieces than it says")
        self._whole += data
        if kind == MORE:
            return None
        if len(self._whole) != self._size:
            raise ValueError("a batch ends before its last piece")
        parts: list[Any] = []
        at, view = 0, memoryview(self._whole).toreadonly()
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
