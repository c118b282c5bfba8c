"""The live table of a run: each node's rate, step times, queue, drops and restarts, as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from omnistream.clock import perf_ns
from omnistream.observe.summary import node_table
from omnistream.observe.view import Watched, view_of

__all__ = ["LiveTable", "RunTable"]

_WINDOW_NS = 2_000_000_000


class RunTable:
    """A table of the newest view of a run; its rates are over the last two seconds of views."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._seen: list[tuple[int, dict[str, int]]] = []

    def show(self, view: Mapping[str, Any], seconds: float) -> Group:
        """`seconds`: how long the run has been going on."""
        nodes = view["nodes"]
        lost = {n: sum(s["lost"].values()) for n, s in nodes.items()}
        table = node_table(nodes, self._rates(nodes), lost, {n: s["restarts"] for n, s in nodes.items()})
        head = Text.assemble((self._title, "bold"), f"   {seconds:.0f} s")
        if view["down"]:
            head.append(f"   down: {', '.join(view['down'])}", "red")
        counts = ", ".join(f"{k} {v}" for k, v in sorted(view["ledger"].items()))
        return Group(head, table, Text(f"ledger: {counts or 'nothing lost'}"))

    def _rates(self, nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
        """Firings a second (messages, for a source)."""
        now = perf_ns()
        self._seen.append((now, {n: s.get("firings", s["out"]) for n, s in nodes.items()}))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_NS:
            self._seen.pop(0)
        before, old = self._seen[0]
        span = (now - before) / 1e9
        return {n: (s.get("firings", s["out"]) - old.get(n, 0)) / span for n, s in nodes.items()} if span > 0 else {}


class LiveTable:
    """Call it with the run after each look. On something that is no terminal it prints only what happens."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._table = RunTable(title)
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._events = 0
        self._began = perf_ns()

    def __enter__(self) -> LiveTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, run: Watched) -> None:
        for event in run.events[self._events :]:
            self._console.print(event, style="yellow", markup=False, highlight=False)
        self._events = len(run.events)
        for line in run.said:
            self._console.print(line, markup=False, highlight=False)
        run.said.clear()
        if self._live is not None:
            self._live.update(self._table.show(view_of(run), (perf_ns() - self._began) / 1e9))
