"""The edges of a graph, numbered the same way on every worker."""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.flow.config import PortConfig
from omnistream.graph.graph import Graph

__all__ = ["Wire", "upstream_of", "wires"]


@dataclass(frozen=True, slots=True)
class Wire:
    """One stream's way to one input port. `tracked`: below a source edge with `in_flight`, so progress is reported."""

    number: int
    source: str
    output: str
    target: str
    port: int
    place: int
    config: PortConfig
    tracked: bool = False

    @property
    def stream(self) -> str:
        return f"{self.source}.{self.output}"

    @property
    def key(self) -> str:
        return f"{self.stream}->{self.target}.{self.config.name}"


def wires(graph: Graph) -> list[Wire]:
    """Every edge of the graph, in the order of the file."""
    found: list[Wire] = []
    for info in graph.nodes.values():
        for p, port in enumerate(info.inputs):
            for i, stream in enumerate(port.streams):
                source, _, output = stream.rpartition(".")
                found.append(Wire(len(found), source, output, info.name, p, i, port.config))
    followed = {w.number for w in found if w.config.in_flight and graph.nodes[w.source].role == "source"}
    reach = list(followed)
    while reach:
        wire = found[reach.pop()]
        for other in found:
            if other.source == wire.target and wire.config.triggers and other.config.triggers and other.number not in followed:
                followed.add(other.number)
                reach.append(other.number)
    return [
        Wire(w.number, w.source, w.output, w.target, w.port, w.place, w.config, w.number in followed) for w in found
    ]  # fmt: skip


def upstream_of(graph: Graph, name: str) -> set[str]:
    """Every node that a node's inputs descend from, itself included."""
    found, todo = {name}, [name]
    while todo:
        for port in graph.nodes[todo.pop()].inputs:
            for stream in port.streams:
                source = stream.rpartition(".")[0]
                if source not in found:
                    found.add(source)
                    todo.append(source)
    return found
