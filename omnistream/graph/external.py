"""External nodes (rule 27): no function of their inputs, so a recording keeps what they say, and a replay plays it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from omnistream.errors import GraphError

if TYPE_CHECKING:
    from omnistream.graph.graph import Graph

__all__ = ["external_notices", "play_external", "refuse_external"]


def play_external(graph: Graph, path: str, streams: Collection[str]) -> list[str]:
    """Overrides that put what an external node said, as recorded at `path`, in its place."""
    return [
        f"nodes.{node.name}={{use: recording, with: {{path: {json.dumps(path, ensure_ascii=False)}, stream: {node.name}.out}}}}"
        for node in graph.nodes.values()
        if node.external and f"{node.name}.out" in streams
    ]


def refuse_external(graph: Graph) -> None:
    """Raises GraphError with a line for each external node that is left: the replay could answer otherwise than the run did."""
    lines = [
        f"{graph.file}:{node.line}: nodes.{node.name}: {node.target.rpartition(':')[2]} is external (more than its inputs "
        f"decides what it says), and the recording does not hold what it said; put a recorded stream in its place: "
        f"--set 'nodes.{node.name}={{use: recording, with: {{path: FILE.mcap}}}}'"
        for node in graph.nodes.values()
        if node.external
    ]
    if lines:
        raise GraphError("\n".join(lines))


def external_notices(graph: Graph) -> list[str]:
    """What to tell whoever records a run of this graph."""
    return [
        f"'{node.name}' is external and has several outputs: what it says is played back by replay --as-recorded only"
        for node in graph.nodes.values()
        if node.external and tuple(node.outputs) != ("out",)
    ]
