"""Where things go in a drawing of a graph: layers from left to right, in cells of one character.

The usual steps for layered graphs (Sugiyama, Tagawa, Toda 1981): longest-path layers, a waypoint in each layer that an
edge passes, order by barycentres, and rows by isotonic regression towards the neighbours, so that edges are short.
Feedback edges are left out; they would run against the grain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import zip_longest

from omnistream.graph.cycles import upstream
from omnistream.graph.graph import Graph, Input, NodeInfo

__all__ = ["Box", "Layout", "Link", "lay_out", "turns"]

_GAP = 1  # empty rows between boxes
_SWEEPS = 4


@dataclass(slots=True)
class Box:
    """A node (or, with no `lines`, a waypoint of a stream) with the rows of its ports, counted from its top."""

    key: str
    layer: int
    lines: tuple[tuple[str, str], ...] = ()  # what stands left and right in each
    ins: dict[tuple[str, str], int] = field(default_factory=dict)  # by port and stream; each stream has its own row
    outs: dict[str, int] = field(default_factory=dict)
    height: int = 1
    width: int = 0
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A piece of a stream from one layer to the next, between rows of two boxes; `side` does not trigger."""

    stream: str
    src: Box
    src_row: int
    dst: Box
    dst_row: int
    side: bool

    @property
    def y1(self) -> int:
        return self.src.y + self.src_row

    @property
    def y2(self) -> int:
        return self.dst.y + self.dst_row


@dataclass(slots=True)
class Layout:
    """Boxes by layer in their order, the links between neighbouring layers, and the feedback edges that are not drawn."""

    layers: list[list[Box]]
    links: list[Link]
    feedback: list[tuple[str, str, Input]]

    @property
    def boxes(self) -> list[Box]:
        return [b for layer in self.layers for b in layer]


