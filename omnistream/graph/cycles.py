"""Cycles that were not declared as feedback (rule 13), each named by its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from omnistream.graph.graph import NodeInfo
from omnistream.graph.problems import Problems

__all__ = ["find_cycles", "upstream"]


def upstream(node: NodeInfo, *, feedback: bool = True) -> tuple[str, ...]:
    """The nodes that a node reads from, each once; without `feedback`, only through ports that have no delay."""
    ports = [i for i in node.inputs if feedback or i.config.delay_ns == 0]
    return tuple(dict.fromkeys(s.partition(".")[0] for i in ports for s in i.streams))


def find_cycles(nodes: Mapping[str, NodeInfo], problems: Problems) -> None:
    """Report each cycle without delay once, at the port in it that comes first in the file."""
    order = {name: index for index, name in enumerate(nodes)}
    reads = {name: [u for u in upstream(node, feedback=False) if u in nodes] for name, node in nodes.items()}
    while True:
        try:
            TopologicalSorter(reads).prepare()
            return
        except CycleError as error:
            found: list[str] = list(error.args[1])[:-1]  # each is read by the next
        start = found.index(min(found, key=order.__getitem__))
        path = found[start:] + found[:start]
        _report(path, nodes, problems)
        reads[path[0]].remove(path[-1])


def _report(path: list[str], nodes: Mapping[str, NodeInfo], problems: Problems) -> None:
    first, last = path[0], path[-1]
    ports = [i for i in nodes[first].inputs if i.config.delay_ns == 0 and any(s.partition(".")[0] == last for s in i.streams)]
    way = " -> ".join([*path, first])
    problems.add(
        ("nodes", first, "inputs", ports[0].config.name),
        f"the cycle {way} has no delay, so it never starts; let a port in it `take: latest` or `recent`, with `delay: 50ms`",
    )
