"""The receiving end: what has arrived on a port, its bound, and when it is settled (rules 4 to 8, 11 to 13).

A port merges one or more `InEdge`s, in the order written in the graph. Ports do no I/O and read no clock: what they
need to tell the sender (credits, acknowledgements, needs) goes out through the edge's `back` channel.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Protocol

from omnistream.flow.config import PortConfig
from omnistream.flow.ledger import NOT_LOST
from omnistream.flow.token import Ack
from omnistream.message import INFINITY, Message

__all__ = ["Back", "EachPort", "InEdge", "Item", "Port"]


class Back(Protocol):
    """What flows against an edge, to its sender."""

    def credit(self, n: int) -> None: ...

    def need(self, t: int) -> bool: ...


class Item:
    """A message that has arrived. `stamp` is its effective stamp: later than its own if it was lifted (rule 12)."""

    __slots__ = ("ack", "arrival", "edge", "message", "read", "stamp")

    def __init__(self, edge: InEdge, stamp: int, message: Message[Any], ack: Ack | None, arrival: int) -> None:
        self.edge, self.stamp, self.message, self.ack, self.arrival, self.read = edge, stamp, message, ack, arrival, False


class InEdge:
    """One stream as a port has received it. Counts of `fates` go to the sender, whose ledger they complete."""

    __slots__ = (
        "asks", "back", "block", "bound", "choices", "dead", "delay", "fates", "finite", "floor", "index", "items", "key",
        "lift", "lost", "next_seq", "received", "span",
    )  # fmt: skip

    def __init__(self, key: str, index: int, config: PortConfig) -> None:
        self.key = key
        self.index = index
        self.delay = config.delay_ns
        self.block = not config.queue.droppable
        self.lift = self.block and config.triggers
        self.items: deque[Item] = deque()
        self.bound = self.delay
        self.finite = self.delay  # the bound before the stream ended: where a restarted sender goes on
        self.floor = self.span = 0  # where audio has come to, and how far a chunk of it may reach back from its stamp
        self.asks: set[int] = set()
        self.dead = False
        self.received = self.next_seq = 0
        self.fates: Counter[str] = Counter()
        self.back: Back | None = None
        self.lost: Any = None
        self.choices = 0

    def end(self, item: Item, fate: str) -> None:
        """Give a message its fate, for the ledger if it is a loss."""
        self.fates[fate] += 1
        if fate not in NOT_LOST:
            self.lost(self, item.message, fate, "")
            if item.ack is not None:
                item.ack(fate)
                item.ack = None

    def raise_bound(self, bound: int) -> None:
        if bound > self.bound:
            self.bound = bound

    @property
    def clear(self) -> int:
        """Nothing of a later message lies below this. A bound is about stamps, which audio bears at its end."""
        if not self.span or self.bound >= INFINITY:
            return self.bound
        return max(self.floor, self.bound - self.span)

    def need(self, above: int) -> None:
        """Ask the sender, once, for a bound that makes the edge clear above `above`."""
        if self.clear > above:
            return
        above += self.span
        if above not in self.asks and not self.dead:
            self.asks.add(above)
            self.back.need(above - self.delay)  # type: ignore[union-attr]

    def told(self, bound: int) -> None:
        """A bound came from the sender."""
        if self.bound < INFINITY:
            self.finite = self.bound
        self.raise_bound(min(INFINITY, bound + self.delay))
        if self.asks:
            self.asks = {t for t in self.asks if t >= self.bound}


class Port:
    """What the four kinds have in common."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        self.config = config
        self.edges = edges
        self.form = form
        self.triggers = config.triggers
        self.bounded = True  # whether what is too much is lost; never in a fresh replay (rule 29)
        self.ended = False  # whether the input of the window that was taken last had ended

    def receive(self, edge: InEdge, message: Message[Any], bound: int, ack: Ack | None, arrival: int) -> None:
        """Take in a message that crossed `edge`."""
        edge.received += 1
        edge.next_seq = message.seq + 1
        stamp = message.stamp_ns + edge.delay
        item = Item(edge, stamp, message, ack, arrival)
        if stamp < edge.bound:
            edge.choices += 1
            if edge.bound >= INFINITY and self.triggers:  # another life of a sender that had ended: nothing fires after that
                edge.end(item, "late")
                edge.back.credit(1)  # type: ignore[union-attr]
                return
            if edge.lift and not self.still_open(item):
                item.stamp = edge.bound
        self.enter(edge, item)
        stamp = item.stamp
        bound += edge.delay
        if bound <= stamp:
            bound = stamp + 1
        if bound > edge.bound:
            if bound >= INFINITY:
                edge.finite, bound = stamp + 1, INFINITY
            edge.bound = bound
            if edge.asks:
                edge.asks = {t for t in edge.asks if t >= edge.bound}

    def still_open(self, item: Item) -> bool:
        """Whether a message behind a forced bound is in time all the same."""
        return False

    def enter(self, edge: InEdge, item: Item) -> None:
        raise NotImplementedError

    def candidate(self) -> int:
        """The least t at which what is here would fire the node; INFINITY if nothing would."""
        return INFINITY

    def frontier(self) -> int:
        """The least t at which this port may still fire the node."""
        return INFINITY

    def above(self, t: int) -> int:
        """The port is settled at t as far as bounds go when every lagging edge's bound is above this."""
        return t

    def lagging(self, t: int) -> list[InEdge]:
        """The edges that keep the port from being settled at t."""
        above = self.above(t)
        return [e for e in self.edges if e.clear <= above]

    def force(self, t: int, edges: list[InEdge]) -> None:
        """Raise the bounds of `edges` to what being settled at t needs (rule 11)."""
        above = self.above(t)
        for edge in edges:
            edge.floor = above + 1
            edge.raise_bound(above + 1)
            edge.asks = {t for t in edge.asks if t >= edge.bound}

    def take(self, t: int) -> list[Item] | None:
        """What the firing at t gets from this port; None if nothing is due."""
        raise NotImplementedError

    def value(self, items: list[Item] | None, t: int) -> Any:
        """The argument of the step for what `take` gave."""
        if not items:
            return None
        return items[0].message if self.form == "message" else items[0].message.payload

    def trigger_arrival(self, t: int) -> int | None:
        """When, in run time, the trigger due at t was there to be waited for; None if this port does not trigger at t."""
        return None

    def content(self) -> int:
        """The least t of what is here and still to be fired."""
        return self.candidate()

    def held(self) -> int:
        return sum(not i.read for e in self.edges for i in e.items)

    def acks(self, items: list[Item]) -> list[Ack]:
        """What to call when the firing that took `items` and all its effects have ended."""
        return [i.ack for i in items if i.ack is not None]

    def discard(self, fate: str) -> None:
        """Throw away what is here (a stop, or an end)."""
        for edge in self.edges:
            while edge.items:
                item = edge.items.popleft()
                if not item.read:
                    edge.end(item, fate)


class EachPort(Port):
    """Every message fires the node, in the order of (effective stamp, place in the list)."""

    def enter(self, edge: InEdge, item: Item) -> None:
        if item.stamp < edge.bound:
            edge.end(item, "late")
            edge.back.credit(1)  # type: ignore[union-attr]
        else:
            edge.items.append(item)

    def candidate(self) -> int:
        least = INFINITY
        for e in self.edges:
            if e.items and e.items[0].stamp < least:
                least = e.items[0].stamp
        return least

    def frontier(self) -> int:
        least = INFINITY
        for e in self.edges:
            at = e.items[0].stamp if e.items else e.bound
            if at < least:
                least = at
        return least

    def lagging(self, t: int) -> list[InEdge]:
        return [e for e in self.edges if not e.items and e.bound <= t]

    def take(self, t: int) -> list[Item] | None:
        for e in self.edges:
            if e.items and e.items[0].stamp == t:
                return [e.items.popleft()]
        return None

    def trigger_arrival(self, t: int) -> int | None:
        return min((e.items[0].arrival for e in self.edges if e.items and e.items[0].stamp == t), default=None)
