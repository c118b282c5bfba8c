"""What a recording says of its graph: a node as it was then, to compare with today's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from omnistream.errors import GraphError, RecordingError
from omnistream.graph.graph import Graph, NodeInfo
from omnistream.graph.load import parse_graph
from omnistream.graph.tree import MAX_BYTES

__all__ = ["check_inputs", "graph_then", "node_then"]


def graph_then(text: str, sets: Sequence[str], today: Graph, trusted: Collection[str]) -> Graph | None:
    """The graph as the run had it, None if it cannot be had any more.

    A recording is somebody's file: of code it may name what is installed and what is `trusted`, and nothing else.
    """
    if len(text) > MAX_BYTES:
        return None
    try:
        return parse_graph(text, today.file, sets, trusted=trusted)
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


def _inputs(info: NodeInfo) -> str:
    return "; ".join(f"{i.config.name} from {', '.join(i.streams)}" for i in info.inputs) or "nothing"