def lay_out(graph: Graph, notes: Mapping[str, Sequence[str]] | None = None) -> Layout:
    """The layout of a graph; `notes` are further lines for the box of each node."""
    level = _levels(graph)
    boxes = {name: _box(node, level[name], (notes or {}).get(name, ())) for name, node in graph.nodes.items()}
    links, ways, feedback = _connect(graph, boxes)
    layers: list[list[Box]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for box in [*boxes.values(), *ways]:
        layers[box.layer].append(box)
    _order(layers, links)
    _rows(layers, links)
    return Layout(layers, links, feedback)


def _levels(graph: Graph) -> dict[str, int]:
    reads = {name: upstream(node, feedback=False) for name, node in graph.nodes.items()}
    level: dict[str, int] = {}
    readers: dict[str, list[str]] = defaultdict(list)
    for name in TopologicalSorter(reads).static_order():
        level[name] = max((level[u] + 1 for u in reads[name]), default=0)
        for u in reads[name]:
            readers[u].append(name)
    for name in graph.nodes:  # a source stands just before its first reader
        if not reads[name] and readers[name]:
            level[name] = min(level[r] for r in readers[name]) - 1
    return level


def _box(node: NodeInfo, level: int, notes: Sequence[str]) -> Box:
    """Ports are named in the box where there are several on a side; else the line of the name is the port."""
    ins = [(i, stream) for i in node.inputs for stream in (("",) if i.config.delay_ns else i.streams)]
    lines = [(line, "") for line in (node.name, *notes)]
    if len(node.inputs) <= 1 and len(node.outputs) <= 1:
        first = 1
        lines += [("", "")] * (len(ins) - len(lines))
    else:
        first = len(lines) + 1
        labels = [_port_label(i) if stream in ("", i.streams[0]) else "" for i, stream in ins]
        lines += zip_longest(labels, node.outputs, fillvalue="")
    rows = (
        {(i.config.name, stream): row for row, (i, stream) in enumerate(ins, first)},
        {port: row for row, port in enumerate(node.outputs, first)},
    )
    width = max(len(a) + len(b) + (2 if b else 0) for a, b in lines) + 4
    return Box(node.name, level, tuple(lines), *rows, height=len(lines) + 2, width=width)


def _port_label(i: Input) -> str:
    mark = " !" if i.config.urgent else ""
    return f"{i.config.name}{mark}"


def _connect(graph: Graph, boxes: Mapping[str, Box]) -> tuple[list[Link], list[Box], list[tuple[str, str, Input]]]:
    """Links from layer to layer, sharing one waypoint a layer for all readers of a stream."""
    ways: dict[tuple[str, int], Box] = {}
    found: dict[tuple[str, str, str, int], Link] = {}
    feedback: list[tuple[str, str, Input]] = []
    for node in graph.nodes.values():
        for port in node.inputs:
            for stream in port.streams:
                if port.config.delay_ns:
                    feedback.append((stream, node.name, port))
                    continue
                name, _, out = stream.partition(".")
                src, row = boxes[name], boxes[name].outs[out]
                side = not port.config.triggers
                for level in range(src.layer + 1, boxes[node.name].layer + 1):
                    last = level == boxes[node.name].layer
                    dst = boxes[node.name] if last else ways.setdefault((stream, level), Box(f"{stream}@{level}", level))
                    dst_row = dst.ins[port.config.name, stream] if last else 0
                    key = (stream, src.key, dst.key, dst_row)
                    both = side and (key not in found or found[key].side)
                    found[key] = Link(stream, src, row, dst, dst_row, both)
                    src, row = dst, 0
    return list(found.values()), list(ways.values()), feedback


def _order(layers: list[list[Box]], links: list[Link]) -> None:
    """Sort each layer by the mean place of its neighbours, to and fro, which leaves few crossings."""
    before: dict[str, list[Link]] = defaultdict(list)
    after: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        before[link.dst.key].append(link)
        after[link.src.key].append(link)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            place = {box.key: i for some in layers for i, box in enumerate(some)}
            mean: dict[str, float] = {}
            for i, box in enumerate(layer):
                near = (
                    [place[k.src.key] + k.src_row / 100 for k in before[box.key]]
                    if forward
                    else [place[k.dst.key] + k.dst_row / 100 for k in after[box.key]]
                )
                mean[box.key] = sum(near) / len(near) if near else float(i)
            layer.sort(key=lambda b: mean[b.key])


def _rows(layers: list[list[Box]], links: list[Link]) -> None:
    before: dict[str, list[Link]] = defaultdict(list)
    after: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        before[link.dst.key].append(link)
        after[link.src.key].append(link)
    for layer in layers:
        _settle(layer, [0.0] * len(layer))
    for sweep in range(_SWEEPS + 1):
        forward = sweep % 2 == 0
        for layer in layers[1:] if forward else reversed(layers[:-1]):
            wanted: list[float] = []
            for box in layer:
                near = [k.y1 - k.dst_row for k in before[box.key]] if forward else [k.y2 - k.src_row for k in after[box.key]]
                wanted.append(_middle(near) if near else float(box.y))
            _settle(layer, wanted)
    for level in range(1, len(layers)):
        _unbar(layers, [k for k in links if k.dst.layer == level], level)
    top = min((box.y for layer in layers for box in layer), default=0)
    for layer in layers:
        for box in layer:
            box.y -= top


def _unbar(layers: list[list[Box]], links: list[Link], level: int) -> None:
    """Move all from `level` on down or up by the fewest rows with which no two streams bar each other's way."""
    done = 0
    for shift in (s for i in range(10_000) for s in (i, -i)):
        for layer in layers[level:]:
            for box in layer:
                box.y += shift - done
        done = shift
        try:
            TopologicalSorter(turns(links)).prepare()
            return
        except CycleError:
            continue


def turns(links: Sequence[Link]) -> dict[str, set[str]]:
    """The streams that turn in a channel, and for each those that must turn before it: they leave where it arrives."""
    leaves = {k.y1: k.stream for k in links}
    before: dict[str, set[str]] = {k.stream: set() for k in links if k.y1 != k.y2}
    for k in links:
        other = leaves.get(k.y2, k.stream)
        if other != k.stream:
            before[k.stream].add(other)
    return before


def _middle(values: list[int]) -> float:
    return float(sorted(values)[(len(values) - 1) // 2])


def _settle(layer: list[Box], wanted: Sequence[float]) -> None:
    """Rows nearest to the wanted ones that keep the order and the gaps (pool adjacent violators)."""
    offsets: list[int] = []
    total = 0
    for box in layer:
        offsets.append(total)
        total += box.height + _GAP
    pools: list[tuple[float, int]] = []  # mean, how many
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, many = pools.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        pools.append((mean, count))
    i = 0
    for mean, count in pools:
        for _ in range(count):
            layer[i].y = round(mean) + offsets[i]
            i += 1
