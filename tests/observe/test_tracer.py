"""Which causes are traced, and that what is noted of them is bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omnistream.message import Event, Message
from omnistream.observe.tracer import Fired, Tracer, sampled


@pytest.mark.parametrize("period", [1, 1_000, 1_000_000, 20_000_000, 33_333_333, 66_666_667, 1_000_000_000])
@pytest.mark.parametrize("share", [0.01, 0.25])
def test_a_share_of_the_causes_of_any_period_is_traced(period: int, share: float) -> None:
    causes = [1_795_748_197_440_000_000 + i * period for i in range(20_000)]
    found = sum(sampled(c, share) for c in causes) / len(causes)
    assert share * 0.7 < found < share * 1.3


def test_all_and_none_are_so() -> None:
    causes = range(-500, 5_000_000_000, 1_000_003)
    assert all(sampled(c, 1.0) for c in causes)
    assert not any(sampled(c, 0.0) for c in causes)


def test_more_causes_of_a_larger_share() -> None:
    """So whoever samples more keeps whole traces of those that others keep."""
    for cause in range(1_000_000_000, 1_002_000_000, 997):
        assert sampled(cause, 0.1) <= sampled(cause, 0.2)


def test_what_has_no_room_is_counted() -> None:
    tracer = Tracer(1.0, lambda: 5, 0)
    for i in range(20_010):
        tracer.emitted("s", Message("s.out", 0, i, (), i, i, i, {}, Event("e")))
    assert len(tracer.take()) == 20_000
    assert tracer.lost == 10
    assert tracer.take() == []


def test_a_firing_that_reads_a_traced_cause_is_noted_with_that_read_only() -> None:
    causes = range(1_000, 1_200)
    mine = next(c for c in causes if not sampled(c, 0.25))
    other = next(c for c in causes if sampled(c, 0.25))
    third = next(c for c in causes if not sampled(c, 0.25) and c != mine)
    tracer = Tracer(0.25, lambda: 5, 3)
    port, edge = SimpleNamespace(triggers=True), SimpleNamespace(key="s.out->n.in")
    items = [
        SimpleNamespace(edge=edge, message=Message("s.out", 0, i, (), c, c, c, {}, Event("e")))
        for i, c in enumerate((mine, other, third))
    ]
    firing: Any = SimpleNamespace(items=[(port, items)], cause=mine, t=9)
    tracer.begun("n", firing)
    tracer.ended("n", "consumed")
    (noted,) = tracer.take()
    assert isinstance(noted, Fired)
    assert (noted.node, noted.life, noted.t) == ("n", 3, 9)
    assert [cause for _, _, cause in noted.reads] == [mine, other]
    firing.items = [(port, items[2:])]
    tracer.begun("n", firing)
    tracer.ended("n", "consumed")
    assert tracer.take() == []
