"""Ticks at exact multiples of their period, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.clock import ManualClock, SystemClock
from omnistream.errors import GraphError
from omnistream.message import MS, SECOND
from omnistream.node import Emit
from omnistream.testing import context
from omnistream_drivers.tick import Tick


async def collect(tick: Tick, **over: Any) -> list[Emit[Any]]:
    return [emit async for emit in tick.run(context("beat", **over))]


async def test_a_replay_gives_count_ticks_at_multiples_from_the_start() -> None:
    emits = await collect(Tick(rate_hz=20, count=4), live=False, start_ns=1_001 * MS)
    assert [e.stamp_ns for e in emits] == [1_050 * MS, 1_100 * MS, 1_150 * MS, 1_200 * MS]
    assert [e.bound_ns for e in emits] == [e.stamp_ns + 50 * MS for e in emits]  # type: ignore[operator]
    assert [e.payload.data["i"] for e in emits] == [0, 1, 2, 3]
    assert await collect(Tick(rate_hz=20), live=False) == []
    recorded = await collect(Tick(rate_hz=20), live=False, start_ns=1_001 * MS, end_ns=1_150 * MS)
    assert [e.stamp_ns for e in recorded] == [1_050 * MS, 1_100 * MS, 1_150 * MS]


@given(st.floats(0.01, 10_000), st.integers(0, 10**18))
def test_stamps_are_multiples_of_the_period_and_not_before_the_start(rate: float, start: int) -> None:
    tick = Tick(rate_hz=rate, count=3)
    stamps = [e.stamp_ns for e in asyncio.run(collect(tick, live=False, start_ns=start))]
    assert all(s % tick._period_ns == 0 and s >= start for s in stamps if s is not None)
    assert stamps[0] is not None
    assert stamps[0] - start < tick._period_ns


async def test_live_ticks_wait_for_their_time_and_late_ones_skip() -> None:
    clock = ManualClock(5 * MS)
    ctx = context("beat", clock=clock)
    stream = Tick(rate_hz=100).run(ctx)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not first.done()
    clock.advance(5 * MS)
    assert (await first).stamp_ns == 10 * MS
    clock.advance(57 * MS)  # the graph had no room till 67 ms: 20 to 50 are past, 60 is the newest that is due
    emit = await anext(stream)
    assert (emit.stamp_ns, emit.bound_ns, emit.payload.data["i"]) == (60 * MS, 70 * MS, 1)
    after = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    clock.advance(3 * MS)
    assert (await after).stamp_ns == 70 * MS
    await stream.aclose()  # type: ignore[attr-defined]


async def test_skipped_ticks_are_all_counted() -> None:
    clock = ManualClock(10 * SECOND)
    ctx = context("beat", clock=clock)
    stamps: list[int] = []
    async for emit in Tick(rate_hz=10, count=5).run(ctx):
        stamps.append(emit.stamp_ns or 0)
        clock.advance(350 * MS)
    skipped = sum(int(text.split()[1]) for _, text in ctx.report.rows)  # type: ignore[attr-defined]
    assert len(stamps) + skipped == (stamps[-1] - stamps[0]) // (100 * MS) + 1
    assert {r for r, _ in ctx.report.rows} == {"tick_skipped"}  # type: ignore[attr-defined]


async def test_on_the_system_clock_no_tick_is_early() -> None:
    clock = SystemClock()
    ticks = Tick(rate_hz=200, count=10).run(context("beat", clock=clock, start_ns=clock.now()))
    emits = [(emit.stamp_ns or 0, clock.now()) async for emit in ticks]
    assert all(stamp <= now for stamp, now in emits)


@pytest.mark.parametrize("wrong", [{"rate_hz": 0}, {"rate_hz": float("nan")}, {"rate_hz": 1e9}, {"count": -1}])
def test_rates_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match="tick: rate_hz"):
        Tick(**wrong)
