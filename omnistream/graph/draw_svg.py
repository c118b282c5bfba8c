"""A graph as an SVG picture, readable on light and dark pages, made without other programs."""

from __future__ import annotations

from html import escape

from omnistream.graph.graph import Graph, Plan
from omnistream.graph.layout import Box, Layout, lay_out
from omnistream.graph.plan import workers_by_node

__all__ = ["draw_svg"]

_ROW, _CHAR, _CHANNEL, _MARGIN = 19, 8.2, 56, 16
_FILLS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#cffafe", "#ffedd5", "#e5e7eb")
_STYLE = (
    "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2937}"
    ".name{font-weight:700}.port,.kind{fill:#6b7280;font-size:11.5px}"
    ".box{stroke:#6b7280;stroke-width:1.2}.edge{fill:none;stroke:#4b5563;stroke-width:1.5}"
    ".side{stroke-dasharray:5 4}.back{stroke:#c2410c;stroke-dasharray:2 4}"
)


def draw_svg(graph: Graph, plan: Plan | None = None) -> str:
    """The picture as one SVG element. With a plan, boxes of one worker have one colour. Dashed edges do not trigger."""
    workers = workers_by_node(plan) if plan is not None else {}
    names = list(dict.fromkeys(workers.get(n, "") for n in graph.nodes))
    fills = {worker: _FILLS[i % len(_FILLS)] for i, worker in enumerate(names)}
    layout = lay_out(graph, {n: (info.use.rpartition(":")[2],) for n, info in graph.nodes.items()})
    lefts = _columns(layout)
    wide = lefts[-1] + _MARGIN
    tall = max((b.y + b.height for b in layout.boxes), default=0) * _ROW + 2 * _MARGIN
    parts = [_edges(layout, lefts), _feedback(layout, lefts, tall)]
    if layout.feedback:
        tall += 2 * _ROW
    parts += [_box(b, lefts, fills[workers.get(b.key, "")], workers.get(b.key, "")) for b in layout.boxes if b.lines]
    if plan is not None:
        parts.append(_legend(fills, tall))
        tall += _ROW + 6
        wide = max(wide, _MARGIN + sum(len(n) * _CHAR + 40 for n in names))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {tall:.0f}" width="{wide:.0f}" height="{tall:.0f}" '
        f'role="img" aria-label="{escape(graph.name)}"><title>{escape(graph.name)}</title><style>{_STYLE}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0.5 L8,4 L0,7.5 z" fill="#4b5563"/></marker></defs>'
        f'<rect width="100%" height="100%" rx="10" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _columns(layout: Layout) -> list[float]:
    """The left edge of each layer, and the right edge of the last."""
    lefts: list[float] = []
    x: float = _MARGIN
    for layer in layout.layers:
        lefts.append(x)
        x += max((b.width for b in layer), default=0) * _CHAR + _CHANNEL
    return [*lefts, x - _CHANNEL]


def _width(layer: int, lefts: list[float]) -> float:
    return lefts[layer + 1] - lefts[layer] - (_CHANNEL if layer + 2 < len(lefts) else 0)


def _y(row: int) -> float:
    return _MARGIN + (row + 0.5) * _ROW


def _box(box: Box, lefts: list[float], fill: str, worker: str) -> str:
    x, wide = lefts[box.layer], _width(box.layer, lefts)
    top, tall = _y(box.y), (box.height - 1) * _ROW
    title = f"<title>worker {escape(worker)}</title>" if worker else ""
    frame = f'x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    out = [f'<rect class="box" {frame} rx="7" fill="{fill}">{title}</rect>']
    for i, (left, right) in enumerate(box.lines, 1):
        kind = "name" if i == 1 else "kind" if i == 2 else "port"
        y = _y(box.y + i) + 4
        if left:
            out.append(f'<text class="{kind}" x="{x + 9:.1f}" y="{y:.1f}">{escape(left)}</text>')
        if right:
            out.append(f'<text class="port" text-anchor="end" x="{x + wide - 9:.1f}" y="{y:.1f}">{escape(right)}</text>')
    return "".join(out)


def _edges(layout: Layout, lefts: list[float]) -> str:
    out: list[str] = []
    for link in layout.links:
        x1 = lefts[link.src.layer] + _width(link.src.layer, lefts)
        x2 = lefts[link.dst.layer]
        y1, y2, bend = _y(link.y1), _y(link.y2), _CHANNEL * 0.5
        path = f"M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        tip = ' marker-end="url(#tip)"'
        if not link.dst.lines:  # a waypoint: on through its column
            path += f" H{x2 + _width(link.dst.layer, lefts):.1f}"
            tip = ""
        kind = "edge side" if link.side else "edge"
        out.append(f'<path class="{kind}" d="{path}"{tip}><title>{escape(link.stream)}</title></path>')
    return "".join(out)


def _feedback(layout: Layout, lefts: list[float], tall: float) -> str:
    boxes = {b.key: b for b in layout.boxes if b.lines}
    out: list[str] = []
    for stream, node, port in layout.feedback:
        name, _, outlet = stream.partition(".")
        src, dst = boxes[name], boxes[node]
        x1, y1 = lefts[src.layer] + _width(src.layer, lefts), _y(src.y + src.outs[outlet])
        x2, y2 = lefts[dst.layer], _y(dst.y + dst.ins[port.config.name, ""])
        low = tall + _ROW
        path = f"M{x1:.1f},{y1:.1f} C{x1 + 60:.1f},{low:.1f} {x2 - 60:.1f},{low:.1f} {x2:.1f},{y2:.1f}"
        label = escape(f"{stream} -> {node}.{port.config.name}")
        out.append(f'<path class="edge back" d="{path}" marker-end="url(#tip)"><title>{label}</title></path>')
    return "".join(out)


def _legend(fills: dict[str, str], tall: float) -> str:
    out: list[str] = []
    x: float = _MARGIN
    for worker, fill in fills.items():
        out.append(f'<rect class="box" x="{x:.1f}" y="{tall - 8:.1f}" width="13" height="13" rx="3" fill="{fill}"/>')
        out.append(f'<text class="kind" x="{x + 19:.1f}" y="{tall + 3:.1f}">{escape(worker)}</text>')
        x += len(worker) * _CHAR + 40
    return "".join(out)
