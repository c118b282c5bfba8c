"""What a worker reads of its peers' slots: arrays that are theirs, without a copy, and the word back when one is let go."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import PayloadError
from omnistream.link.segment import Segment, attach, checksum_of, read_token

__all__ = ["SlotViews", "UnmappedError"]

#: A release waits so long for a batch that goes to its slot's owner anyway.
_PATIENCE_S = 0.002

Life = tuple[str, int]
Word = tuple[int, int, int]


class UnmappedError(PayloadError):
    """A segment of a peer that shares memory could not be mapped: it should send inline from now on."""


class SlotViews:
    """`done` is called on the loop with a life of a peer of which views have been let go; `take` then gives the words.

    `torn` is called with a sentence where checksums are on and an array was changed while it was read.
    """

    def __init__(self, home: Path, done: Callable[[Life], None], torn: Callable[[str], None]) -> None:
        self._home, self._done, self._torn = home, done, torn
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._tokens: dict[Life, bytes] = {}
        self._segments: dict[Life, dict[int, Segment]] = {}
        self._held: dict[int, tuple[weakref.ref[np.ndarray], Life, Word, tuple[Segment, int, int] | None]] = {}
        self._gone: deque[tuple[Life, Word]] = deque()
        self._changed: deque[str] = deque()
        self._words: dict[Life, list[Word]] = {}
        self._woken = False

    def meet(self, life: Life) -> bytes:
        """The secret that a life of a peer has left here. Empty where it cannot be seen."""
        token = read_token(self._home, *life)
        if token:
            self._tokens[life] = token
        return token

    def view(self, life: Life, place: Any) -> np.ndarray:
        """The bytes that a descriptor names, read-only. Its slot is released when nothing refers to them any more.

        Raises PayloadError for a descriptor that is malformed, of another life or filling, or out of range.
        """
        if not (isinstance(place, tuple) and len(place) == 5 and all(type(n) is int and n >= 0 for n in place[:4])):
            raise PayloadError("a slot is segment, place, filling, length and checksum")
        number, index, seq, length, checksum = place
        segment = self._segments.get(life, {}).get(number) or self._attach(life, number)
        if index >= segment.slots or not 0 < length <= segment.room:
            raise PayloadError(f"slot {index} of {length} bytes is not in segment {number} of {life[0]}")
        if segment.seqs[index] != seq:
            raise PayloadError(f"slot {index} in segment {number} of {life[0]} no longer holds filling {seq}")
        array = segment.piece(index, length)
        if checksum is not None and checksum_of(array) != checksum:
            raise PayloadError(f"slot {index} in segment {number} of {life[0]} does not have its checksum")
        held = weakref.ref(array, self._died)
        self._held[id(held)] = (held, life, (number, index, seq), None if checksum is None else (segment, length, checksum))
        return array

    def _attach(self, life: Life, number: int) -> Segment:
        if life not in self._tokens:
            raise PayloadError(f"{life[0]} names a slot before it has shown that it shares memory")
        mine = self._segments.setdefault(life, {})
        for old in [s for s in mine.values() if not s.path.exists()]:  # given back by its owner
            del mine[old.number]
        try:
            mine[number] = attach(self._home, *life, number, self._tokens[life])
        except OSError as error:
            raise UnmappedError(f"segment {number} of {life[0]} cannot be mapped: {error.strerror}") from None
        return mine[number]

    # -- letting go --------------------------------------------------------------------------------

    def _died(self, held: weakref.ref[np.ndarray]) -> None:
        """From any thread, and from within anything: an array is gone."""
        _, life, word, checked = self._held.pop(id(held))
        if checked is not None:
            self._check_again(life, word, *checked)
        self._gone.append((life, word))
        if self._woken or self._loop.is_closed():
            return
        self._woken = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._wait)  # not call_later: this may be within a change of its heap
        else:
            self._loop.call_soon_threadsafe(self._tell)

    def _wait(self) -> None:
        self._woken = False
        if self._gone or self._words or self._changed:  # no batch has gone to the slot's owner since
            self._woken = True
            self._loop.call_later(_PATIENCE_S, self._tell)

    def _check_again(self, life: Life, word: Word, segment: Segment, length: int, checksum: int) -> None:
        if checksum_of(segment.piece(word[1], length)) != checksum or segment.seqs[word[1]] != word[2]:
            self._changed.append(f"slot {word[1]} in segment {word[0]} of {life[0]} was changed while it was read")

    def _tell(self) -> None:
        self._woken = False
        while self._changed:
            self._torn(self._changed.popleft())
        self._sort()
        for life in list(self._words):
            self._done(life)

    def _sort(self) -> None:
        while self._gone:
            life, word = self._gone.popleft()
            self._words.setdefault(life, []).append(word)

    def take(self, life: Life) -> list[Word]:
        """The words for a life of a peer that have gathered. They are given once."""
        if self._gone:
            self._sort()
        return self._words.pop(life, [])

    def forget(self, peer: str, before: int) -> None:
        """The lives of `peer` earlier than `before` are over. Views of their slots stay good; nobody waits for their end."""
        for known in (self._tokens, self._segments, self._words):
            for life in [k for k in known if k[0] == peer and k[1] < before]:
                del known[life]
