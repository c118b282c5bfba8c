from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Any

from helpers_graph import load, nodes
from hypothesis import HealthCheck, given, settings
from random_graphs import graphs

from omnistream.graph.draw_svg import draw_svg
from omnistream.graph.draw_text import _draw, draw_text
from omnistream.graph.host import Host
from omnistream.graph.layout import lay_out
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
HOST = Host(99, 99)


DRAWING = """\
┌────────┐   ┌────────────┐    ┌───────┐
│ mic    ├──▸│ speech     ├───▸│ parse ├─╮
│ Mic    │   │ Speech     │ ╭─▸│ Parse │ │
└────────┘   └────────────┘ │  └───────┘ │
                            │            │
             ┌────────────┐ │            │
             │ typed      ├─╯            │
             │ Typed      │              │
             └────────────┘              │  ┌──────────────────┐    ┌──────────┐   ┌───────┐
                                         │  │ reason           │ ╭─▸│ drive    ├──▸│ robot │
             ┌────────────┐              │  │ Reason           │ │  │ Drive    │   │ Robot │
             │ hands      │              ╰─▸│ intent    action ├─╯  └──────────┘   └───────┘
┌────────┐   │ Hands      │ ╭╌╌╌╌╌╌╌╌╌╌╌╌╌╌▹│ gesture  caption ├─╮
│ camera ├──▸│ frame  out ├╌╯            ╭─▸│ stop !           │ │  ┌──────────┐
│ Cam    │   │       stop ├──────────────╯  └──────────────────┘ ╰─▸│ glasses  │
└────────┘   └────────────┘                                         │ Captions │
                                                                    └──────────┘"""


def drawn(value: dict[str, Any]):
    import json

    return parse_graph(json.dumps(value), "g.yaml")


def test_a_drawing(example: str) -> None:
    assert draw_text(load(example)) == DRAWING


def test_feedback_is_told_in_words() -> None:
    graph = load(nodes("typed: {use: Typed}\na: {use: Loop, inputs: {x: typed, back: {from: a, take: latest, delay: 50ms}}}"))
    assert draw_text(graph).endswith("\nfeedback: a.out -> a.back (latest, 50ms later)")
    assert draw_svg(graph).count('class="edge back"') == 1


def test_a_drawing_that_is_too_wide_leaves_out_names(example: str) -> None:
    graph = load(example)
    plan = make_plan(graph, host=HOST)
    assert "@mind" in draw_text(graph, plan)
    narrow = draw_text(graph, plan, width=40)
    assert "@mind" not in narrow
    assert "Captions" not in narrow
    assert "glasses" in narrow


@CALM
@given(graphs())
def test_boxes_of_a_layer_never_touch_and_edges_lead_to_the_right(value: dict[str, Any]) -> None:
    layout = lay_out(drawn(value))
    for layer in layout.layers:
        for above, below in itertools.pairwise(layer):
            assert above.y + above.height <= below.y
    assert {b.key for b in layout.boxes if b.lines} == value["nodes"].keys()
    assert all(k.dst.layer == k.src.layer + 1 for k in layout.links)
    assert min(b.y for b in layout.boxes) == 0


@CALM
@given(graphs())
def test_every_node_and_every_arrow_is_in_the_drawing(value: dict[str, Any]) -> None:
    graph = drawn(value)
    text = draw_text(graph)
    for name in value["nodes"]:
        assert f"│ {name} " in text
    edges = [s for n in graph.nodes.values() for i in n.inputs if not i.config.delay_ns for s in i.streams]
    assert text.count("▸") + text.count("▹") == len(edges)


@CALM
@given(graphs())
def test_an_svg_is_well_formed_and_holds_every_node(value: dict[str, Any]) -> None:
    graph = drawn(value)
    root = ET.fromstring(draw_svg(graph, make_plan(graph, host=HOST)))
    labels = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert value["nodes"].keys() <= labels
    width, height = (float(root.attrib[k]) for k in ("width", "height"))
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        if box.get("class") == "box":
            assert 0 <= float(box.attrib["x"]) <= width - float(box.attrib["width"]) + 0.1
            assert 0 <= float(box.attrib["y"]) <= height - float(box.attrib["height"]) + 0.1


_WAYS = {
    "─": "EW",
    "╌": "EW",
    "│": "NS",
    "╎": "NS",
    "╭": "ES",
    "╮": "SW",
    "╰": "NE",
    "╯": "NW",
    "├": "NES",
    "┤": "NSW",
    "┬": "ESW",
    "┴": "NEW",
}
_STEP = {"N": (-1, 0), "E": (0, 1), "S": (1, 0), "W": (0, -1)}
_BACK = {"N": "S", "E": "W", "S": "N", "W": "E"}


def reached(rows: list[str], y: int, x: int) -> set[tuple[int, int]]:
    """The arrows to which a reader's eye comes from an output: straight over a crossing, to all sides at a fork."""
    found: set[tuple[int, int]] = set()
    seen: set[tuple[int, int, str]] = set()
    todo = [(y, x, "E")]
    while todo:
        step = todo.pop()
        if step in seen:
            continue
        seen.add(step)
        y, x, way = step
        y, x = y + _STEP[way][0], x + _STEP[way][1]
        letter = rows[y][x]
        if letter in "▸▹":
            assert way == "E"
            found.add((y, x + 1))
        elif letter == "┼":
            todo.append((y, x, way))
        else:
            ways = "NESW" if letter == "╋" else _WAYS[letter]
            assert _BACK[way] in ways, f"a line breaks off at {y}, {x}"
            todo += [(y, x, onward) for onward in ways if onward != _BACK[way]]
    return found


@CALM
@given(graphs(max_nodes=14))
def test_the_eye_that_follows_an_output_comes_to_its_readers_and_to_no_other(value: dict[str, Any]) -> None:
    graph = drawn(value)
    layout = lay_out(graph)
    text = _draw(layout).splitlines()
    rows = [row.ljust(max(map(len, text))) for row in text]
    boxes = {b.key: b for b in layout.boxes if b.lines}
    for name in graph.nodes:
        for port, row in boxes[name].outs.items():
            stream = f"{name}.{port}"
            readers = {
                (boxes[n.name].y + boxes[n.name].ins[i.config.name, stream], boxes[n.name].x)
                for n in graph.nodes.values()
                for i in n.inputs
                if stream in i.streams and not i.config.delay_ns
            }
            box = boxes[name]
            start = (box.y + row, box.x + box.width - 1)
            assert rows[start[0]][start[1]] == ("├" if readers else "│")
            assert (reached(rows, *start) if readers else set()) == readers
