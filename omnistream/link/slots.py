"""A worker's slots in shared memory: each large array is written once, and its slot is free when every reader is done.

A reader is done when it says so, or when its worker is known to be dead. The slots come in size classes, at most a
quarter larger than what is in them, and are made as they are needed.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.link import segment as segments
from omnistream.link.segment import Segment

__all__ = ["SMALLEST", "Slot", "SlotPool", "size_class"]

#: Arrays of fewer bytes go inline: a copy costs less than a slot.
SMALLEST = 32 << 10
#: A segment of small slots has about this size, and one of large slots as many as are in use at once: one that is written,
#: one on its way, one that is read. A segment takes milliseconds to make, so only the first of a stream's frames waits for it.
_SEGMENT = 4 << 20
_AT_ONCE, _AT_ONCE_BYTES = 3, 64 << 20
_LIMIT = 1 << 30
#: This share of the shared memory is left to others, who may not survive its end.
_LEFT = 0.25


def size_class(nbytes: int) -> int:
    """The room that an array gets: `nbytes` rounded up to whole pages and to four steps an octave."""
    step = max(segments.PAGE, 1 << max(0, (nbytes - 1).bit_length() - 3))
    return -(-nbytes // step) * step


class Slot:
    """One place. `seq` counts its fillings; `readers` how many views of the present one are out."""

    __slots__ = ("checksum", "held", "index", "known", "readers", "segment", "seq", "source")

    def __init__(self, segment: Segment, index: int) -> None:
        self.segment, self.index = segment, index
        self.seq = self.readers = 0
        self.held = False  # its writer still has the array in hand
        self.checksum: int | None = None
        self.known = 0  # under which id its array is known
        self.source: tuple[weakref.ref[np.ndarray], Any] | None = None


class SlotPool:
    """The slots of one life of a worker. `notice` is called once, with a sentence, when there is no room for an array."""

    def __init__(
        self, home: Path, worker: str, incarnation: int, notice: Callable[[str], None] = lambda _: None, limit: int = _LIMIT
    ) -> None:
        self._home, self._worker, self._incarnation = home, worker, incarnation
        self._notice: Callable[[str], None] | None = notice
        self._limit = limit
        self._checked = os.environ.get("OMNISTREAM_CHECKSUMS", "") not in ("", "0")
        self.token = segments.make_token(home, worker, incarnation)
        self._numbers = 0
        self._segments: dict[int, Segment] = {}
        self._slots: dict[tuple[int, int], Slot] = {}
        self._free: dict[int, dict[Slot, None]] = {}
        self._known: dict[int, Slot] = {}
        self._readers: dict[str, dict[Slot, int]] = {}
        self._dropped: deque[Slot] = deque()
        self._lock = threading.Lock()  # a step that blocks allocates in its own thread
        self.nbytes = 0

    # -- writing -----------------------------------------------------------------------------------

    def place(self, array: np.ndarray, key: Any, peer: str) -> tuple[Any, ...] | None:
        """Where `peer` finds this array: written now, unless its message, by its `key`, is here already. None: no room.

        The descriptor is (segment, slot, filling, length, checksum or None).
        """
        with self._lock:
            return self._place(array, key, peer)

    def _place(self, array: np.ndarray, key: Any, peer: str) -> tuple[Any, ...] | None:
        slot = self._find(array, key)
        if slot is None:
            slot = self._take(array.nbytes)
            if slot is None:
                return None
            np.copyto(_shaped(slot.segment.piece(slot.index, array.nbytes), array.shape, array.dtype), array)
            self._know(slot, array, key)
        if self._checked and slot.checksum is None:
            slot.checksum = segments.checksum_of(slot.segment.piece(slot.index, array.nbytes))
        mine = self._readers.setdefault(peer, {})
        mine[slot] = mine.get(slot, 0) + 1
        slot.readers += 1
        return (slot.segment.number, slot.index, slot.seq, array.nbytes, slot.checksum)

    def alloc(self, shape: int | Sequence[int], dtype: Any) -> np.ndarray:
        """An array to fill, in a slot if it is large and there is one: then sending it copies nothing. From any thread.

        It is read-only once it has been sent.
        """
        dtype = np.dtype(dtype)
        nbytes = math.prod([shape] if isinstance(shape, int) else shape) * dtype.itemsize
        if nbytes < SMALLEST:
            return np.empty(shape, dtype)
        with self._lock:
            slot = self._take(nbytes)
            if slot is None:
                return np.empty(shape, dtype)
            root = slot.segment.piece(slot.index, nbytes)
            slot.held = True
            self._know(slot, root, None)
        weakref.finalize(root, self._dropped.append, slot).atexit = False
        return _shaped(root, shape, dtype)

    def _know(self, slot: Slot, array: np.ndarray, key: Any) -> None:
        slot.known, slot.source = id(array), (weakref.ref(array), key)
        self._known[id(array)] = slot

    def _find(self, array: np.ndarray, key: Any) -> Slot | None:
        """The slot that holds this very array of this very message, or that it lies in from the first."""
        slot = self._known.get(id(array))
        if slot is not None and slot.source is not None and slot.source[0]() is array and slot.source[1] == key:
            if not slot.readers and not slot.held:
                self._free[slot.segment.room].pop(slot, None)
            return slot
        root = array.base
        slot = self._known.get(id(root))
        if slot is None or not slot.held or not isinstance(root, np.ndarray) or slot.source is None:
            return None
        whole = slot.source[0]() is root and array.nbytes == root.nbytes and array.flags.c_contiguous
        if not whole or array.__array_interface__["data"][0] != root.__array_interface__["data"][0]:
            return None
        array.flags.writeable = root.flags.writeable = False
        return slot

    def _take(self, nbytes: int) -> Slot | None:
        """A slot for a new filling: one that is free, or one of a new segment."""
        self._collect()
        room = size_class(nbytes)
        free = self._free.setdefault(room, {})
        if not free and not self._grow(room):
            if self._notice is not None:
                self._notice(
                    f"{self._worker}: no shared memory for an array of {nbytes} bytes; such arrays are copied through sockets"
                )
                self._notice = None
            return None
        slot = next(iter(free))
        del free[slot]
        if slot.source is not None:
            if self._known.get(slot.known) is slot:
                del self._known[slot.known]
            slot.source = None
        slot.seq += 1
        slot.checksum = None
        slot.segment.seqs[slot.index] = slot.seq
        return slot

    def _grow(self, room: int) -> bool:
        """A new segment of slots of this size; a smaller one if there is not so much room."""
        slots = max(_AT_ONCE if _AT_ONCE * room <= _AT_ONCE_BYTES else 1, min(segments.MOST_SLOTS, _SEGMENT // room))
        return self._make(room, slots) or (slots > 1 and self._make(room, 1))

    def _make(self, room: int, slots: int) -> bool:
        size = room * slots + segments.PAGE
        try:
            lacking = self._lacking(size)
            if lacking > 0:
                self._trim(lacking)
                if self._lacking(size) > 0:
                    return False
            self._numbers += 1
            made = segments.make(self._home, self._worker, self._incarnation, self._numbers, room, slots, self.token)
        except OSError:
            return False
        self.nbytes += size
        self._segments[made.number] = made
        for index in range(slots):
            slot = self._slots[made.number, index] = Slot(made, index)
            self._free[room][slot] = None
        return True

    def _lacking(self, size: int) -> int:
        """How many bytes must be given back before there is room for so many more."""
        there = os.statvfs(self._home)
        left = int(there.f_blocks * there.f_frsize * _LEFT)
        return max(self.nbytes + size - self._limit, size + left - there.f_bavail * there.f_frsize)

    def _trim(self, nbytes: int) -> None:
        """Give back segments of which nothing is used, until so many bytes are free."""
        for segment in list(self._segments.values()):
            if nbytes <= 0:
                return
            mine = [self._slots[segment.number, i] for i in range(segment.slots)]
            if all(s in self._free[segment.room] for s in mine):
                for slot in mine:
                    del self._free[segment.room][slot], self._slots[segment.number, slot.index]
                    if self._known.get(slot.known) is slot:
                        del self._known[slot.known]
                del self._segments[segment.number]
                segments.remove(segment)
                size = segments.PAGE + segment.room * segment.slots
                self.nbytes -= size
                nbytes -= size

    # -- done with ---------------------------------------------------------------------------------

    def released(self, peer: str, words: Sequence[tuple[int, int, int]]) -> None:
        """`peer` is done with one view of each (segment, slot, filling). What is not its own to release is passed over."""
        with self._lock:
            mine = self._readers.get(peer, {})
            for number, index, seq in words:
                slot = self._slots.get((number, index))
                if slot is None or slot.seq != seq or slot not in mine:
                    continue
                mine[slot] -= 1
                if not mine[slot]:
                    del mine[slot]
                slot.readers -= 1
                self._settle(slot)

    def forget(self, peer: str) -> None:
        """`peer` is dead: it reads nothing any more."""
        with self._lock:
            for slot, count in self._readers.pop(peer, {}).items():
                slot.readers -= count
                self._settle(slot)

    def _collect(self) -> None:
        """Arrays of `alloc` that nothing refers to any more."""
        while self._dropped:
            slot = self._dropped.popleft()
            slot.held = False
            self._settle(slot)

    def _settle(self, slot: Slot) -> None:
        if not slot.readers and not slot.held and self._slots.get((slot.segment.number, slot.index)) is slot:
            self._free[slot.segment.room][slot] = None

    def busy(self) -> int:
        """How many slots are not free."""
        with self._lock:
            self._collect()
            return len(self._slots) - sum(map(len, self._free.values()))

    def close(self) -> None:
        """Take all names away. Whoever has a segment mapped reads on."""
        with self._lock:
            for segment in self._segments.values():
                segments.remove(segment)
        (self._home / f"{self._worker}.{self._incarnation}.0").unlink(missing_ok=True)


def _shaped(flat: np.ndarray, shape: int | Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    return flat.view(dtype).reshape(shape)
