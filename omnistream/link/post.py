"""A worker's post: ordered batches to and from each peer's present life, with large arrays through shared memory.

How the bytes of a batch cross is a transport's business. This is the rest: who is known, what of a peer that greets before
it has been introduced is kept until then, and which arrays go by a slot in the place of their bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from omnistream.errors import PayloadError
from omnistream.link.batch import Header, Place, encode_batch, read_header, read_items, words_of
from omnistream.link.segment import home_of
from omnistream.link.slots import SMALLEST, SlotPool
from omnistream.link.views import SlotViews, UnmappedError

__all__ = ["HostPost", "Line", "Transport"]

_log = logging.getLogger("omnistream.link")
#: Batches kept of a peer that greets before this worker has been told of it.
_EARLY = 1000

Items = list[tuple[Any, ...]]
Receive = Callable[[str, Items], None]


class Line(Protocol):
    """The way to one life of a peer. What is sent on one whose other end is gone is lost without a word."""

    def send(self, parts: list[Any]) -> None: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Carries lists of parts, whole and in order, between addresses."""

    @property
    def address(self) -> str: ...

    def listen(self, deliver: Callable[[list[Any]], None], garbage: Callable[[str], None]) -> None: ...

    def dial(self, address: str) -> Line: ...

    async def close(self) -> None: ...


