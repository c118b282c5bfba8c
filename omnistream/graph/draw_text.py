"""A graph as a drawing for a terminal: boxes from left to right, and lines in the channels between them."""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter

from omnistream.graph.graph import Graph, Plan
from omnistream.graph.layout import Box, Layout, Link, lay_out, turns
from omnistream.graph.plan import workers_by_node
from omnistream.graph.units import show_duration

__all__ = ["draw_text", "feedback_lines"]

_N, _E, _S, _W = 1, 2, 4, 8
_SOLID = dict(zip(range(16), " ╵╶╰╷│╭├╴╯─┴╮┤┬┼", strict=True))
_FORK = "╋"  # a stream that goes on to all sides, where ┼ is two that cross
_DASHED = _SOLID | {_N | _S: "╎", _E | _W: "╌"}


def draw_text(graph: Graph, plan: Plan | None = None, *, kinds: bool = True, width: int | None = None) -> str:
    """The drawing, one string with newlines. Names of workers come with a plan, names of classes with `kinds`.

    Where it is wider than `width`, it is drawn without these. Solid lines trigger, dashed ones are only looked at;
    ``!`` marks an urgent port.
    """
    workers = workers_by_node(plan) if plan is not None else {}
    choices = [(kinds, bool(workers)), (False, bool(workers)), (False, False)]
    text = ""
    for kind, worker in choices:
        notes = {
            n: tuple(([info.use.rpartition(":")[2]] if kind else []) + ([f"@{workers[n]}"] if worker else []))
            for n, info in graph.nodes.items()
        }
        text = _draw(lay_out(graph, notes))
        if width is None or max(map(len, text.splitlines()), default=0) <= width:
            break
    return "\n".join([text, *feedback_lines(lay_out(graph))])


def feedback_lines(layout: Layout) -> list[str]:
    """The feedback edges, in words."""
    return [
        f"feedback: {stream} -> {node}.{port.config.name} ({port.config.take}, {show_duration(port.config.delay_ns)} later)"
        for stream, node, port in layout.feedback
    ]


class _Canvas:
    """Cells that hold a letter, or the directions in which lines leave them."""

    def __init__(self) -> None:
        self.lines: dict[tuple[int, int], int] = defaultdict(int)
        self.streams: dict[tuple[int, int], set[str]] = defaultdict(set)
        self.solid: set[tuple[int, int]] = set()
        self.letters: dict[tuple[int, int], str] = {}

    def across(self, y: int, x1: int, x2: int, stream: str, *, side: bool) -> None:
        """A horizontal line from one cell to another, both included."""
        for x in range(x1, x2):
            self._join((y, x), _E, stream, side)
            self._join((y, x + 1), _W, stream, side)

    def down(self, x: int, y1: int, y2: int, stream: str, *, side: bool) -> None:
        for y in range(min(y1, y2), max(y1, y2)):
            self._join((y, x), _S, stream, side)
            self._join((y + 1, x), _N, stream, side)

    def _join(self, cell: tuple[int, int], way: int, stream: str, side: bool) -> None:
        self.lines[cell] |= way
        self.streams[cell].add(stream)
        if not side:
            self.solid.add(cell)

    def write(self, y: int, x: int, text: str) -> None:
        for i, letter in enumerate(text):
            self.letters[y, x + i] = letter

    def text(self) -> str:
        cells = self.lines.keys() | self.letters.keys()
        rows: dict[int, list[int]] = defaultdict(list)
        for y, x in cells:
            rows[y].append(x)
        return "\n".join(
            "".join(self._cell(y, x) for x in range(max(rows[y], default=-1) + 1)).rstrip()
            for y in range(max(rows, default=-1) + 1)
        )

    def _cell(self, y: int, x: int) -> str:
        if (y, x) in self.letters:
            return self.letters[y, x]
        if self.lines.get((y, x)) == _N | _E | _S | _W and len(self.streams[y, x]) == 1:
            return _FORK
        return (_SOLID if (y, x) in self.solid else _DASHED)[self.lines.get((y, x), 0)]


def _draw(layout: Layout) -> str:
    canvas = _Canvas()
    channels: list[list[Link]] = [[] for _ in layout.layers]
    for link in layout.links:
        channels[link.src.layer].append(link)
    x = 0
    for layer, links in zip(layout.layers, channels, strict=True):
        width = max((b.width for b in layer), default=0)
        for box in layer:
            box.x = x
            if box.lines:
                box.width = width
                _draw_box(canvas, box, {k.src_row for k in links if k.src is box})
        left = x + width
        tracks, count = _tracks(links)
        right = left + (count + 3 if links else 0)  # the track columns, a stub on each side, and the arrow's cell
        _draw_links(canvas, links, tracks, left, right)
        for box in layer:
            if not box.lines:  # a waypoint: the line crosses the whole column
                incoming = [k for k in layout.links if k.dst is box]
                canvas.across(box.y, x - 1, left, incoming[0].stream, side=all(k.side for k in incoming))
        x = right
    return canvas.text()


def _draw_box(canvas: _Canvas, box: Box, drawn: set[int]) -> None:
    """A box; `drawn` are the rows from which a line leaves to the right."""
    inner = box.width - 2
    canvas.write(box.y, box.x, "┌" + "─" * inner + "┐")
    for i, (a, b) in enumerate(box.lines, 1):
        edge = "├" if i in drawn else "│"
        canvas.write(box.y + i, box.x, f"│ {a}{b.rjust(inner - 2 - len(a))} {edge}")
    canvas.write(box.y + box.height - 1, box.x, "└" + "─" * inner + "┘")


def _draw_links(canvas: _Canvas, links: list[Link], tracks: dict[str, int], left: int, right: int) -> None:
    """Each stream runs to its track, along it, and from there to its readers."""
    for link in links:
        column = left + 1 + tracks.get(link.stream, 0)
        canvas.across(link.y1, left - 1, column, link.stream, side=link.side)
        canvas.down(column, link.y1, link.y2, link.stream, side=link.side)
        canvas.across(link.y2, column, right - 1, link.stream, side=link.side)
        if link.dst.lines:
            canvas.write(link.y2, right - 1, "▹" if link.side else "▸")


def _tracks(links: list[Link]) -> tuple[dict[str, int], int]:
    """A column for each stream that turns in a channel, and how many columns that takes.

    Streams whose rows overlap have columns of their own. Where one leaves on the row on which another arrives, the first
    turns before the second, else the two would read as one line.
    """
    spans: dict[str, tuple[int, int]] = {}
    for link in links:
        low, high = spans.get(link.stream, (link.y1, link.y1))
        spans[link.stream] = (min(low, link.y2), max(high, link.y2))
    first = turns(links)
    tracks: dict[str, int] = {}
    for stream in TopologicalSorter(first).static_order():
        low, high = spans[stream]
        least = max((tracks[o] + 1 for o in first[stream]), default=0)
        taken = {tracks[o] for o in tracks if spans[o][0] <= high and low <= spans[o][1]}
        tracks[stream] = next(c for c in range(least, least + len(taken) + 1) if c not in taken)
    return tracks, max(tracks.values(), default=-1) + 1
