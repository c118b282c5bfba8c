"""``omnistream new``: a working node to begin from, with its test and a graph that runs it."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from omnistream.cli.sentence import sentences
from omnistream.errors import OmniStreamError

__all__ = ["new"]

new = typer.Typer(help="Write a skeleton to begin from.", no_args_is_help=True)

_NODE = '''"""{cls}: what it does, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.message import Text
from omnistream.node import Context, Node


@dataclass(kw_only=True)
class {cls}(Node):
    """Puts a prefix before each text, and counts them.

    Fields are the options of the graph file. Parameters of `step` are the inputs, what it returns is the output;
    None emits nothing. Nothing is opened before `open`.

    What a model computes in floats may differ in its last digits on another machine. Such fields of the output are
    declared, each with the difference that is still the same answer: inexact = {{"confidence": 1e-3}}
    """

    prefix: str = "#"
    """What stands before each number."""

    async def open(self, ctx: Context) -> None:
        self.ctx = ctx  # ctx.now is the event time of a step, ctx.rng its chance: there is no other clock or chance
        self.count = 0

    async def step(self, text: Text) -> Text | None:
        if not text.text.strip():
            return None
        self.count += 1
        return Text(f"{{self.prefix}}{{self.count}} {{text.text}}", text.lang)
'''

_TEST = '''"""Tests of {cls}: driven directly, and in its graph."""

from __future__ import annotations

import asyncio
from pathlib import Path

from omnistream.graph.load import load_graph
from omnistream.message import Text
from omnistream.testing import context

from {name} import {cls}


def test_it_numbers_texts_and_skips_empty_ones() -> None:
    async def run() -> list[Text | None]:
        node = {cls}(prefix="no. ")
        await node.open(context("{name}"))
        return [await node.step(Text(t)) for t in ("go", " ", "stop")]

    first, empty, second = asyncio.run(run())
    assert first == Text("no. 1 go")
    assert empty is None
    assert second == Text("no. 2 stop")


def test_its_graph_is_sound() -> None:
    graph = load_graph(Path(__file__).with_name("{name}.yaml"))
    assert graph.nodes["{name}"].options == {{"prefix": "#"}}
'''

_GRAPH = """# Type a line: it comes back with a number. Run it with: omnistream run {name}.yaml --engine local
graph: try_{name}
nodes:
  typed: {{use: console_commands}}
  {name}:
    use: "{name}:{cls}"
    with: {{prefix: "#"}}
    inputs: {{text: typed}}
  shown: {{use: console, inputs: {{message: {name}}}}}
"""


@new.callback()
def _new() -> None:
    """Write a skeleton to begin from."""


@new.command("node")
@sentences
def new_node(name: Annotated[str, typer.Argument(metavar="NAME", help="In snake_case, such as color_tracker.")]) -> None:
    """Write NAME.py, test_NAME.py and NAME.yaml into this folder: a node that works, its test, and its graph."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name) or len(name) > 48:
        raise OmniStreamError(f"'{name}' is no name for a node; write it in snake_case, such as color_tracker")
    if name in ("typed", "shown") or (not Path(f"{name}.py").exists() and importlib.util.find_spec(name) is not None):
        raise OmniStreamError(f"'{name}' is the name of something else already; choose another, such as my_{name}")
    cls = "".join(part.capitalize() for part in name.split("_"))
    files = {f"{name}.py": _NODE, f"test_{name}.py": _TEST, f"{name}.yaml": _GRAPH}
    there = [f for f in files if Path(f).exists()]
    if there:
        raise OmniStreamError(f"{' and '.join(there)} would be overwritten; choose another name, or move what is there")
    for file, template in files.items():
        try:
            with Path(file).open("x", encoding="utf-8") as out:
                out.write(template.format(name=name, cls=cls))
        except OSError as error:
            raise OmniStreamError(f"{file}: cannot be written ({error.strerror}); go to a folder that is yours") from error
        typer.echo(f"wrote {file}")
    typer.echo(f"now: python -m pytest test_{name}.py; omnistream check {name}.yaml; omnistream run {name}.yaml --engine local")
