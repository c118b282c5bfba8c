"""The estimate of a step's time: near the median, quick to begin, and never a reason to skip for ever."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.typical import Typical


@given(st.integers(1_000, 10**9), st.integers(0, 2**32))
def test_it_is_near_the_median_and_follows_a_change(middle: int, seed: int) -> None:
    r, typical = random.Random(seed), Typical()
    for scale in (1, 10, 1):
        for _ in range(200):
            typical.took(int(middle * scale * r.uniform(0.8, 1.2)))
        assert 0.7 * middle * scale < typical.ns < 1.4 * middle * scale


def test_a_slow_first_step_is_forgotten_at_once() -> None:
    typical = Typical()
    for ns in (500_000_000, 10_000_000):
        typical.took(ns)
    assert typical.ns == 10_000_000


@given(st.integers(1, 10**12))
def test_what_is_skipped_is_tried_again(ns: int) -> None:
    typical = Typical()
    typical.took(ns)
    for _ in range(500):
        typical.skipped()
    assert typical.ns < 200


def test_other_steps_begin_anew() -> None:
    typical = Typical()
    for _ in range(20):
        typical.took(50_000_000)
    typical.anew()
    typical.took(1_000_000)
    assert typical.ns == 1_000_000
