"""`window` ports: aligned windows and sessions, which fire when they are complete (rule 8)."""

from __future__ import annotations

from collections import deque
from typing import Any

from omnistream.flow.config import PortConfig
from omnistream.flow.port import InEdge, Item, Port
from omnistream.flow.token import Ack, Token
from omnistream.flow.window import cut_audio, first_end, last_end_at, window_ends
from omnistream.message import INFINITY, AudioChunk, Window

__all__ = ["SessionPort", "WindowPort"]


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
