"""Counters through the lives of workers: they never fall, and lose only what nobody was told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from omnistream.observe.lives import Lives


def snapshot(life: int, at: int, firings: int, sent: int, lost: int = 0, pid: int = 1) -> dict[str, Any]:
    fates = {"consumed": max(0, sent - lost)} | ({"dropped": lost} if lost else {})
    return {
        "worker": "w",
        "incarnation": life,
        "at_ns": at,
        "nodes": {"n": {"in": firings, "out": firings, "firings": firings, "forced": 0, "meter": {"step": [firings, 0]}}},
        "edges": {"e": {"sent": sent, "fates": fates}},
        "where": Counter({("e", "dropped"): lost}) if lost else {},
        "process": {"pid": pid, "cpu_ns": firings * 10, "rss": 5},
        "spans_lost": 0,
    }


def figures(lives: Lives) -> list[int]:
    """Every counter."""
    node = lives.node("n")
    edges = [n for sent, fates in lives.edges().values() for n in (sent, fates.get("consumed", 0), fates.get("dropped", 0))]
    return [node["firings"], *node["step"], *edges, lives.ledger().total(), lives.cpu_ns("w")]


LIVES = st.lists(
    st.tuples(st.booleans(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5)), max_size=5
)


@given(LIVES)
def test_no_counter_ever_falls(script: list[tuple[bool, list[tuple[int, int]]]]) -> None:
    """A life of a node counts from zero; an edge goes on where its receivers say, which may be below what was sent."""
    lives, at, sent, before = Lives(), 0, 0, [0] * 8
    for life, (falls, looks) in enumerate(script):
        sent = sent * 3 // 4 if falls else sent
        firings = lost = 0
        for new, dropped in looks:
            at += 1
            firings, lost, sent = firings + new, lost + dropped, sent + new + dropped
            lives.merge(snapshot(life, at, firings, sent, lost, pid=life))
            now = figures(lives)
            assert all(a <= b for a, b in zip(before, now, strict=True))
            before = now


def test_counts_of_nodes_are_added_and_those_of_edges_go_on() -> None:
    lives = Lives()
    lives.merge(snapshot(0, 1, 10, 100, lost=7))
    lives.merge(snapshot(1, 2, 0, 0))  # not greeted yet
    assert lives.edges()["e"] == (100, {"consumed": 93, "dropped": 7})
    lives.merge(snapshot(1, 3, 5, 95))
    assert lives.edges()["e"] == (100, {"consumed": 95, "dropped": 7})
    lives.merge(snapshot(1, 4, 8, 120, lost=3))
    assert lives.node("n")["firings"] == 18
    assert lives.node("n")["step"] == [18, 0]
    assert lives.edges()["e"] == (120, {"consumed": 117, "dropped": 10})
    assert lives.cpu_ns("w") == 80  # one process through both lives


def test_news_of_an_earlier_life_or_moment_is_passed_over() -> None:
    lives = Lives()
    lives.merge(snapshot(1, 9, 10, 100))
    lives.merge(snapshot(1, 8, 5, 50))
    lives.merge(snapshot(0, 10, 50, 500))
    assert lives.node("n")["firings"] == 10
    assert lives.edges()["e"][0] == 100
