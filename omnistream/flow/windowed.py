"""`window` ports: aligned windows and sessions, which fire when they are complete (rule 8)."""

from __future__ import annotations

from collections import deque
from typing import Any

from omnistream.flow.config import PortConfig
from omnistream.flow.edge import nbytes
from omnistream.flow.port import InEdge, Item, Port
from omnistream.flow.token import Ack, Token
from omnistream.flow.window import cut_audio, first_end, last_end_at, window_ends
from omnistream.message import INFINITY, SECOND, AudioChunk, Window

__all__ = ["SessionPort", "WindowPort"]


#: Messages of a port, with all that Python needs for them, come to a megabyte each thousand.
MOST = 1 << 18


class BufferPort(Port):
    """What a window and a session have in common: a buffer, which holds at most `max_bytes` of arrays (rule 16)."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        self.added = self.entered = 0

    def bound_buffer(self, item: Item) -> None:
        """Lose the oldest, if there is too much now that `item` is in. What is here is summed up only where it may be."""
        self.added += nbytes(item.message.payload)
        self.entered += 1
        if not self.bounded or (self.added <= self.config.max_bytes and self.entered <= MOST):
            return
        self.added = sum(nbytes(i.message.payload) for e in self.edges for i in e.items)
        self.entered = sum(len(e.items) for e in self.edges)
        while self.entered > 1 and (self.added > self.config.max_bytes or self.entered > MOST):
            edge = min((e for e in self.edges if e.items), key=lambda e: e.items[0].stamp)
            oldest = edge.items.popleft()
            self.added -= nbytes(oldest.message.payload)
            self.entered -= 1
            edge.end(oldest, "overflow")


class WindowPort(BufferPort):
    """Windows [a, b) at multiples of the hop; one with content fires at b-1 (rule 8)."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        assert config.window is not None
        self.size, self.hop = config.window.size_ns, config.window.hop_ns
        self.closed = -(1 << 62)

    def ends(self, item: Item) -> range:
        """The ends of all windows that the message falls into; audio covers its samples, everything else a stamp.

        Lifted audio is not cut: it belongs, whole, where it was lifted to.
        """
        payload = item.message.payload
        first = last = item.stamp
        if isinstance(payload, AudioChunk) and item.stamp == item.message.stamp_ns and len(payload.samples):
            first -= payload.duration_ns
            last = first + (len(payload.samples) - 1) * SECOND // payload.rate_hz
        return window_ends(first, last, self.size, self.hop)

    def still_open(self, item: Item) -> bool:
        ends = self.ends(item)
        return not ends or ends[-1] > self.closed

    def enter(self, edge: InEdge, item: Item) -> None:
        ends = self.ends(item)
        if isinstance(item.message.payload, AudioChunk):
            edge.span = max(edge.span, item.message.payload.duration_ns)
            edge.floor = max(edge.floor, item.message.stamp_ns)
            if edge.lift and ends and ends[-1] <= self.closed:  # its stamp is in time, its samples are not
                item.stamp += 1
                ends = self.ends(item)
        if not ends or ends[-1] <= self.closed:
            edge.end(item, "late" if ends else "superseded")
            if item.ack is not None:
                item.ack("done")
        else:
            edge.items.append(item)
            self.bound_buffer(item)
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
                end = first_end(e.clear, self.size, self.hop)
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
        self.ended = any(e.bound >= INFINITY and end - self.size < e.finite < end for e in self.edges)
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


class SessionPort(BufferPort):
    """Runs of messages less than `gap` apart; one fires at last + gap - 1, or at the message that ends it (rule 8)."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        assert config.window is not None
        self.gap, self.end_field = config.window.gap_ns, config.window.end
        self.closed = self.fired = -(1 << 62)

    def still_open(self, item: Item) -> bool:
        """Whether the session that the message would be in has neither fired nor come to its end by now."""
        end = item.stamp if self.end_field else item.stamp + self.gap - 1
        return end > self.closed and item.stamp > self.fired

    def enter(self, edge: InEdge, item: Item) -> None:
        if not self.still_open(item):
            edge.end(item, "late")
        else:
            at = len(edge.items)
            while at and edge.items[at - 1].stamp > item.stamp:
                at -= 1
            edge.items.insert(at, item)
            self.bound_buffer(item)
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
        self.fired = t
        for item in run:
            item.edge.items.remove(item)
            item.edge.fates["consumed"] += 1
        self.ended = any(e.bound >= INFINITY and run[0].stamp < e.finite <= t for e in self.edges)
        return run

    def value(self, items: list[Item] | None, t: int) -> Any:
        if not items:
            return None
        return Window(items[0].stamp, t + 1, tuple(i.message for i in items), not self.ended)

    def trigger_arrival(self, t: int) -> int | None:
        run, end = self._session()
        return None if end != t else run[-1].arrival + end - run[-1].stamp
