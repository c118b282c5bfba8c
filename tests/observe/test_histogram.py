"""Histograms: nothing is counted twice or not at all, few samples as many, and a quantile lies where its sample does."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from omnistream.message import MS
from omnistream.observe.histogram import BOUNDS_NS, add, counted, left_bounds, quantile
from omnistream.observe.meter import Meter

SAMPLES = st.lists(st.integers(-(10**12), 10**12), max_size=200)


def test_bounds_rise() -> None:
    for bounds in (BOUNDS_NS, left_bounds(200 * MS)):
        assert list(bounds) == sorted(set(bounds))
    assert BOUNDS_NS[0] == 10_000
    assert BOUNDS_NS[-1] == 10**10


@given(SAMPLES)
def test_each_sample_is_counted_once_in_its_bucket(samples: list[int]) -> None:
    counts = counted(samples, BOUNDS_NS)
    low = -math.inf
    for bound, n in zip((*BOUNDS_NS, math.inf), counts, strict=True):
        assert n == sum(low < s <= bound for s in samples)
        low = bound


@given(SAMPLES, st.integers(0, 200))
def test_parts_add_up_to_the_whole(samples: list[int], at: int) -> None:
    into = counted(samples[:at], BOUNDS_NS)
    add(into, counted(samples[at:], BOUNDS_NS))
    assert into == counted(samples, BOUNDS_NS)


@given(st.lists(st.integers(10_001, 10**10), min_size=1, max_size=100), st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_its_sample(samples: list[int], q: float) -> None:
    found = quantile(counted(samples, BOUNDS_NS), BOUNDS_NS, q)
    sample = sorted(samples)[max(0, math.ceil(q * len(samples) - 1e-9) - 1)]
    above = next(b for b in BOUNDS_NS if sample <= b)
    below = max((b for b in BOUNDS_NS if b < sample), default=0)
    assert found is not None
    assert below <= found <= above


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile(counted([], BOUNDS_NS), BOUNDS_NS, 0.5) is None


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=100), st.integers(0, 50))
def test_a_meter_loses_no_firing_however_it_is_looked_at(firings: list[tuple[int, int]], every: int) -> None:
    """`left` is the budget less age and step, and what is below zero has missed the deadline."""
    budget, offset = 200 * MS, 7_000
    meter = Meter(budget, sink=True)
    for i, (age, step) in enumerate(firings):
        meter.steps.append(step)
        meter.ages.append(age - offset)
        if every and i % every == 0:
            meter.counts(offset)
    found = meter.counts(offset)
    assert [sum(found[k]) for k in ("step", "age", "left")] == [len(firings)] * 3
    assert found["step_ns"] == sum(step for _, step in firings)
    assert found["age_ns"] == sum(age for age, _ in firings)
    assert found["left"] == counted([budget - age - step for age, step in firings], left_bounds(budget))
    assert found["missed"] == sum(age + step > budget for age, step in firings)
