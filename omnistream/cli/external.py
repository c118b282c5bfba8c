"""External nodes (rule 27): their outputs are no function of their inputs, and a recording keeps only what sources bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnistream.errors import GraphError

if TYPE_CHECKING:
    from omnistream.graph.graph import Graph

__all__ = ["external_notices", "refuse_external"]


def refuse_external(graph: Graph) -> None:
    """Raises GraphError with a line for each external node: the replay could answer otherwise than the run did.

    A recorded stream in the place of such a node is a source, and is let through.
    """
    lines = [
        f"{graph.file}:{node.line}: nodes.{node.name}: {node.target.rpartition(':')[2]} is external (more than its inputs "
        f"decides what it says), so no replay of it is exact; put a recorded stream in its place: "
        f"--set 'nodes.{node.name}={{use: recording, with: {{path: FILE.mcap}}}}'"
        for node in graph.nodes.values()
        if node.external
    ]
    if lines:
        raise GraphError("\n".join(lines))


def external_notices(graph: Graph) -> list[str]:
    """What to tell whoever records a run of this graph."""
    return [
        f"'{node.name}' is external, and --record keeps only what sources bring: what it says cannot be replayed"
        for node in graph.nodes.values()
        if node.external
    ]
