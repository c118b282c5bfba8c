"""Laws of reading any file: a valid one loads, any other gives sentences with a file and a line, and never a traceback."""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers_graph import EXAMPLE
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from random_graphs import damaged, graphs
from ruamel.yaml import YAML

from omnistream.errors import GraphError
from omnistream.graph.graph import Graph
from omnistream.graph.host import Host
from omnistream.graph.load import load_graph, parse_graph
from omnistream.graph.plan import make_plan

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def block_yaml(value: Any) -> str:
    out = io.StringIO()
    YAML().dump(value, out)
    return out.getvalue()


def outcome(text: str) -> Graph | None:
    """The graph, or None after every line of the error was found to begin with the file and a line that is there."""
    try:
        return parse_graph(text, "dir/g.yaml", env={})
    except GraphError as error:
        lines = str(error).splitlines()
        assert lines
        for line in lines:
            found = re.match(r"dir/g\.yaml:(\d+): \S|dir/g\.yaml: and \d+ more$", line)
            assert found, line
            assert found[1] is None or 1 <= int(found[1]) <= len(text.splitlines()) + 1
        return None


@CALM
@given(graphs(), st.booleans())
def test_a_valid_graph_loads_and_is_planned_however_it_is_written(value: dict[str, Any], block: bool) -> None:
    graph = parse_graph(block_yaml(value) if block else json.dumps(value), "g.yaml", env={})
    assert list(graph.nodes) == list(value["nodes"])
    for name, node in graph.nodes.items():
        written = value["nodes"][name].get("inputs", {})
        assert [i.config.name for i in node.inputs] == [
            p for p in ("audio", "text", "frame", "x", "value", "back") if p in written
        ]
        for i in node.inputs:
            for stream in i.streams:
                source, _, port = stream.partition(".")
                assert port in graph.nodes[source].outputs
            assert (i.config.window is not None) == (i.config.take == "window")
    for layout in ("planned", "one", "each"):
        plan = make_plan(graph, layout, Host(1, 1))
        assert sorted(n for w in plan.workers for n in w.nodes) == sorted(graph.nodes)


@CALM
@given(damaged(), st.booleans())
def test_a_damaged_graph_gives_sentences_with_file_and_line(value: dict[str, Any], block: bool) -> None:
    try:
        text = block_yaml(value) if block else json.dumps(value, indent=1)
    except Exception:  # noqa: BLE001  the damage itself cannot be written as YAML
        text = json.dumps(value, indent=1)
    graph = outcome(text)
    event("sound" if graph is not None else "refused")
    if graph is not None:
        make_plan(graph, host=Host(99, 9))


@CALM
@given(st.data())
def test_any_cut_or_change_of_the_text_gives_sentences_with_file_and_line(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        size = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.text("ab:{}[],-\n\t '\"#&*!|>%@`?0.${}~", max_size=6)) + text[at + size :]
    event("sound" if outcome(text) is not None else "refused")


@CALM
@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_text_gives_sentences_with_file_and_line(text: str) -> None:
    assert outcome(text) is None


@CALM
@given(st.binary(max_size=400))
def test_any_bytes_give_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    with pytest.raises(GraphError, match=r"any\.yaml:\d+: "):
        load_graph(file)


@CALM
@given(st.text("ab.={}[]:'\"nodescamera0 \n$", max_size=40), st.sampled_from(["sets", "sources"]))
def test_any_flag_gives_a_graph_or_sentences(flag: str, which: str) -> None:
    try:
        parse_graph(EXAMPLE, "g.yaml", env={}, **{which: [flag]})
    except GraphError as error:
        assert str(error)


def test_a_graph_from_a_file_finds_the_nodes_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text(
        "from omnistream.node import Sink\nfrom omnistream.message import Text\n"
        "class Out(Sink):\n    async def write(self, text: Text) -> None: ...\n"
    )
    file = tmp_path / "g.yaml"
    file.write_text("graph: g\nnodes: {a: {use: 'graph_parts:Typed'}, b: {use: 'beside_it:Out', inputs: {text: a}}}")
    graph = load_graph(file)
    assert graph.nodes["b"].target == "beside_it:Out"
    assert graph.folder == str(tmp_path)
    there = "import pickle, sys; print(type(pickle.load(sys.stdin.buffer).make()).__name__)"
    done = subprocess.run([sys.executable, "-c", there], input=pickle.dumps(graph.nodes["b"]), capture_output=True, check=False)
    assert done.stdout == b"Out\n", done.stderr  # a worker in another process finds them too
    assert graph.file == str(file)


def test_an_error_is_as_the_design_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("graphs").mkdir()
    text = EXAMPLE.replace("inputs: {audio: mic}", "with: {chekpoint: x}, inputs: {audio: mic}")
    Path("graphs/voice_robot.yaml").write_text(text)
    with pytest.raises(GraphError) as caught:
        load_graph("graphs/voice_robot.yaml")
    assert str(caught.value) == (
        "graphs/voice_robot.yaml:10: nodes.speech.with.chekpoint: Speech has no such option; did you mean 'checkpoint'?"
    )


def test_too_many_errors_are_counted() -> None:
    text = "graph: g\nnodes:\n" + "".join(f"  n{i}: {{use: nobody}}\n" for i in range(60))
    with pytest.raises(GraphError) as caught:
        parse_graph(text, "g.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 41
    assert lines[-1] == "g.yaml: and 20 more"
