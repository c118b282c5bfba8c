"""What every engine tells a node of its place in the graph."""

from __future__ import annotations

import logging
from typing import Any

from omnistream.graph.graph import NodeInfo
from omnistream.node import Context, ports_of

__all__ = ["context_of"]


def context_of(info: NodeInfo, node: Any, **given: Any) -> Context:
    """The context of a node: its name, its log and which of its inputs are left out, with the rest as `given`."""
    unconnected = ports_of(type(node)).inputs.keys() - {i.config.name for i in info.inputs}
    log = logging.getLogger(f"omnistream.{info.name}")
    return Context(name=info.name, log=log, unconnected=frozenset(unconnected), **given)
