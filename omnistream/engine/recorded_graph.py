"""What a recording says of its graph: the overrides of the run, and a node as it was then, to compare with today's."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Any

from omnistream.errors import GraphError, RecordingError
from omnistream.graph.graph import Graph, NodeInfo
from omnistream.graph.load import parse_graph
from omnistream.graph.problems import Problems
from omnistream.graph.tree import parse_tree

__all__ = ["check_inputs", "graph_then", "node_then", "sets_of"]

_IMPORT = re.compile(r"\buse\W+[A-Za-z_][\w.]*:[A-Za-z_]")


def sets_of(recorded: Sequence[str], given: Sequence[str]) -> list[str]:
    """The overrides of the run and then those given now. Raises RecordingError where the run's name code to import."""
    for text in recorded:
        if _IMPORT.search(text) and text not in given:
            raise RecordingError(
                f"the run was started with --set '{text}'; a recording is not trusted to name code, so give that --set yourself"
            )
    return [*recorded, *given]


def graph_then(text: str, sets: Sequence[str], today: Graph) -> Graph | None:
    """The graph as the run had it, None if it cannot be had any more.

    A recording is somebody's file: it may name what is installed, and what today's graph names, and no other module.
    """
    known = {info.use for info in today.nodes.values()} | _uses(today.text)
    if not all(":" not in use or use in known for use in _uses(text)):
        return None
    try:
        return parse_graph(text, today.file, sets)
    except GraphError:
        return None


def check_inputs(then: Graph | None, today: Graph, names: Collection[str]) -> None:
    """Raises RecordingError where one of these nodes had other inputs in the run: a journal names ports by their place."""
    known = then.nodes if then is not None else {}
    for name in names:
        if name in known and name in today.nodes:
            before, now = _inputs(known[name]), _inputs(today.nodes[name])
            if before != now:
                raise RecordingError(
                    f"'{name}' read {before} in the run, and here it reads {now}: what was recorded does not fit it; give it "
                    "the inputs that it had, or replay without --as-recorded and --only"
                )


def node_then(then: Graph | None, today: Graph, name: str) -> NodeInfo | None:
    """The node `name` as the run had it, None if it is as it is `today`, or is not known."""
    found, here = then.nodes.get(name) if then is not None else None, today.nodes.get(name)
    if found is None or here is None or (found.target, found.options) == (here.target, here.options):
        return None
    return found


def _uses(text: str) -> set[str]:
    tree: Any = parse_tree(text, Problems("recording"), os.environ).value
    nodes: Any = tree.get("nodes") if isinstance(tree, dict) else None
    return {str(n.get("use")) for n in nodes.values() if isinstance(n, dict)} if isinstance(nodes, dict) else set()


def _inputs(info: NodeInfo) -> str:
    return "; ".join(f"{i.config.name} from {', '.join(i.streams)}" for i in info.inputs) or "nothing"
