"""The receiving end: what has arrived on a port, its bound, and when it is settled (rules 4 to 8, 11 to 13).

A port merges one or more `InEdge`s, in the order written in the graph. Ports do no I/O and read no clock: what they
need to tell the sender (credits, acknowledgements, needs) goes out through the edge's `back` channel.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Protocol

from omnistream.flow.config import PortConfig
from omnistream.flow.edge import nbytes
from omnistream.flow.token import Ack, Token
from omnistream.flow.window import cut_audio, first_end, last_end_at, window_ends
from omnistream.message import INFINITY, AudioChunk, Message, Window
from omnistream.node import Recent

__all__ = ["Back", "EachPort", "HistoryPort", "InEdge", "Item", "Port", "SessionPort", "WindowPort", "make_port"]


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
        "asks", "back", "bound", "choices", "dead", "delay", "fates", "index", "items", "key", "lift", "lost", "next_seq",
        "received", "seen",
    )  # fmt: skip

    def __init__(self, key: str, index: int, config: PortConfig) -> None:
        self.key = key
        self.index = index
        self.delay = config.delay_ns
        self.lift = config.queue.policy == "block" and config.triggers
        self.items: deque[Item] = deque()
        self.bound = self.delay
        self.asks: set[int] = set()
        self.dead = False
        self.received = self.next_seq = 0
        self.fates: Counter[str] = Counter()
        self.back: Back | None = None
        self.lost: Any = None
        self.choices = 0
        self.seen: Any = None

    def end(self, item: Item, fate: str) -> None:
        """Give a message its fate, for the ledger if it is a loss."""
        self.fates[fate] += 1
        if fate not in ("consumed", "read", "superseded"):
            self.lost(self, item.message, fate)
            if item.ack is not None:
                item.ack(fate)
                item.ack = None

    def raise_bound(self, bound: int) -> None:
        if bound > self.bound:
            self.bound = bound

    def need(self, above: int) -> None:
        """Ask the sender, once, for a bound above `above`."""
        if self.bound <= above and above not in self.asks and not self.dead:
            self.asks.add(above)
            self.back.need(above - self.delay)  # type: ignore[union-attr]

    def told(self, bound: int) -> None:
        """A bound came from the sender."""
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

    def receive(self, edge: InEdge, message: Message[Any], bound: int, ack: Ack | None, arrival: int) -> None:
        """Take in a message that crossed `edge`."""
        edge.received += 1
        edge.next_seq = message.seq + 1
        stamp = message.stamp_ns + edge.delay
        if stamp < edge.bound:
            edge.choices += 1
            if edge.lift and not self.still_open(stamp):
                stamp = edge.bound
        self.enter(edge, Item(edge, stamp, message, ack, arrival))
        bound += edge.delay
        if bound <= stamp:
            bound = stamp + 1
        if bound > edge.bound:
            edge.bound = bound if bound < INFINITY else INFINITY
            if edge.asks:
                edge.asks = {t for t in edge.asks if t >= edge.bound}

    def still_open(self, stamp: int) -> bool:
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
        return [e for e in self.edges if e.bound <= above]

    def force(self, t: int, edges: list[InEdge]) -> None:
        """Raise the bounds of `edges` to what being settled at t needs (rule 11)."""
        above = self.above(t)
        for edge in edges:
            edge.bound = above + 1

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


class HistoryPort(Port):
    """`latest` reads the newest message of [t-lag-hold, t-lag], `recent` all of them. Neither triggers."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        self.all = config.take == "recent"
        self.bytes = 0

    def enter(self, edge: InEdge, item: Item) -> None:
        items = edge.items
        at = len(items)
        while at and items[at - 1].stamp > item.stamp:
            at -= 1
        items.insert(at, item)
        if item.ack is not None:
            item.ack("done")
            item.ack = None
        self.bytes += nbytes(item.message.payload)
        while self.bytes > self.config.max_bytes and len(items) > 1:
            self._forget(edge, items.popleft(), "overflow")
        edge.back.credit(1)  # type: ignore[union-attr]

    def _forget(self, edge: InEdge, item: Item, fate: str) -> None:
        self.bytes -= nbytes(item.message.payload)
        if not item.read:
            edge.end(item, fate)

    def above(self, t: int) -> int:
        return t - self.config.lag_ns

    def take(self, t: int) -> list[Item] | None:
        high = t - self.config.lag_ns
        low = high - self.config.hold_ns
        found = [i for e in self.edges for i in e.items if low <= i.stamp <= high]
        if self.all:
            found.sort(key=lambda i: (i.stamp, i.edge.index))
        elif found:
            found = [max(found, key=lambda i: (i.stamp, -i.edge.index))]
        for item in found:
            if not item.read:
                item.read = True
                item.edge.fates["read"] += 1
        for e in self.edges:
            while e.items and self._useless(e, low, high):
                self._forget(e, e.items.popleft(), "superseded")
        return found

    def _useless(self, edge: InEdge, low: int, high: int) -> bool:
        """Whether the oldest message can be read by no later firing."""
        items = edge.items
        return items[0].stamp < low or (not self.all and len(items) > 1 and items[1].stamp <= high)

    def value(self, items: list[Item] | None, t: int) -> Any:
        if self.all:
            return Recent(i.message for i in items or ())
        return super().value(items, t)


