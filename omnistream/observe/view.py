"""What can be seen of a run at one moment, as plain values: for the live table, and for whoever asks from outside."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from omnistream.flow.ledger import NOT_LOST
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome

__all__ = ["Watched", "unbalanced", "view_of"]


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
    counts; workers that are down; and accounts that do not balance, of which there are none.

    A node's `total` and an edge's `sent` and `lost` are of all lives of their workers.
    """
    found = run.outcome
    workers = {n: w.name for w in run.plan.workers for n in w.nodes}
    edges = {key: {k: v for k, v in edge.items() if k != "fates"} for key, edge in found.edges.items()}
    lost: dict[str, Counter[str]] = {n: Counter() for n in run.plan.graph.nodes}
    for key, (sent, fates) in found.lives.edges().items():
        ends = {fate: n for fate, n in fates.items() if fate not in NOT_LOST}
        edges[key] = edges.get(key, {}) | {"sent": sent, "lost": ends}
        lost.setdefault(key.split("->")[1].split(".")[0], Counter()).update(ends)
    return {
        "graph": run.plan.graph.name,
        "budget_ns": run.plan.graph.budget_ns,
        "nodes": {
            n: {k: v for k, v in found.nodes[n].items() if k != "meter"}
            | {
                "lost": dict(lost[n]),
                "restarts": found.restarts[workers[n]],
                "worker": workers[n],
                "total": found.lives.node(n),
            }
            for n in run.plan.graph.nodes
            if n in found.nodes
        },
        "edges": edges,
        "ledger": dict(run.ledger()),
        "down": dict(run.down),
        "unbalanced": unbalanced(found),
    }


def unbalanced(outcome: Outcome) -> list[str]:
    """Edges on which not every message has exactly one fate (rule 19), by the sender's account or by the receiver's."""
    found: list[str] = []
    for key, edge in outcome.edges.items():
        ended = sum(edge["fates"].values()) + edge["pending"] + edge["held"]
        if edge["sent"] != ended:
            found.append(f"{key}: {edge['sent']} sent, {ended} accounted for")
    for key, edge in outcome.received.items():
        ended = sum(edge["fates"].values()) + edge["held"]
        if edge["received"] != ended:
            found.append(f"{key}: {edge['received']} received, {ended} accounted for")
    return found
