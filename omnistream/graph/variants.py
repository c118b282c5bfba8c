"""What a node's class says of its variants, and which of them a command line pins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omnistream.errors import GraphError
from omnistream.graph.graph import Graph
from omnistream.graph.suggest import did_you_mean

__all__ = ["pinned", "possible", "variants_of"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


def variants_of(cls: type[Any]) -> tuple[str, ...]:
    """The `variants` of a class, checked. Raises GraphError where they are no tuple of different names."""
    said: Any = getattr(cls, "variants", ())
    names = [n for n in said if isinstance(n, str) and _NAME.fullmatch(n)] if isinstance(said, tuple) else []
    if not isinstance(said, tuple) or len(names) != len(said) or len(set(names)) != len(names):  # type: ignore[arg-type]
        raise GraphError(
            f"{cls.__name__}.variants is {said!r:.80}; write different names from the best to the cheapest, "
            'such as ("full", "small")'
        )
    return tuple(names)


def pinned(graph: Graph, words: Sequence[str]) -> Mapping[str, str]:
    """``NODE=NAME`` words as a mapping. Raises GraphError naming what there is."""
    found: dict[str, str] = {}
    for word in words:
        flag = f"--variant {word}"
        node, equals, name = word.partition("=")
        if not (node and equals and name):
            raise GraphError(f"{flag}: this is no NODE=NAME; write one like hands=small")
        able = [n for n, info in graph.nodes.items() if info.variants]
        if node not in graph.nodes:
            raise GraphError(f"{flag}: there is no node '{node}'{did_you_mean(node, able, 'nodes with variants:')}")
        variants = graph.nodes[node].variants
        if not variants:
            others = f"; those that have are {', '.join(able)}" if able else ""
            raise GraphError(f"{flag}: '{node}' has no variants{others}")
        if name not in variants:
            raise GraphError(f"{flag}: '{node}' has no variant '{name}'{did_you_mean(name, variants, 'it has')}")
        if node in found:
            raise GraphError(f"{flag}: '{node}' is to be '{found[node]}' already; leave one of the two out")
        found[node] = name
    return found


def possible(graph: Graph, node: str, kept: Mapping[str, str]) -> tuple[str, ...]:
    """Which variants a live run may ask a node for, the first one first: all, where it may be switched."""
    variants = graph.nodes[node].variants
    if node in kept:
        return (kept[node],)
    return variants if graph.quality == "adaptive" else variants[:1]
