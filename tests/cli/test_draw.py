from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from omnistream.cli.draw import draw

app = typer.Typer()
app.command()(draw)


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(
        "graph: echo\nworkers: {w: {cpu: 500, gpu: 9, gpu_required: true}}\n"
        "nodes:\n  typed: {use: console_commands}\n  shown: {use: console, inputs: {message: typed}, on: w}\n"
    )
    return "g.yaml"


def test_a_drawing_in_the_terminal_whatever_this_host_can_run(graph: str) -> None:
    done = CliRunner().invoke(app, [graph])
    assert done.exit_code == 0
    assert done.stdout == (
        "┌──────────────────┐   ┌─────────┐\n"
        "│ typed            ├──▸│ shown   │\n"
        "│ console_commands │   │ console │\n"
        "│ @typed           │   │ @w      │\n"
        "└──────────────────┘   └─────────┘\n"
    )
    assert "@w" not in CliRunner().invoke(app, [graph, "--no-workers"]).stdout


def test_a_picture_in_a_file(graph: str) -> None:
    done = CliRunner().invoke(app, [graph, "--svg", "g.svg"])
    assert (done.exit_code, done.stdout) == (0, "wrote g.svg\n")
    text = Path("g.svg").read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "shown" in text


def test_a_picture_that_cannot_be_written(graph: str) -> None:
    done = CliRunner().invoke(app, [graph, "--svg", "no/g.svg"])
    assert done.exit_code == 2
    assert done.stderr == "no/g.svg: cannot be written (No such file or directory); name a file in a folder that is there\n"


def test_a_graph_with_a_mistake(graph: str) -> None:
    Path(graph).write_text("graph: g\n")
    done = CliRunner().invoke(app, [graph])
    assert (done.exit_code, done.stderr) == (2, "g.yaml:1: `nodes` is missing here; write `nodes: {...}`\n")
