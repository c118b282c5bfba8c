"""Run time: it never steps back, and the manual clock wakes sleepers in the order of their times."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.clock import DRIFT_PPM, SLEW_PPM, ManualClock, OffsetEstimate, Slew, SlewedClock, SystemClock, unix_ns
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


# -- other hosts ----------------------------------------------------------------------------------

far = st.integers(-(10**15), 10**15)
near = st.integers(0, 10**10)


@given(st.integers(0, 10**15), far, st.lists(st.tuples(near, st.integers(-(10**8), 10**8), near), max_size=6))
def test_a_slewed_clock_never_steps_and_comes_to_its_target(m: int, offset: int, aims: list) -> None:
    """Readings of it rise as the monotonic clock does, but for the slew's rate, whenever it is given another target."""
    slew = Slew(m, offset, offset, 0)
    clock = SlewedClock(lambda: slew, lambda: m)
    last = clock.now()
    for wait, shift, later in aims:
        for step in (wait, later):
            m += step
            now = clock.now()
            assert abs(now - last - step) <= step * SLEW_PPM // 1_000_000 + 1
            last = now
        before = slew.at(m)
        slew = slew.towards(slew.target_ns + shift, 5, m)
        assert slew.at(m) == before
        assert clock.now() == last
    m += abs(slew.target_ns - slew.at(m)) * (1_000_000 // SLEW_PPM) + 1
    assert slew.at(m) == slew.target_ns
    assert last <= clock.now() == m + slew.target_ns


@given(far, st.lists(st.tuples(near, near, near), min_size=1, max_size=50), st.integers(-DRIFT_PPM, DRIFT_PPM))
def test_the_true_offset_is_within_the_error(offset: int, trips: list, drift: int) -> None:
    """However unlike the two ways of a question are, and while the clocks drift apart."""
    estimate, now = OffsetEstimate(), 10**12

    def there(run: int) -> int:
        return run - offset - (run - 10**12) * drift // 1_000_000

    for out, back, pause in trips:
        estimate.answered(now, there(now + out), now + out + back)
        now += out + back + pause
        found, error = estimate.best(now)
        slip = (out + back) * DRIFT_PPM // 1_000_000 + 2  # while a question is under way
        assert abs(found - (now - there(now))) <= error + slip


def test_the_least_round_trip_wins_until_it_is_old() -> None:
    estimate = OffsetEstimate()
    estimate.answered(1000 * MS, 0, 1010 * MS)
    estimate.answered(2000 * MS, 1000 * MS, 2001 * MS)
    estimate.answered(3000 * MS, 2000 * MS, 3020 * MS)
    assert estimate.best(3020 * MS)[0] == 1000 * MS + MS // 2
    assert estimate.best(3020 * MS)[1] < MS
    estimate.answered(1000 * SECOND, 999 * SECOND, 1000 * SECOND + 20 * MS)
    assert estimate.best(1000 * SECOND + 20 * MS)[0] == SECOND + 10 * MS


def test_a_clock_whose_slew_changes_under_it_does_not_go_back() -> None:
    slews = [Slew(0, 100, 100, 0), Slew(0, 50, 50, 0)]
    clock = SlewedClock(lambda: slews.pop(0), lambda: 10)
    assert clock.now() == clock.now() == 110
