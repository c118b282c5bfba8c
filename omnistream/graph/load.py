"""`load_graph`: from a file (and what the command line changes in it) to a `Graph`, or all its errors at once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnistream.graph.graph import Graph
from omnistream.graph.overrides import apply_sets, apply_sources
from omnistream.graph.problems import Problems
from omnistream.graph.registry import add_folder
from omnistream.graph.resolve import resolve
from omnistream.graph.tree import parse_tree, read_text
from omnistream.graph.validate import validate

__all__ = ["load_graph", "parse_graph", "uses_of"]


def load_graph(
    path: str | Path, sets: Sequence[str] = (), sources: Sequence[str] = (), trusted: Collection[str] | None = None
) -> Graph:
    """The graph of a file, with ``--set`` and ``--source`` applied. Imports the modules it uses; opens nothing.

    With `trusted` only those import paths are followed, and what is installed as a node or driver: `sets` may then be
    somebody else's. Raises GraphError with one line per mistake:
    ``file:line: where.in.the.file: what was found; what to write instead``.
    """
    text = read_text(path)
    return parse_graph(text, str(path), sets, sources, trusted=trusted)


def uses_of(path: str | Path, sets: Sequence[str] = ()) -> frozenset[str]:
    """What the nodes of a file, and of the file with ``--set`` applied, say in `use`. Imports nothing. Raises GraphError."""
    problems = Problems(str(path))
    tree = parse_tree(read_text(path), problems, os.environ)
    before = _uses(tree.value)
    if tree.whole:
        apply_sets(tree.value, sets, problems, os.environ)
    return before | _uses(tree.value)


def parse_graph(
    text: str, file: str = "graph", sets: Sequence[str] = (), sources: Sequence[str] = (), env: Mapping[str, str] | None = None,
    trusted: Collection[str] | None = None,
) -> Graph:  # fmt: skip
    """As `load_graph`, from the text itself: a recording carries the text of its graph."""
    env = os.environ if env is None else env
    problems = Problems(file)
    tree = parse_tree(text, problems, env)
    if not tree.whole:
        problems.raise_any()
    problems.lines = tree.lines
    apply_sets(tree.value, sets, problems, env)
    folder = str(Path(file).resolve().parent)
    if any(":" in use for use in _uses(tree.value)):
        add_folder(folder)
    replaced = apply_sources(tree.value, sources, problems, trusted)
    spec, broken = validate(tree.value, problems)
    if spec is None:
        problems.raise_any()
        raise AssertionError("a spec that cannot be had has no reason")
    graph = resolve(spec, broken, replaced, problems, trusted)
    problems.raise_any()
    given = tuple(dict.fromkeys(s.partition("=")[0] for s in sources))
    nodes = {n: dataclasses.replace(i, folder=folder) if ":" in i.use else i for n, i in graph.nodes.items()}
    return dataclasses.replace(
        graph, nodes=nodes, file=file, text=text, sets=tuple(sets), sources=tuple(sources), replaced=given, folder=folder
    )


def _uses(value: Any) -> frozenset[str]:
    """What is in `use` of each node. A ":" in it makes it an import path, which may lead to a file beside the graph."""
    nodes = value.get("nodes") if isinstance(value, dict) else None
    return (
        frozenset(str(n.get("use", "")) for n in nodes.values() if isinstance(n, dict))
        if isinstance(nodes, dict)
        else frozenset()
    )