class WindowPort(Port):
    """Windows [a, b) at multiples of the hop; one with content fires at b-1 (rule 8)."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        assert config.window is not None
        self.size, self.hop = config.window.size_ns, config.window.hop_ns
        self.closed = -(1 << 62)
        self.ended = False

    def ends(self, item: Item) -> range:
        """The ends of all windows that the message falls into; audio covers a span, everything else a stamp."""
        payload, shift = item.message.payload, item.stamp - item.message.stamp_ns
        first = last = item.stamp
        if isinstance(payload, AudioChunk):
            first, last = item.message.stamp_ns - payload.duration_ns + shift, item.stamp - 1
        return window_ends(first, max(first, last), self.size, self.hop)

    def still_open(self, stamp: int) -> bool:
        ends = window_ends(stamp, stamp, self.size, self.hop)
        return len(ends) > 0 and ends[-1] > self.closed

    def enter(self, edge: InEdge, item: Item) -> None:
        ends = self.ends(item)
        if not ends or ends[-1] <= self.closed:
            edge.end(item, "late" if ends else "superseded")
            if item.ack is not None:
                item.ack("done")
        else:
            edge.items.append(item)
        edge.back.credit(1)  # type: ignore[union-attr]

    def _end(self, edges: list[InEdge]) -> int:
        """The end of the earliest window that has content and has not fired."""
        least = INFINITY
        for e in edges:
            for item in e.items:
                for end in self.ends(item):
                    if end > self.closed:
                        least = min(least, end)
                        break
                if not isinstance(item.message.payload, AudioChunk) and item.stamp > least:
                    break
        return least

    def candidate(self) -> int:
        end = self._end(self.edges)
        return end - 1 if end < INFINITY else INFINITY

    def frontier(self) -> int:
        least = self.candidate()
        for e in self.edges:
            if e.bound < INFINITY:
                end = first_end(e.bound, self.size, self.hop)
                while end <= self.closed:
                    end += self.hop
                least = min(least, end - 1)
        return least

    def above(self, t: int) -> int:
        return last_end_at(t, self.size, self.hop) - 1

    def take(self, t: int) -> list[Item] | None:
        end = t + 1
        due = self._end(self.edges) == end
        found = [i for e in self.edges for i in e.items if end in self.ends(i)] if due else None
        if found:
            found.sort(key=lambda i: (i.stamp, i.edge.index))
        self.closed = max(self.closed, last_end_at(t, self.size, self.hop))
        self.ended = any(e.bound >= INFINITY for e in self.edges)
        for e in self.edges:
            kept: deque[Item] = deque()
            for item in e.items:
                if self.ends(item)[-1] <= self.closed:
                    e.fates["consumed"] += 1
                else:
                    kept.append(item)
            e.items = kept
        return found

    def acks(self, items: list[Item]) -> list[Ack]:
        found: list[Ack] = []
        for item in items:
            if item.ack is not None and self.ends(item)[-1] > self.closed:  # it will be in a later window, too
                token = Token([item.ack])
                found.append(token.hold())
                item.ack = token.release
            elif item.ack is not None:
                found.append(item.ack)
        return found

    def value(self, items: list[Item] | None, t: int) -> Any:
        if items is None:
            return None
        start, end = t + 1 - self.size, t + 1
        messages = [
            cut_audio(i.message, start, end)
            if isinstance(i.message.payload, AudioChunk) and i.stamp == i.message.stamp_ns
            else i.message
            for i in items
        ]
        return Window(start, end, tuple(messages), not self.ended)

    def trigger_arrival(self, t: int) -> int | None:
        if self._end(self.edges) != t + 1:
            return None
        inside = [i for e in self.edges for i in e.items if t + 1 in self.ends(i)]
        newest = max(inside, key=lambda i: i.arrival)
        return newest.arrival + max(0, t + 1 - newest.stamp)


class SessionPort(Port):
    """Runs of messages less than `gap` apart; one fires at last + gap - 1, or at the message that ends it (rule 8)."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        assert config.window is not None
        self.gap, self.end_field = config.window.gap_ns, config.window.end
        self.closed = -(1 << 62)

    def still_open(self, stamp: int) -> bool:
        return stamp > self.closed

    def enter(self, edge: InEdge, item: Item) -> None:
        if item.stamp <= self.closed:
            edge.end(item, "late")
        else:
            at = len(edge.items)
            while at and edge.items[at - 1].stamp > item.stamp:
                at -= 1
            edge.items.insert(at, item)
        edge.back.credit(1)  # type: ignore[union-attr]

    def _session(self) -> tuple[list[Item], int]:
        """The first session's messages and the t at which it fires."""
        items = sorted((i for e in self.edges for i in e.items), key=lambda i: (i.stamp, i.edge.index))
        run: list[Item] = []
        for item in items:
            if run and item.stamp >= run[-1].stamp + self.gap:
                break
            run.append(item)
            if self.end_field and getattr(item.message.payload, self.end_field, False):
                return run, item.stamp
        return run, run[-1].stamp + self.gap - 1 if run else INFINITY

    def candidate(self) -> int:
        return self._session()[1]

    def frontier(self) -> int:
        bound = min(e.bound for e in self.edges)
        return min(self.candidate(), bound if self.end_field or bound >= INFINITY else bound + self.gap - 1)

    def take(self, t: int) -> list[Item] | None:
        run, end = self._session()
        self.closed = max(self.closed, t)
        if end != t:
            return None
        for item in run:
            item.edge.items.remove(item)
            item.edge.fates["consumed"] += 1
        return run

    def value(self, items: list[Item] | None, t: int) -> Any:
        if not items:
            return None
        complete = all(e.bound < INFINITY for e in self.edges)
        return Window(items[0].stamp, t + 1, tuple(i.message for i in items), complete)

    def trigger_arrival(self, t: int) -> int | None:
        run, end = self._session()
        return None if end != t else run[-1].arrival + end - run[-1].stamp


def make_port(config: PortConfig, edges: list[InEdge], form: str) -> Port:
    """The port of the kind that `config.take` names."""
    if config.take == "window":
        assert config.window is not None
        return SessionPort(config, edges, form) if config.window.gap_ns else WindowPort(config, edges, form)
    return EachPort(config, edges, form) if config.take == "each" else HistoryPort(config, edges, form)
