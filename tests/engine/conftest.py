"""Helper modules of the law tests are imported by name, by workers too; and two laws watch over every run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Laws 1, 2 and 13, checked on every message and firing: stamps rise, bounds never fall, no message is behind a bound
    where nothing was forced, no deadline is later than the oldest trigger's cause plus the budget. (What a source says that was
    killed after its end, and begins again, is behind the end, and refused.)"""
    from omnistream.flow.cell import Cell
    from omnistream.flow.port import InEdge, Port
    from omnistream.message import INFINITY

    receive, begin, force = Port.receive, Cell.begin, Port.force
    last: dict[int, tuple[InEdge, int]] = {}
    forced: set[int] = set()
    broken: list[str] = []

    def checked_receive(self: Port, edge: InEdge, message: Any, bound: int, ack: Any, arrival: int) -> None:
        before = edge.bound
        if message.stamp_ns <= last.get(id(edge), (edge, -1))[1] and message.epoch == 0:
            broken.append(f"{edge.key}: stamp {message.stamp_ns} after {last[id(edge)][1]}")
        if message.stamp_ns + edge.delay < before < INFINITY and id(edge) not in forced:
            broken.append(f"{edge.key}: {message.stamp_ns} is behind the bound {before}")
        last[id(edge)] = (edge, message.stamp_ns)
        receive(self, edge, message, bound, ack, arrival)
        if edge.bound < before:
            broken.append(f"{edge.key}: bound fell from {before} to {edge.bound}")

    def checked_force(self: Port, t: int, edges: list[InEdge]) -> None:
        forced.update(id(e) for e in edges)
        force(self, t, edges)

    def checked_begin(self: Cell, t: int) -> Any:
        heads = [
            p.edges[0].items[0].message.cause_ns
            for p in self.triggers
            if len(p.edges) == 1 and p.candidate() == t and p.config.take == "each"
        ]
        firing = begin(self, t)
        if heads and firing.deadline > min(heads) + self.budget:
            broken.append(f"{self.name}: deadline {firing.deadline} after {min(heads)} + budget")
        return firing

    monkeypatch.setattr(Port, "receive", checked_receive)
    monkeypatch.setattr(Port, "force", checked_force)
    monkeypatch.setattr(Cell, "begin", checked_begin)
    yield
    assert not broken, broken[:5]
