"""The live table of a run: each node's rate, step times, queue, drops and restarts, as they are now."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from omnistream.clock import perf_ns
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome
from omnistream.observe.summary import node_table

__all__ = ["LiveTable"]

_WINDOW_NS = 2_000_000_000
_ENDINGS = ("consumed", "read", "superseded")


class Watched(Protocol):
    """A run that can be looked at."""

    plan: Plan
    outcome: Outcome
    events: list[str]
    said: list[str]
    down: dict[str, str]

    def ledger(self) -> Counter[str]: ...


class LiveTable:
    """Call it with the run after each look. On something that is no terminal it prints only what happens."""

    def __init__(self, console: Console, title: str) -> None:
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

    def __call__(self, run: Watched) -> None:
        for event in run.events[self._events :]:
            self._console.print(event, style="yellow", markup=False, highlight=False)
        self._events = len(run.events)
        for line in run.said:
            self._console.print(line, markup=False, highlight=False)
        run.said.clear()
        if self._live is None:
            return
        nodes = {n: run.outcome.nodes[n] for n in run.plan.graph.nodes if n in run.outcome.nodes}
        lost: Counter[str] = Counter()
        for key, edge in run.outcome.edges.items():
            lost[key.split("->")[1].split(".")[0]] += sum(n for f, n in edge["fates"].items() if f not in _ENDINGS)
        restarts = {n: run.outcome.restarts[w.name] for w in run.plan.workers for n in w.nodes if run.outcome.restarts[w.name]}
        table = node_table(nodes, self._rates(nodes), lost, restarts)
        head = Text.assemble((self._title, "bold"), f"   {(perf_ns() - self._began) / 1e9:.0f} s")
        if run.down:
            head.append(f"   down: {', '.join(run.down)}", "red")
        counts = run.ledger()
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
