"""Turns within a run: none is traced in those that are not observed, and what observing adds is seen through any drift."""

from __future__ import annotations

import random
from contextlib import aclosing

import numpy as np
import pytest
from budget_virtual import VirtualClock, in_virtual_time
from observe_figures import Taken, between, in_pairs, of_traced, of_turns
from observe_turns import SHARE, InTurns, Turns

from omnistream.message import SECOND
from omnistream.node import Context
from omnistream.observe.tracer import sampled

RATE_HZ = 100.0


def emitted(turns: Turns) -> tuple[int, list[int]]:
    """When a run began, and the stamps of its messages."""

    async def run(clock: VirtualClock) -> tuple[int, list[int]]:
        start, found = clock.now(), list[int]()
        ctx = Context("n0", clock, np.random.default_rng(0), lambda _reason, _text: None, start_ns=start)
        async with aclosing(InTurns(rate_hz=RATE_HZ, marks=turns.marks).run(ctx)) as items:
            async for item in items:
                assert item.stamp_ns is not None
                found.append(item.stamp_ns)
                if item.stamp_ns - start >= turns.begin_ns(len(turns)):
                    break
        return start, found

    return in_virtual_time(run)


def test_a_turn_and_its_neighbour_are_one_of_each_as_often_either_way_round() -> None:
    for seed in range(20):
        marks = Turns.drawn(10, seed).marks
        pairs = [marks[i : i + 2] for i in range(0, 20, 2)]
        assert sorted(pairs) == ["01"] * 5 + ["10"] * 5
    assert len({Turns.drawn(10, seed) for seed in range(20)}) > 15


def test_of_messages_one_in_a_hundred_is_traced_where_it_is_observed_and_none_elsewhere() -> None:
    turns = Turns.drawn(40, 0)
    start, stamps = emitted(turns)
    traced = {True: 0, False: 0}
    for stamp in stamps:
        traced[turns.observed(turns.at(stamp - start))] += sampled(stamp, SHARE)
    assert traced[False] == 0
    assert 20 < traced[True] < 110  # of 5,500
    counted = [turns.counted(stamp - start) for stamp in stamps]
    assert all(98 <= counted.count(turn) <= 102 for turn in range(len(turns)))


@pytest.mark.parametrize("added_us", [0, 50])
def test_what_observing_adds_is_found_though_runs_and_minutes_differ_by_more(added_us: int) -> None:
    rng, found, traces = random.Random(added_us), list[list[float]](), list[list[float]]()
    for run in range(6):
        turns = Turns.drawn(20, run)
        start, stamps = emitted(turns)
        base = rng.uniform(500, 1200)
        taken: list[Taken] = []
        for stamp in stamps:
            seconds = (stamp - start) / SECOND
            took = base + 3 * seconds + rng.expovariate(1 / 300)
            took += added_us * turns.observed(turns.at(stamp - start)) + 400 * sampled(stamp, SHARE)
            taken.append(Taken(stamp, int(took * 1000)))
        p50 = of_turns(taken, start, turns)["p50"]
        found.append([on - off for off, on in in_pairs(p50, turns)])
        traces.append(of_traced(taken, start, turns))
    low, _, high = between(found)
    assert low < added_us < high
    assert high - low < 45
    assert between(traces)[0] > 200
