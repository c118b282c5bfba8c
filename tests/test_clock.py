"""Run time: it never steps back, and the manual clock wakes sleepers in the order of their times."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.clock import ManualClock, SystemClock, unix_ns
from omnistream.message import MS, SECOND


@given(st.lists(st.integers(0, 30), max_size=12), st.lists(st.integers(0, 15), max_size=8))
@settings(deadline=None, max_examples=100)
def test_sleepers_wake_in_the_order_of_their_times(whens: list[int], steps: list[int]) -> None:
    """Those of one time in the order in which they lay down; nobody before the time, everybody once it has come."""

    async def main() -> None:
        clock = ManualClock()
        woken: list[tuple[int, int]] = []

        async def sleeper(number: int, when: int) -> None:
            await clock.sleep_until(when)
            assert clock.now() >= when
            woken.append((when, number))

        tasks = [asyncio.create_task(sleeper(n, when)) for n, when in enumerate(whens)]
        await turn()
        for step in [*steps, 1000]:
            clock.advance(step)
            await turn()
            assert len(woken) == sum(when <= clock.now() for when in whens)
        assert woken == sorted((when, n) for n, when in enumerate(whens))
        await asyncio.gather(*tasks)

    asyncio.run(main())


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_time_that_has_passed_is_not_waited_for() -> None:
    clock = ManualClock(100)
    await asyncio.wait_for(clock.sleep_until(100), 1)
    await asyncio.wait_for(clock.sleep_until(5), 1)
    assert clock.now() == 100


async def test_a_sleeper_that_was_cancelled_holds_up_nobody() -> None:
    clock = ManualClock()
    first, second = (asyncio.create_task(clock.sleep_until(when)) for when in (5, 6))
    await turn()
    first.cancel()
    await turn()
    clock.advance(10)
    await asyncio.wait_for(second, 1)
    assert first.cancelled()


async def test_a_sleeper_may_lie_down_again() -> None:
    clock, woken = ManualClock(), []

    async def often() -> None:
        for when in (10, 20, 30):
            await clock.sleep_until(when)
            woken.append((when, clock.now()))

    task = asyncio.create_task(often())
    for _ in range(5):
        await turn()
        clock.advance(10)
    await asyncio.wait_for(task, 1)
    assert woken == [(10, 10), (20, 20), (30, 30)]


def test_run_time_reads_as_unix_time_and_never_steps_back() -> None:
    clock = SystemClock()
    reads = [clock.now() for _ in range(1000)]
    assert reads == sorted(reads)
    assert abs(reads[-1] - unix_ns()) < SECOND


def test_workers_that_share_an_offset_share_the_time() -> None:
    here, there = SystemClock(), SystemClock(0)
    there = SystemClock(here.offset_ns)
    a, b, c = here.now(), there.now(), here.now()
    assert a <= b <= c


async def test_sleeping_until_a_time_takes_until_then() -> None:
    clock = SystemClock()
    when = clock.now() + 5 * MS
    await clock.sleep_until(when)
    assert clock.now() >= when - MS  # the event loop's own clock is coarser
    await asyncio.wait_for(clock.sleep_until(clock.now() - SECOND), 1)
