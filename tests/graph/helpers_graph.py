"""Loading graphs from text in tests, and reading what is wrong with them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from omnistream.errors import GraphError
from omnistream.graph.graph import Graph
from omnistream.graph.load import parse_graph

FILE = "g.yaml"


def nodes(text: str, head: str = "") -> str:
    """A file with these nodes; ``Name`` in ``use: Name`` is a class of graph_parts."""
    body = textwrap.indent(textwrap.dedent(text).strip(), "  ")
    return f"graph: g\n{head}nodes:\n{body}\n".replace("use: ", "use: graph_parts:")


def load(text: str, **more: Any) -> Graph:
    return parse_graph(text, FILE, **more)


def faults(text: str, **more: Any) -> list[str]:
    """The lines of the error that the file gives."""
    with pytest.raises(GraphError) as caught:
        load(text, **more)
    return str(caught.value).splitlines()


def fault(text: str, **more: Any) -> str:
    """The only error that the file gives."""
    found = faults(text, **more)
    assert len(found) == 1, found
    return found[0]
