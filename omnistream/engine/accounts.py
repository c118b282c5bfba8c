"""The accounts of a run, put together from its workers' snapshots through all their lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from omnistream.flow.edge import Account
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome, combined_digest
from omnistream.observe.tracer import Noted

__all__ = ["Accounts"]

#: What is kept of a run for its summary and ledger: the newest so many outputs of each sink, and rows.
_RECORDS, _ROWS = 5_000, 50_000


class Accounts:
    """`outcome` is what they come to, `noted` what traces are made of and nobody has taken yet.

    `ended` are the sources that have, `done` the workers with nothing left to do.
    """

    def __init__(self, plan: Plan) -> None:
        self.outcome = Outcome()
        self.said: list[str] = []
        self.noted: list[Noted] = []
        self.ended: set[str] = set()
        self.had_ended: set[str] = set()
        self.done: set[str] = set()
        self._nodes = {w.name: w.nodes for w in plan.workers}
        self._sinks = {name for name, info in plan.graph.nodes.items() if info.role == "sink"}
        self._worker_counts: dict[tuple[str, int], Counter[str]] = {}
        self._of_edges: dict[str, Account] = {}
        self._digests: dict[str, str] = {}
        self._lost_sinks: set[str] = set()

    def merge(self, snapshot: dict[str, Any], down: Collection[str]) -> None:
        """What a worker says of itself; `down` are those that are dead by now."""
        out = self.outcome
        worker, incarnation = snapshot["worker"], snapshot["incarnation"]
        out.lives.merge(snapshot)
        out.nodes.update(snapshot["nodes"])
        out.edges.update(snapshot["edges"])
        out.received.update(snapshot["received"])
        out.rows.extend(snapshot["ledger"])
        del out.rows[:-_ROWS]
        self.said.extend(snapshot.get("said", ()))
        self.noted.extend(snapshot["noted"])
        self._worker_counts[worker, incarnation] = Counter(snapshot["counts"])
        self._of_edges.update(snapshot["accounts"])
        for sink, records in snapshot["records"].items():
            kept = out.records.setdefault(sink, [])
            kept.extend(records)
            del kept[:-_RECORDS]
            self._digests[sink] = snapshot["nodes"][sink]["digest"]
            if snapshot["nodes"][sink]["whole"] and worker not in down:
                self._lost_sinks.discard(sink)
        self.ended |= set(snapshot["ended"])
        if snapshot["done"]:
            self.done.add(worker)
        else:
            self.done.discard(worker)

    def died(self, worker: str) -> None:
        """What it had is open again: its sinks may have lost something, and its sources begin anew if they had not ended."""
        for name in self._nodes[worker]:
            if name in self._sinks:
                self._lost_sinks.add(name)
            if name in self.ended:
                self.had_ended.add(name)
            self.ended.discard(name)
        self.done.discard(worker)

    def of_edges(self, worker: str) -> dict[str, Account]:
        """What each edge from a worker's nodes had come to, for its next life."""
        prefixes = tuple(f"{n}." for n in self._nodes[worker])
        return {k: v for k, v in self._of_edges.items() if k.startswith(prefixes)}

    def ledger(self) -> Counter[str]:
        """Losses and reports by reason, of all workers in all their lives."""
        total: Counter[str] = Counter()
        for counts in self._worker_counts.values():
            total.update(counts)
        if self.outcome.restarts:
            total["restart"] = sum(self.outcome.restarts.values())
        if self.outcome.switches:
            total["variant"] = self.outcome.switches
        return total

    def sum_up(self) -> None:
        """The ledger and the digest, at the end."""
        out = self.outcome
        out.ledger = self.ledger()
        if self._lost_sinks:
            out.digest_note = f"no digest: the worker of {', '.join(sorted(self._lost_sinks))} was restarted"
        else:
            out.sinks = dict(self._digests)
            out.digest = combined_digest(self._digests)
