"""What a class may say of its variants, and what --variant may name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnistream.errors import GraphError
from omnistream.graph.graph import Graph, NodeInfo
from omnistream.graph.variants import pinned, possible, variants_of

GRAPH = Graph(
    "g", 1,
    {
        "hands": NodeInfo("hands", "", "", "node", variants=("full", "small")),
        "ears": NodeInfo("ears", "", "", "node", variants=("full", "final_only")),
        "parse": NodeInfo("parse", "", "", "node"),
    },
)  # fmt: skip


def test_variants_are_different_names() -> None:
    assert variants_of(type("N", (), {"variants": ("full", "small")})) == ("full", "small")
    assert variants_of(type("N", (), {})) == ()
    for bad in (["full"], ("a", "a"), ("a b",), (1,), "full", None):
        with pytest.raises(GraphError, match=r"N\.variants is .* write different names from the best to the cheapest"):
            variants_of(type("N", (), {"variants": bad}))


def test_nodes_are_pinned_by_name() -> None:
    kept = pinned(GRAPH, ["hands=small"])
    assert kept == {"hands": "small"}
    assert [possible(GRAPH, n, kept) for n in GRAPH.nodes] == [("small",), ("full", "final_only"), ()]
    fixed = replace(GRAPH, quality="fixed")
    assert [possible(fixed, n, kept) for n in GRAPH.nodes] == [("small",), ("full",), ()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hands"], "--variant hands: this is no NODE=NAME; write one like hands=small"),
        (["hand=small"], "--variant hand=small: there is no node 'hand'; did you mean 'hands'?"),
        (["hands=tiny"], "--variant hands=tiny: 'hands' has no variant 'tiny'; it has full, small"),
        (["parse=full"], "--variant parse=full: 'parse' has no variants; those that have are hands, ears"),
        (["hands=full", "hands=small"], "'hands' is to be 'full' already; leave one of the two out"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(words: list[str], said: str) -> None:
    with pytest.raises(GraphError) as error:
        pinned(GRAPH, words)
    assert said in str(error.value)
