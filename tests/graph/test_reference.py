from __future__ import annotations

import re
from pathlib import Path

import pytest

from omnistream.graph.describe import describe
from omnistream.graph.load import parse_graph
from omnistream.graph.reference import BEGIN, END, graph_reference, nodes_reference, with_reference
from omnistream.graph.registry import installed
from omnistream.graph.schema import graph_schema

PAGE = Path(__file__).parents[2] / "docs" / "graph.md"


def test_the_page_is_in_step_with_the_types() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text
    assert with_reference(text) == text, "run: python -m omnistream.graph.reference"


def test_every_word_is_in_the_reference() -> None:
    text = graph_reference()
    schema = graph_schema()
    for model in (schema, *(m for n, m in schema["$defs"].items() if not n.startswith("_"))):
        for word in model["properties"]:
            assert f"| `{word}` |" in text
    assert "any value" not in text


def test_the_graphs_on_the_page_are_sound() -> None:
    graphs = re.findall(r"```yaml\n(graph:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert graphs
    for text in graphs:
        parse_graph(text, "docs/graph.md")


def test_the_page_about_nodes_names_every_one_that_is_installed() -> None:
    text = nodes_reference()
    for name in installed():
        assert f"### {name}\n" in text or f"`{name}` cannot be loaded" in text


def test_a_description() -> None:
    found = describe("graph_parts:Reason")
    assert (found.role, found.doc, found.example) == ("node", "Joins intent and gesture.", "")
    assert found.inputs == {
        "intent": "Command | None", "gesture": "Recent[Gesture]", "stop": "Message[Gesture] | None (may be left out)",
    }  # fmt: skip
    assert found.outputs == {"action": "Action", "caption": "Caption"}
    speech = {o.name: (o.type, o.default) for o in describe("graph_parts:Speech").options}
    assert speech["temperature"] == ("float | null", "null")
    assert speech["cache"] == ("Path", "cache")
    assert {o.name: o.default for o in describe("graph_parts:Encoder").options} == {"checkpoint": None}


@pytest.mark.parametrize("fence", [True, False])
def test_the_graph_in_a_docstring_is_its_example(fence: bool) -> None:
    from omnistream.graph.describe import _said, _split

    lines = [
        "Does x.",
        "",
        "`rate_hz`: how often. `n`: how",
        "many; more text.",
        "",
        "A graph::",
        "",
        "    graph: g",
        "    nodes:",
    ]
    lines += ["      a: {use: b}", "", "After."]
    if fence:
        lines[5:10] = ["```yaml", "graph: g", "nodes:", "  a: {use: b}", "```"]
    text, example = _split("\n".join(lines))
    assert example == "graph: g\nnodes:\n  a: {use: b}"
    assert text.startswith("Does x.")
    assert text.endswith("After.")
    assert _said("rate_hz", text) == "how often"
    assert _said("n", text) == "how many; more text"
    assert _said("z", text) == ""
