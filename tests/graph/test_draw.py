from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

from helpers_graph import load, nodes
from hypothesis import HealthCheck, given, settings
from random_graphs import graphs

from omnistream.graph.draw_svg import draw_svg
from omnistream.graph.draw_text import draw_text
from omnistream.graph.host import Host
from omnistream.graph.layout import lay_out
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
HOST = Host(99, 99)


def drawn(value: dict[str, Any]):
    import json

    return parse_graph(json.dumps(value), "g.yaml")


def test_a_drawing(example: str) -> None:
    assert (
        draw_text(load(example))
        == """\
             ┌────────────┐    ┌───────┐
             │ typed      ├─┬─▸│ parse ├─╮
             │ Typed      │ │  │ Parse │ │
             └────────────┘ │  └───────┘ │
                            │            │
┌────────┐   ┌────────────┐ │            │
│ mic    ├──▸│ speech     ├─╯            │
│ Mic    │   │ Speech     │              │
└────────┘   └────────────┘              │  ┌──────────────────┐    ┌──────────┐   ┌───────┐
                                         │  │ reason           │ ╭─▸│ drive    ├──▸│ robot │
             ┌────────────┐              │  │ Reason           │ │  │ Drive    │   │ Robot │
             │ hands      │              ╰─▸│ intent    action ├─╯  └──────────┘   └───────┘
┌────────┐   │ Hands      │ ╭╌╌╌╌╌╌╌╌╌╌╌╌╌╌▹│ gesture  caption ├─╮
│ camera ├──▸│ frame  out ├╌╯            ╭─▸│ stop !           │ │  ┌──────────┐
│ Cam    │   │       stop ├──────────────╯  └──────────────────┘ ╰─▸│ glasses  │
└────────┘   └────────────┘                                         │ Captions │
                                                                    └──────────┘"""
    )


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
    ports = {(n.name, i.config.name) for n in graph.nodes.values() for i in n.inputs if not i.config.delay_ns}
    assert text.count("▸") + text.count("▹") == len(ports)


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


def test_lines_meet(example: str) -> None:
    """Each line's end is taken up by its neighbour: no stubs."""
    rows = draw_text(load(example)).splitlines()
    width = max(map(len, rows))
    cells = [row.ljust(width) for row in rows]
    east, west, north, south = "─╌╰╭├┬┴┼└┌", "─╌╯╮┤┬┴┼┘┐├▸▹", "│╎╰╯├┤┴┼└┘", "│╎╭╮├┤┬┼┌┐"
    for y, row in enumerate(cells):
        for x, letter in enumerate(row):
            if letter in "─╌╰╭":
                assert row[x + 1] in west, (y, x)
            if letter in "╎╭╮" or (letter == "│" and cells[y + 1][x] != " "):
                assert cells[y + 1][x] in north, (y, x)
    assert east
    assert south
    assert not re.search("[╴╵╶╷]", "\n".join(rows))
