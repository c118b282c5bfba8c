"""The live table of a run: each node's rate, step times, queue, drops and restarts, as they are now."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from omnistream.clock import perf_ns
from omnistream.engine.conductor import Conductor
from omnistream.observe.summary import node_table

__all__ = ["LiveTable"]

_WINDOW_NS = 2_000_000_000
_ENDINGS = ("consumed", "read", "superseded")


class LiveTable:
    """Call it with the conductor after each look. On something that is no terminal it prints only what happens."""

    def __init__(self, console: Console, title: str, started: str = "") -> None:
        self._console = console
        self._title = title
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._seen: list[tuple[int, dict[str, int]]] = []
        self._events = 0
        self._began = perf_ns()

    def __enter__(self) -> LiveTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, conductor: Conductor) -> None:
        for event in conductor.events[self._events :]:
            self._console.print(f"[yellow]{event}[/]", highlight=False)
        self._events = len(conductor.events)
        for line in conductor.said:
            self._console.print(line, markup=False, highlight=False)
        conductor.said.clear()
        if self._live is None:
            return
        nodes = {n: conductor.outcome.nodes[n] for n in conductor.plan.graph.nodes if n in conductor.outcome.nodes}
        lost: Counter[str] = Counter()
        for key, edge in conductor.outcome.edges.items():
            lost[key.split("->")[1].split(".")[0]] += sum(n for f, n in edge["fates"].items() if f not in _ENDINGS)
        restarts = {
            n: conductor.outcome.restarts[w.name]
            for w in conductor.plan.workers
            for n in w.nodes
            if conductor.outcome.restarts[w.name]
        }
        table = node_table(nodes, self._rates(nodes), lost, restarts)
        down = f"   [red]down: {', '.join(conductor.down)}[/]" if conductor.down else ""
        head = Text.from_markup(f"[bold]{self._title}[/]   {(perf_ns() - self._began) / 1e9:.0f} s{down}")
        counts = conductor.ledger()
        foot = Text("ledger: " + (", ".join(f"{k} {v}" for k, v in sorted(counts.items())) or "nothing lost"))
        self._live.update(Group(head, table, foot))

    def _rates(self, nodes: dict[str, dict[str, Any]]) -> dict[str, float]:
        """Firings a second (messages, for a source) over the last two seconds."""
        now = perf_ns()
        self._seen.append((now, {n: s.get("firings", s["out"]) for n, s in nodes.items()}))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_NS:
            self._seen.pop(0)
        before, old = self._seen[0]
        span = (now - before) / 1e9
        return {n: (s.get("firings", s["out"]) - old.get(n, 0)) / span for n, s in nodes.items()} if span > 0 else {}
