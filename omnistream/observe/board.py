"""What `omnistream top` shows: nodes or edges of a running graph, as they were in the last seconds, made of views of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from omnistream.observe.histogram import BOUNDS_NS, left_bounds, quantile

__all__ = ["PAGES", "Board"]

#: Rates and quantiles are of this long.
_WINDOW_S = 5.0
PAGES = ("nodes", "edges")
_NODE_COLUMNS = (
    "rate/s", "step p50", "p99", "age p50", "p99", "queue", "missed", "left p50", "p5", "restarts",
)  # fmt: skip
_EDGE_COLUMNS = ("rate/s", "sent", "pending", "bytes", "held", "credits", "lost/s")
#: What the key s goes through: the name of an order, and the number of the column that it is by.
_ORDERS = {"nodes": (("graph", -1), ("rate", 0), ("step", 2), ("age", 4), ("queue", 5), ("missed", 6)), "edges": (
    ("graph", -1), ("rate", 0), ("pending", 2), ("bytes", 3), ("lost", 6))}  # fmt: skip

#: A cell: what it is sorted by, and how it is shown.
Cell = tuple[float, str]


class Board:
    """`see` each view; `show` what has been seen. `page` and `order` are chosen by whoever watches."""

    def __init__(self) -> None:
        self.page: Literal["nodes", "edges"] = "nodes"
        self.order = 0
        self.paused = False
        self._views: deque[Mapping[str, Any]] = deque()

    def see(self, view: Mapping[str, Any]) -> None:
        """The newest view, unless this is paused."""
        if self.paused:
            return
        if self._views and view["seconds"] < self._views[-1]["seconds"]:
            self._views.clear()
        self._views.append(view)
        while len(self._views) > 2 and view["seconds"] - self._views[1]["seconds"] >= _WINDOW_S:
            self._views.popleft()

    def turn(self, page: Literal["nodes", "edges"]) -> None:
        self.page, self.order = page, 0

    def sort(self) -> None:
        """By the next column."""
        self.order = (self.order + 1) % len(_ORDERS[self.page])

    def show(self, rows: int = 1000) -> Group:
        """The newest view, with so many lines of its nodes or edges at most."""
        view, old = self._views[-1], self._views[0]
        span = view["seconds"] - old["seconds"]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column(self.page[:-1], no_wrap=True)
        for column in _NODE_COLUMNS if self.page == "nodes" else _EDGE_COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("lost")
        lines = self._nodes(view, old, span) if self.page == "nodes" else self._edges(view, old, span)
        name, column = _ORDERS[self.page][self.order]
        if column >= 0:
            lines.sort(key=lambda line: -line[1][column][0])
        for head, cells, lost in lines[:rows]:
            table.add_row(head, *(Text(text) for _, text in cells), lost)
        more = [Text(f"and {len(lines) - rows} more", "dim")] if len(lines) > rows else []
        return Group(self._head(view, name), table, *more, *self._foot(view))

    def _head(self, view: Mapping[str, Any], order: str) -> Text:
        head = Text.assemble((view["title"], "bold"), f"   {view['seconds']:.0f} s   budget {view['budget_ns'] / 1e6:.0f} ms")
        if order != "graph":
            head.append(f"   by {order}", "dim")
        if self.paused:
            head.append("   paused", "yellow")
        if view["down"]:
            head.append(f"   down: {', '.join(view['down'])}", "red")
        return head

    def _foot(self, view: Mapping[str, Any]) -> list[Text]:
        counts = ", ".join(f"{k} {v}" for k, v in sorted(view["ledger"].items()))
        lines = [Text(f"ledger: {counts or 'nothing lost'}")]
        if view["unbalanced"]:
            lines += [Text(f"does not balance: {text}", "bold red") for text in view["unbalanced"]]
        else:
            sent = sum(edge["sent"] for edge in view["edges"].values())
            lines.append(Text(f"accounts: {sent} messages sent on {len(view['edges'])} edges, each with one fate"))
        return lines

    def _nodes(self, view: Mapping[str, Any], old: Mapping[str, Any], span: float) -> list[tuple[Text, list[Cell], Text]]:
        bounds = left_bounds(view["budget_ns"])
        lines: list[tuple[Text, list[Cell], Text]] = []
        for name, node in view["nodes"].items():
            now, then = node["total"], old["nodes"].get(name, {}).get("total", {})
            fired = "firings" if "firings" in now else "out"
            step, age, left = (_since(now, then, key) for key in ("step", "age", "left"))
            cells = [
                _rate(now.get(fired, 0) - then.get(fired, 0), span),
                *(_ms(quantile(step, BOUNDS_NS, q)) for q in (0.5, 0.99)),
                *(_ms(quantile(age, BOUNDS_NS, q)) for q in (0.5, 0.99)),
                _count(node["queue"]),
                _count(now.get("missed", 0)) if step else (0.0, "-"),
                *(_ms(quantile(left, bounds, q)) for q in (0.5, 0.05)),
                _count(node["restarts"]),
            ]
            down = node["worker"] in view["down"]
            lines.append((Text(name, "red" if down else ""), cells, _lost(node["lost"])))
        return lines

    def _edges(self, view: Mapping[str, Any], old: Mapping[str, Any], span: float) -> list[tuple[Text, list[Cell], Text]]:
        lines: list[tuple[Text, list[Cell], Text]] = []
        for key, edge in view["edges"].items():
            then = old["edges"].get(key, {"sent": 0, "lost": {}})
            lost = sum(edge["lost"].values()) - sum(then["lost"].values())
            cells = [
                _rate(edge["sent"] - then["sent"], span),
                _count(edge["sent"]),
                _count(edge["pending"]),
                (edge["bytes"], _size(edge["bytes"])),
                _count(edge["held"]),
                _count(edge["credits"]),
                _rate(lost, span),
            ]
            lines.append((Text(key), cells, _lost(edge["lost"])))
        return lines


def _since(now: Mapping[str, Any], then: Mapping[str, Any], key: str) -> Sequence[int]:
    """A histogram of what came between two views; of all, where nothing has."""
    new, old = now.get(key) or [], then.get(key) or []
    if len(new) != len(old) or new == old:
        return new
    return [a - b for a, b in zip(new, old, strict=True)]


def _rate(count: int, span: float) -> Cell:
    rate = count / span if span > 0 else 0.0
    return rate, f"{rate:.1f}"


def _count(n: int) -> Cell:
    return float(n), str(n)


def _ms(ns: float | None) -> Cell:
    if ns is None:
        return float("-inf"), "-"
    ms = ns / 1e6
    return ms, f"{ms:.0f}" if abs(ms) >= 100 else f"{ms:.1f}" if abs(ms) >= 1 else f"{ms:.2f}"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size / 1024:.0f} KiB" if size >= 1024 else str(size)


def _lost(counts: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{reason} {n}" for reason, n in sorted(counts.items())), "red")
