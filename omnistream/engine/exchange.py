"""The edges of a worker that lead to other workers: what crosses, what comes back, and how both go on after a restart.

Everything for one peer goes through one ordered channel of its `Post`, in batches made at the end of a turn of the
event loop; only the first message of a turn goes at once. Items are tuples: ("m" message, "b" bound, "n" need, "c" credit,
"a" acknowledgements, "p" progress, "h" hello, "x" a word of link/loans.py, "u" in the place of a message that could not be
packed, or read).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from omnistream.engine.ends import Arrived, Inbound, Outbound, Said
from omnistream.errors import PayloadError
from omnistream.flow.cell import OutPort
from omnistream.flow.rank import FLOW, RANKS, URGENT
from omnistream.flow.token import Ack
from omnistream.message import INFINITY

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker
    from omnistream.link.loans import Loans

__all__ = ["Exchange", "Post"]

_SEEN = 20_000
#: A peer for which so much has gathered in a turn gets no message at once in the next.
_MANY = 8


class Post(Protocol):
    """An ordered channel to each peer. A batch for a life of a peer that is over is thrown away."""

    def connect(self, peer: str, incarnation: int, address: str) -> None: ...

    def disconnect(self, peer: str) -> None: ...

    def send(self, peer: str, items: list[tuple[Any, ...]]) -> None: ...

    def send_all(self, batches: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """One to each peer, all packed before the first goes: who is woken by his does not hold up the others."""
        ...


def _first(box: tuple[str, list[list[Any]]]) -> int:
    """The first rank of which there is anything."""
    return next((rank for rank in RANKS if box[1][rank]), len(RANKS))


def _in_order(box: list[list[Any]]) -> list[Any]:
    return [item for rank in box for item in rank]


class Exchange:
    """All remote edges of one worker. `sent` and `received` count items, for telling that nothing is under way."""

    def __init__(self, worker: Worker, post: Post | None) -> None:
        self.worker = worker
        self.post = post
        self.inbound: dict[int, Inbound] = {}
        self.outbound: dict[int, Outbound] = {}
        self._ends: dict[str, Mapping[int, Any]] = {  # what kind of item is about which end of an edge
            **dict.fromkeys("mub", self.inbound),
            **dict.fromkeys("ncap", self.outbound),
        }
        self.incarnations: dict[str, int] = {}
        self.greeted: set[str] = set()
        self.sent = self.received = 0
        self.loans: Loans | None = None
        self.borrowers: set[str] = set()
        self._outbox: dict[str, list[list[tuple[Any, ...]]]] = {}  # by peer and rank
        self._batched: set[str] = set()  # peers for which messages gather until the turn ends
        self._flushing = False
        self.pressing = False  # whether something waits to go that comes before what flows
        self.all_greeted = asyncio.Event()

    # -- out ---------------------------------------------------------------------------------------

    def put(self, peer: str, item: tuple[Any, ...], rank: int = FLOW) -> None:
        """With the batch that goes at the end of this turn."""
        self._box(peer)[rank].append(item)
        if rank < FLOW:
            self.pressing = True
        self.schedule()

    def send(self, peer: str, item: tuple[Any, ...], rank: int = FLOW) -> None:
        """At once, if it is the turn's first for this peer, so that one that comes now and then does not wait for the turn's
        end; with the batch while there are many."""
        self.put(peer, item, rank)
        if peer not in self._batched and peer in self.incarnations and self.post is not None:
            self._batched.add(peer)
            items = _in_order(self._outbox.pop(peer))
            self.sent += len(items)
            self.post.send(peer, items)

    def _box(self, peer: str) -> list[list[tuple[Any, ...]]]:
        box = self._outbox.get(peer)
        if box is None:
            box = self._outbox[peer] = [[] for _ in RANKS]
        return box

    def say(self, peer: str, word: str, values: tuple[Any, ...]) -> None:
        """A word of `loans`, in order with the messages."""
        self.put(peer, ("x", word, values))

    def schedule(self) -> None:
        """What has gathered goes at the end of this turn."""
        if not self._flushing:
            self._flushing = True
            self.worker.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand every peer what has gathered for it: stops first, then commands, of each edge in its order."""
        self._flushing = self.pressing = False
        for entry in self.inbound.values():
            items = entry.gathered(greeted=entry.peer in self.greeted)
            if items:
                self._box(entry.peer)[entry.rank].extend(items)
        boxes, self._outbox = self._outbox, {}
        first = sorted(boxes.items(), key=_first) if len(boxes) > 1 else boxes.items()
        outbox = {peer: _in_order(ranks) for peer, ranks in first if peer in self.incarnations}
        self._batched = {peer for peer, items in outbox.items() if len(items) >= _MANY}
        if outbox and self.post is not None:
            self.sent += sum(map(len, outbox.values()))
            self.post.send_all(outbox)

    # -- peers -------------------------------------------------------------------------------------

    def peers(self) -> set[str]:
        return {e.peer for e in self.inbound.values()} | {e.peer for e in self.outbound.values()}

    def connect(self, peer: str, incarnation: int, address: str) -> None:
        """A peer, or a new life of it, is there: greet it with how far each edge from it has come."""
        if self.incarnations.get(peer) == incarnation or self.post is None:
            return
        self.incarnations[peer] = incarnation
        self._outbox.pop(peer, None)
        self.post.connect(peer, incarnation, address)
        said: dict[int, Said] = {}
        for number, entry in self.inbound.items():
            if entry.peer != peer:
                continue
            edge = entry.edge
            edge.dead = False
            edge.asks.clear()
            entry.progress = (-1, -1)
            entry.credits, entry.ended = 0, []
            ended = edge.bound >= INFINITY
            bound = edge.finite if ended else edge.bound
            said[number] = (edge.next_seq, edge.received, self._uncredited(entry), dict(edge.fates), bound - edge.delay, ended)
            self.worker.wake(entry.hosted)
        self.put(peer, ("h", said), URGENT)  # the first word to a peer
        if self.loans is not None and peer in self.borrowers:
            self.loans.meet(peer)
        self.flush()

    def _uncredited(self, entry: Inbound) -> int:
        """Messages here whose credit has not gone back yet."""
        if entry.port.config.take != "each":
            return 0
        firing = entry.hosted.cell.firing
        return len(entry.edge.items) + (0 if firing is None else firing.each.count(entry.edge))

    def lost(self, peer: str) -> None:
        """A peer died: its edges are forced at once, and what goes to it waits (rules 11 and 25)."""
        self.incarnations.pop(peer, None)
        self.greeted.discard(peer)
        if self.post is not None:
            self.post.disconnect(peer)
        if self.loans is not None:
            self.loans.forget(peer)
        for entry in self.inbound.values():
            if entry.peer == peer:
                entry.edge.dead = True
                self.worker.wake(entry.hosted)
        for entry in self.outbound.values():
            if entry.peer == peer:
                entry.edge.receiver_lost()
                entry.beyond = INFINITY
                entry.said = None  # it was of the life that is over

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        """A batch from a living peer."""
        now = self.worker.clock.now()
        for item in items:
            self.received += 1
            kind = item[0]
            ends = self._ends.get(kind)
            if ends is not None and ((end := ends.get(item[1])) is None or end.peer != peer):
                self.worker.report(self.worker.name, "garbage", f"{peer} speaks of edge {item[1]}, which it has no end of")
            elif kind == "m":
                self._message(item, now)
            elif kind == "u":
                self._unread(*item[1:])
            elif kind == "c":
                entry = self.outbound[item[1]]
                entry.edge.reported = item[3]
                entry.edge.credit(item[2])
            elif kind == "b":
                inbound = self.inbound[item[1]]
                inbound.edge.told(item[2])
                self.worker.wake(inbound.hosted)
            elif kind == "n":
                entry = self.outbound[item[1]]
                entry.owner.need(entry.edge, item[2])
            elif kind == "a":
                _, number, first, count, fate = item
                acknowledge = self.outbound[number].edge.acknowledge
                for seq in range(first, first + count):
                    acknowledge(seq, fate)
            elif kind == "p":
                self._progress(item[1], item[2], item[3])
            elif kind == "h":
                self._greeted(peer, item[1])
            elif kind == "x" and self.loans is not None:
                try:
                    self.loans.hear(peer, item[1], item[2])
                except PayloadError as error:
                    self.worker.report(self.worker.name, "garbage", str(error))

    def _message(self, item: tuple[Any, ...], now: int) -> None:
        _, number, bound, wants_ack, message = item
        entry = self.inbound[number]
        edge = entry.edge
        if self.loans is not None:
            try:
                message = self.loans.borrow(entry.peer, number, message)
            except PayloadError as error:
                self.worker.report(entry.hosted.name, "garbage", str(error))
                self._unread(number, bound, wants_ack, message.seq)
                return
        ack: Ack | None = None
        if wants_ack:
            ack = Arrived(entry, message)
            known = entry.seen.setdefault(message.origin, ack)
            if known is not ack:
                self._pass_over(entry, message.seq, bound, "duplicate")
                if isinstance(known, str):
                    entry.acknowledge(message.seq, known)
                else:
                    known.came_again(message.seq)
                return
            if len(entry.seen) > _SEEN:
                entry.seen.popitem(last=False)
        if entry.adapt is not None:
            message = entry.adapt(message)
        entry.port.receive(edge, message, bound, ack, now)
        self.worker.wake(entry.hosted)

    def _unread(self, number: int, bound: int, wants_ack: bool, seq: int) -> None:
        """A message came, and nobody can read it: who sent it is told, and sends others."""
        entry = self.inbound[number]
        self._pass_over(entry, seq, bound, "garbage")
        if wants_ack:
            entry.acknowledge(seq, "error")

    def _pass_over(self, entry: Inbound, seq: int, bound: int, fate: str) -> None:
        """A message that its port is not to see."""
        edge = entry.edge
        edge.received += 1
        edge.next_seq = seq + 1
        edge.fates[fate] += 1
        edge.told(bound)
        edge.back.credit(1)  # type: ignore[union-attr]
        self.worker.wake(entry.hosted)

    def _progress(self, number: int, passed: int, next_seq: int) -> None:
        entry = self.outbound[number]
        entry.beyond = passed
        transit = entry.edge.transit
        while transit and transit[0][0] < next_seq:
            transit.popleft()
        self.schedule()

    def _greeted(self, peer: str, said: Mapping[int, Said]) -> None:
        self.greeted.add(peer)
        mine = self.worker.options.incarnation
        for number, words in said.items():
            entry = self.outbound.get(number)
            if entry is None or entry.peer != peer:
                self.worker.report(self.worker.name, "garbage", f"{peer} speaks of edge {number}, which it has no end of")
            else:
                entry.edge.life = self.incarnations[peer]
                if mine and (words[1] or words[5]) and entry.edge.earlier is not None:
                    entry.said = words
                else:
                    entry.edge.receiver_back()
        if self.greeted >= self.peers():
            for out in {id(e.out): e.out for e in self.outbound.values() if e.said}.values():
                self._resume(out)
            self.all_greeted.set()

    def _resume(self, out: OutPort) -> None:
        """Continue a stream's seq and bound from what the receivers report (rule 24)."""
        entries = [e for e in self.outbound.values() if e.out is out]
        said = [e.said for e in entries if e.said is not None]
        out.seq = max([out.seq, *(s[0] for s in said)])
        out.raise_bound(max([0, *(s[4] for s in said)]))
        owner = entries[0].owner
        if any(s[5] for s in said) and owner.name in self.worker.sources:
            owner.was_ended = True
        for entry in entries:
            if entry.said is not None:
                _, received, queued, fates, _, _ = entry.said
                entry.edge.resume(out.seq, received, queued, fates, out.bound)
                entry.said = None
        for edge in out.edges:
            edge.missed(out.seq)
