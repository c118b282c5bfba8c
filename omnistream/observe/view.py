"""What can be seen of a run at one moment, as plain values: for the live table, and for whoever asks from outside."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from omnistream.flow.ledger import NOT_LOST
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome

__all__ = ["Watched", "view_of"]


class Watched(Protocol):
    """A run that can be looked at."""

    plan: Plan
    outcome: Outcome
    events: list[str]
    said: list[str]
    down: dict[str, str]

    def ledger(self) -> Counter[str]: ...


def view_of(run: Watched) -> dict[str, Any]:
    """Nodes in the graph's order with their figures, what they lost and how often their worker came again; edges; the ledger's
    counts; workers that are down."""
    found = run.outcome
    lost: dict[str, Counter[str]] = {n: Counter() for n in run.plan.graph.nodes}
    for key, edge in found.edges.items():
        node = key.split("->")[1].split(".")[0]
        lost.setdefault(node, Counter()).update({f: n for f, n in edge["fates"].items() if f not in NOT_LOST})
    restarts = {n: found.restarts[w.name] for w in run.plan.workers for n in w.nodes}
    return {
        "graph": run.plan.graph.name,
        "nodes": {
            n: dict(found.nodes[n]) | {"lost": dict(lost[n]), "restarts": restarts.get(n, 0)}
            for n in run.plan.graph.nodes
            if n in found.nodes
        },
        "edges": {key: {"pending": edge["pending"], "sent": edge["sent"]} for key, edge in found.edges.items()},
        "ledger": dict(run.ledger()),
        "down": dict(run.down),
    }
