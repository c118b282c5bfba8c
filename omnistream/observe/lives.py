"""Counters of a run through all lives of its workers. They never fall, whatever dies: what a scraper takes for granted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from omnistream.flow.ledger import NOT_LOST

__all__ = ["Lives"]

_COUNTED = ("in", "out", "firings", "forced", "raised")
#: Ends of a message that are no row of the ledger.
_UNTOLD = (*NOT_LOST, "duplicate", "garbage")


class Lives:
    """`merge` each snapshot. What was counted between the last one and a worker's death is not known."""

    def __init__(self) -> None:
        self._life: dict[str, tuple[int, int]] = {}
        self._nodes: dict[str, _Sum] = {}
        self._cpu: dict[str, _Sum] = {}
        self._spans: dict[str, _Sum] = {}
        self._ledgers: dict[str, _Sum] = {}
        self._edges: dict[str, Counter[str]] = {}
        self.process: dict[str, Mapping[str, Any]] = {}

    def merge(self, snapshot: Mapping[str, Any]) -> None:
        """What a worker says of itself; older news than is known already is passed over."""
        worker, life, at = snapshot["worker"], snapshot["incarnation"], snapshot["at_ns"]
        if (life, at) < self._life.get(worker, (-1, 0)):
            return
        self._life[worker] = (life, at)
        for name, stats in snapshot["nodes"].items():
            counts = {k: stats[k] for k in _COUNTED if k in stats} | stats.get("meter", {})
            self._nodes.setdefault(name, _Sum()).set(life, counts)
        for key, counts in snapshot["edges"].items():
            known = self._edges.setdefault(key, Counter())  # its account goes on through lives; what is sent again is not ended
            known |= Counter({"sent": counts["sent"], **counts["fates"]})
        self._ledgers.setdefault(worker, _Sum()).set(life, dict(snapshot["where"]))
        self._spans.setdefault(worker, _Sum()).set(life, {"lost": snapshot["spans_lost"]})
        self.process[worker] = process = snapshot["process"]
        self._cpu.setdefault(worker, _Sum()).set(process["pid"], {"ns": process["cpu_ns"]})

    def node(self, name: str) -> dict[Any, Any]:
        """A node's counters and histograms, summed over its lives; empty if it has not been heard of."""
        return self._nodes[name].total() if name in self._nodes else {}

    def cpu_ns(self, worker: str) -> int:
        """Processor time of a worker's processes."""
        return self._cpu[worker].total()["ns"]

    def spans_lost(self, worker: str) -> int:
        """Events of traces that a worker had no room for."""
        return self._spans[worker].total()["lost"]

    def ledger(self) -> Counter[tuple[str, str]]:
        """Losses and reports by (where, reason); `where` is an edge or a node."""
        found: Counter[tuple[str, str]] = Counter()
        for ledger in self._ledgers.values():
            found.update(ledger.total())
        return found

    def edges(self) -> dict[str, tuple[int, dict[str, int]]]:
        """By edge, how many messages were sent and how many ended how."""
        lost: dict[str, dict[str, int]] = {}
        for (where, reason), n in self.ledger().items():
            lost.setdefault(where, {})[reason] = n
        return {
            key: (edge["sent"], {f: n for f, n in edge.items() if f in _UNTOLD} | lost.get(key, {}))
            for key, edge in self._edges.items()
        }


class _Sum:
    """Counts that begin at zero in each life: those of the last one, and the sum of all before."""

    def __init__(self) -> None:
        self.life = 0
        self.now: dict[Any, Any] = {}
        self.before: dict[Any, Any] = {}

    def set(self, life: int, counts: dict[Any, Any]) -> None:
        if life != self.life:
            self.before, self.life = self.total(), life
        self.now = counts

    def total(self) -> dict[Any, Any]:
        return {k: _plus(self.before.get(k), self.now.get(k)) for k in (self.before | self.now)}


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, list):
        return [x + y for x, y in zip(a, b, strict=True)]
    return a + b
