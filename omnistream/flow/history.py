"""`latest` and `recent` ports: what was last seen, read by a firing but never the reason for one (rules 4 and 7)."""

from __future__ import annotations

from typing import Any

from omnistream.flow.config import PortConfig
from omnistream.flow.edge import nbytes
from omnistream.flow.port import InEdge, Item, Port
from omnistream.node import Recent

__all__ = ["HistoryPort"]

#: Messages of a port, with all that Python needs for them, come to a megabyte each thousand: so many are no more than the
#: usual `max_bytes`, whatever their arrays hold.
MOST = 1 << 18
#: From so many on, what can be read no more is looked for between firings, too.
MANY = 256


class HistoryPort(Port):
    """`latest` reads the newest message of [t-lag-hold, t-lag], `recent` all of them. Neither triggers."""

    def __init__(self, config: PortConfig, edges: list[InEdge], form: str) -> None:
        super().__init__(config, edges, form)
        self.all = config.take == "recent"
        self.bytes = 0
        self.ask_at = MANY

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
        while (self.bytes > self.config.max_bytes or len(items) > MOST) and len(items) > 1:
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

    def trim(self, frontier: int) -> int | None:
        """Forget what no firing at `frontier` or later can read, if much is here.

        Where much is left: the t that the frontier must have passed for more to go. Asked for once for each doubling, so that
        who does not know is not asked for ever.
        """
        if sum(len(e.items) for e in self.edges) < MANY:
            return None
        high = frontier - self.config.lag_ns
        for e in self.edges:
            while e.items and self._useless(e, high - self.config.hold_ns, high):
                self._forget(e, e.items.popleft(), "superseded")
        left = sum(len(e.items) for e in self.edges)
        if left < self.ask_at:
            self.ask_at = max(MANY, 2 * left) if left < self.ask_at // 4 else self.ask_at
            return None
        self.ask_at = 2 * left
        return max(e.items[-1].stamp for e in self.edges if e.items) + self.config.lag_ns

    def _useless(self, edge: InEdge, low: int, high: int) -> bool:
        """Whether the oldest message can be read by no later firing."""
        items = edge.items
        return items[0].stamp < low or (not self.all and len(items) > 1 and items[1].stamp <= high)

    def value(self, items: list[Item] | None, t: int) -> Any:
        if self.all:
            return Recent(i.message for i in items or ())
        return super().value(items, t)
