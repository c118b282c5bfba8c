from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from omnistream.cli.nodes import nodes
from omnistream.graph.registry import installed

app = typer.Typer()
app.command()(nodes)


def test_all_that_is_installed_is_listed() -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    for name in installed():
        assert any(line.startswith((f"{name} ", f"broken: {name}: ")) for line in lines), name


def test_one_with_its_ports_options_and_example() -> None:
    done = CliRunner().invoke(app, ["passthrough"])
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert text.startswith("passthrough (node, omnistream_nodes.passthrough:PassThrough)")
    assert "in message any payload" in text
    assert "out out any payload" in text
    assert "graph: passthrough nodes:" in text


def test_options_with_defaults_and_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("nodes_here.py").write_text(
        '"""x"""\nfrom dataclasses import dataclass\nfrom omnistream.node import Sink\nfrom omnistream.message import Text\n'
        '@dataclass(kw_only=True)\nclass Out(Sink):\n    """Says [it]."""\n    url: str\n    n: int = 3  # how many\n'
        "    async def write(self, text: Text | None) -> None: ...\n"
    )
    done = CliRunner().invoke(app, ["nodes_here:Out"])
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "Says [it]." in lines
    assert "in text Text | None" in lines
    assert "url str required" in lines
    assert "n int 3 how many" in lines


def test_one_that_is_not_there() -> None:
    done = CliRunner().invoke(app, ["passthru"])
    assert done.exit_code == 2
    assert done.stderr == "there is no node or driver 'passthru'; did you mean 'passthrough'?\n"


def test_a_broken_one_is_listed_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken_nodes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-nodes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omnistream.nodes]\nshaky = shaky_node:Shaky\n")
    (tmp_path / "shaky_node.py").write_text("import no_such_package_y\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    assert (
        "broken: shaky: 'shaky_node' needs the package 'no_such_package_y', which is not installed; install it" in done.stdout
    )


def test_what_may_differ_between_machines_is_said() -> None:
    out = " ".join(CliRunner().invoke(app, ["hand_gesture"]).stdout.split())
    assert "inexact landmarks may differ by 0.001 on another machine" in out
