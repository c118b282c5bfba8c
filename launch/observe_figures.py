"""What observing adds, from turns within runs: each turn against its neighbour, each traced message against those beside it."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from observe_turns import SHARE, Turns

from omnistream.flow.cell import Firing
from omnistream.message import Message, Text
from omnistream.observe.tracer import Tracer, sampled

__all__ = ["Taken", "asking_us", "between", "in_pairs", "of_traced", "of_turns"]

_BESIDE = 10


class Taken(NamedTuple):
    """One message that the sink had: its stamp, and how long it took to there."""

    stamp_ns: int
    took_ns: int


def of_turns(taken: Sequence[Taken], start_ns: int, turns: Turns) -> dict[str, list[float]]:
    """p50 and p99 of each turn, in microseconds."""
    of: list[list[float]] = [[] for _ in range(len(turns))]
    for stamp, took in taken:
        turn = turns.counted(stamp - start_ns)
        if turn is not None:
            of[turn].append(took / 1000)
    return {"p50": [statistics.median(t) for t in of], "p99": [statistics.quantiles(t, n=100)[98] for t in of]}


def of_traced(taken: Sequence[Taken], start_ns: int, turns: Turns) -> list[float]:
    """How much longer each message that was traced took than the median of those beside it, in microseconds."""
    found: list[float] = []
    for turn in range(len(turns)):
        if not turns.observed(turn):
            continue
        mine = [t for t in taken if turns.counted(t.stamp_ns - start_ns) == turn]
        for i, one in enumerate(mine):
            if sampled(one.stamp_ns, SHARE):
                beside = [t.took_ns for t in mine[max(0, i - _BESIDE) : i + _BESIDE + 1] if not sampled(t.stamp_ns, SHARE)]
                found.append((one.took_ns - statistics.median(beside)) / 1000)
    return found


def in_pairs(values: Sequence[float], turns: Turns) -> list[tuple[float, float]]:
    """Figures of turns as pairs of neighbours: without and with observation."""
    pairs = zip(values[::2], values[1::2], strict=True)
    return [(b, a) if turns.observed(2 * i) else (a, b) for i, (a, b) in enumerate(pairs)]


def between(runs: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The median of all, and in between what 95 of 100 such medians lie, with the runs drawn anew and what is in each."""
    rng = random.Random(0)
    medians: list[float] = []
    for _ in range(2000):
        drawn = rng.choices(runs, k=len(runs))
        medians.append(statistics.median([x for run in drawn for x in rng.choices(run, k=len(run))]))
    medians.sort()
    return medians[50], statistics.median([x for run in runs for x in run]), medians[1949]


def asking_us(nodes: int, rate_hz: float) -> float:
    """What one worker with so many nodes spends on a message to find that it is not traced, in microseconds.

    The difference of medians, with and without, one message at a time, as rarely as they come: who has slept is slower than
    a loop.
    """
    tracer, spent = Tracer(SHARE, time.monotonic_ns, 0), (list[int](), list[int]())
    nothing: Any = None
    for i in range(600):
        time.sleep(1 / rate_hz)
        stamp = time.monotonic_ns()
        while sampled(stamp, SHARE):
            stamp += 1
        began = time.perf_counter_ns()
        message = Message("n.out", 0, 0, ("n.out", 0, 0), stamp, stamp, stamp, {}, Text("go forward ten meters"), stamp)
        firing = Firing(stamp)
        firing.cause, firing.items = stamp, [(nothing, [nothing])]
        for _ in range(nodes if i % 2 else 0):
            tracer.begun("n", firing)
            tracer.gave("n", message)
            tracer.ended("n", "consumed")
        spent[i % 2].append(time.perf_counter_ns() - began)
    return (statistics.median(spent[1]) - statistics.median(spent[0])) / 1000