class HostPost:
    """One worker's channels. Batches to or from a life of a peer that is over are thrown away."""

    def __init__(self, run_dir: str, name: str, incarnation: int, transport: Transport) -> None:
        self._name, self._incarnation = name, incarnation
        self._transport = transport
        self.address = transport.address
        self._loop = asyncio.get_running_loop()
        self._peers: dict[str, tuple[int, Line]] = {}
        self._early: list[tuple[str, int, list[Any]]] = []
        self._behind: set[str] = set()  # peers of which something in _early is still to be read
        self._receiver: Receive = lambda *_: None
        self._garbage: Callable[[str], None] = lambda _: None
        self._notice: Callable[[str], None] = lambda _: None
        self._told: dict[str, list[tuple[Any, ...]]] = {}
        self._sharing: dict[str, Place] = {}
        self._views: SlotViews | None = None
        self.pool: SlotPool | None = None
        home = home_of(run_dir)
        if home is not None:
            try:
                self.pool = SlotPool(home, name, incarnation, self._full)
                self._views = SlotViews(home, self._let_go, self._torn)
            except OSError as error:
                _log.warning("%s shares no memory with its peers: %s", name, error.strerror)

    def open(self, receive: Receive, garbage: Callable[[str], None], notice: Callable[[str], None] = lambda _: None) -> None:
        """Take batches from now on. `garbage` gets a sentence for each that is none; `notice` one if memory runs out."""
        self._receiver, self._garbage, self._notice = receive, garbage, notice
        self._transport.listen(self._handle, garbage)

    def _torn(self, text: str) -> None:
        self._garbage(text)

    def _full(self, text: str) -> None:
        _log.warning("%s", text)
        self._notice(text)

    def alloc(self, shape: int | Sequence[int], dtype: Any) -> np.ndarray:
        """An array whose sending copies nothing, where memory is shared with anybody; else a plain one."""
        return np.empty(shape, dtype) if self.pool is None or not self._sharing else self.pool.alloc(shape, dtype)

    # -- in ----------------------------------------------------------------------------------------

    def _handle(self, parts: list[Any]) -> None:
        try:
            header = read_header(parts)
            if header.receiver != self._incarnation:
                return
            sender, incarnation = header.sender, header.incarnation
            known = self._peers.get(sender)
            if known is not None and known[0] == incarnation and sender not in self._behind:
                self._take(header, parts)
            elif (known is None or known[0] <= incarnation) and len(self._early) < _EARLY:
                self._early.append((sender, incarnation, parts))
        except PayloadError as error:
            self._garbage(str(error))

    def _take(self, header: Header, parts: list[Any]) -> None:
        """Read a batch of a peer that is known."""
        if header.told:
            for word in words_of(header):
                self._listen_to(header.sender, header.incarnation, word)
        items = read_items(header, parts, None if self._views is None else self._views.view, self._unread)
        if items or not header.told:
            self._receiver(header.sender, items)

    def _unread(self, sender: str, error: PayloadError) -> None:
        if isinstance(error, UnmappedError):
            self._tell(sender, ("blind",))
        self._garbage(f"a message of {sender} was not read: {error}")

    def _listen_to(self, peer: str, incarnation: int, word: tuple[Any, ...]) -> None:
        """What the peer's post has to say about memory."""
        if self.pool is None or self._views is None:
            return
        if word[0] == "free":
            self.pool.released(peer, word[1])
        elif word[0] == "look":
            self._tell(peer, ("seen", self._views.meet((peer, incarnation))))
        elif word[0] == "seen" and word[1] == self.pool.token:
            pool = self.pool
            self._sharing[peer] = lambda array, key: pool.place(array, key, peer) if array.nbytes >= SMALLEST else None
        elif word[0] == "blind":
            self._sharing.pop(peer, None)

    # -- peers -------------------------------------------------------------------------------------

    def connect(self, peer: str, incarnation: int, address: str) -> None:
        """This life of a peer is meant from now on, in both directions."""
        self.disconnect(peer)
        self._peers[peer] = (incarnation, self._transport.dial(address))
        self._early = [e for e in self._early if e[0] != peer or e[1] >= incarnation]
        if any(e[:2] == (peer, incarnation) for e in self._early):
            self._behind.add(peer)
            self._loop.call_soon(self._catch_up, peer, incarnation)
        if self.pool is not None:
            self._tell(peer, ("look",))

    def _catch_up(self, peer: str, incarnation: int) -> None:
        """Read what a peer had sent before it was introduced, and before anything that has come from it since."""
        if peer not in self._behind or self._peers[peer][0] != incarnation:
            return
        early = [e[2] for e in self._early if e[:2] == (peer, incarnation)]
        self._early = [e for e in self._early if e[:2] != (peer, incarnation)]
        self._behind.discard(peer)
        for parts in early:
            self._handle(parts)

    def disconnect(self, peer: str) -> None:
        """The peer is dead: what it had of this worker's slots is free, and nothing more is taken of it."""
        if peer not in self._peers:
            return
        incarnation, line = self._peers.pop(peer)
        line.close()
        self._behind.discard(peer)
        self._early = [e for e in self._early if e[:2] != (peer, incarnation)]
        self._told.pop(peer, None)
        self._sharing.pop(peer, None)
        if self.pool is not None and self._views is not None:
            self.pool.forget(peer)
            self._views.forget(peer, incarnation + 1)

    # -- out ---------------------------------------------------------------------------------------

    def send(self, peer: str, items: Items) -> None:
        """Hand a batch over. A message that cannot be packed is left out, and said to be garbage; the others go."""
        line, parts = self._packed(peer, items)
        line.send(parts)

    def send_all(self, batches: Mapping[str, Items]) -> None:
        """One to each peer, all packed before the first goes: who is woken by his does not hold up the others."""
        packed = [self._packed(peer, items) for peer, items in batches.items()]
        for line, parts in packed:
            line.send(parts)

    def _packed(self, peer: str, items: Items) -> tuple[Line, list[Any]]:
        incarnation, line = self._peers[peer]
        told: Sequence[tuple[Any, ...]] = self._told.pop(peer, ())
        if self._views is not None and (words := self._views.take((peer, incarnation))):
            told = (*told, ("free", words))
        place = self._sharing.get(peer)
        return line, encode_batch(self._name, self._incarnation, incarnation, items, place, told, self._garbage)

    def _tell(self, peer: str, word: tuple[Any, ...]) -> None:
        """Say a word to a peer's post with the next batch, which goes soon even if the worker has nothing to send."""
        if peer not in self._told:
            self._loop.call_soon(self._send_told, peer)
        self._told.setdefault(peer, []).append(word)

    def _send_told(self, peer: str) -> None:
        if peer in self._peers and self._told.get(peer):
            self.send(peer, [])

    def _let_go(self, life: tuple[str, int]) -> None:
        """Views of a peer's slots are gone, and no batch went to it meanwhile."""
        known = self._peers.get(life[0])
        if known is not None and known[0] == life[1]:
            self.send(life[0], [])
        elif self._views is not None:
            self._views.take(life)  # nobody waits for them

    async def close(self) -> None:
        for peer in list(self._peers):
            self.disconnect(peer)
        await self._transport.close()
