"""Which stamp a picture gets: pure arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from omnistream.clock import SystemClock, unix_ns
from omnistream.message import MS, SECOND
from omnistream.testing import context
from omnistream_drivers._timeline import CaptureClock, Thinner
from omnistream_drivers.camera import _device_stamps

NOW = 1_800_000_000 * SECOND


def test_device_stamp_is_used_within_a_second_of_arrival() -> None:
    assert CaptureClock().stamp(NOW, [NOW - 300 * MS], "rtcp") == (NOW - 300 * MS, "rtcp")


def test_device_stamp_further_off_is_replaced_and_counted() -> None:
    clock = CaptureClock()
    assert clock.stamp(NOW, [NOW - 1001 * MS]) == (NOW, "arrival")
    assert clock.stamp(NOW + 1, [NOW + 500 * MS]) == (NOW + 1, "arrival")
    assert clock.skewed == 2


def test_no_picture_is_stamped_after_it_came() -> None:
    assert CaptureClock().stamp(NOW, [NOW + 3 * MS], "rtcp") == (NOW, "rtcp")


def test_no_device_stamp_is_arrival_and_no_fault() -> None:
    clock = CaptureClock()
    assert clock.stamp(NOW) == (NOW, "arrival")
    assert clock.skewed == 0


@given(st.lists(st.tuples(st.integers(0, 10**10), st.lists(st.integers(-(10**10), 10**10), max_size=2))))
def test_stamps_strictly_increase_whatever_the_device_says(frames: list[tuple[int, list[int]]]) -> None:
    clock, stamps = CaptureClock(), []
    for arrival, readings in frames:
        stamps.append(clock.stamp(arrival, readings)[0])
    assert all(b > a for a, b in itertools.pairwise(stamps))


@given(st.integers(1, 10**9), st.lists(st.integers(1, 10**9), max_size=50))
def test_a_declared_period_is_kept(period: int, steps: list[int]) -> None:
    thin, at, passed = Thinner(period), 0, []
    for step in steps:
        at += step
        if thin.passes(at):
            passed.append(at)
    assert all(b - a >= period * 4 // 5 for a, b in itertools.pairwise(passed))


def test_a_camera_at_its_declared_rate_loses_nothing_to_jitter() -> None:
    thin = Thinner(66 * MS)
    assert all(thin.passes(i * 66 * MS + (i * 7919 % 13 - 6) * MS) for i in range(200))


def _frame(pts_ns: int) -> SimpleNamespace:
    return SimpleNamespace(pts=pts_ns // 1000, time_base=Fraction(1, 1_000_000))


def test_v4l2_stamps_of_either_clock_become_run_time() -> None:
    ctx = context(clock=SystemClock(offset_ns=5_000 * SECOND))
    now = ctx.clock.now()
    monotonic = now - 5_000 * SECOND - 30 * MS
    for device in (monotonic, unix_ns() - 30 * MS):
        readings, source = _device_stamps("v4l2", None, _frame(device), ctx)
        stamp, source = CaptureClock().stamp(now, readings, source)
        assert abs(now - 30 * MS - stamp) < 20 * MS
        assert source == "device"


def test_rtcp_stamps_are_the_sender_s_time_of_day() -> None:
    ctx = context(clock=SystemClock())
    container = SimpleNamespace(start_time_realtime=unix_ns() // 1000 - 2_000_000)
    readings, source = _device_stamps("rtsp", container, _frame(1_900 * MS), ctx)
    assert source == "rtcp"
    assert abs(readings[0] - (ctx.clock.now() - 100 * MS)) < 20 * MS
    container.start_time_realtime = None
    assert _device_stamps("rtsp", container, _frame(0), ctx) == ([], "rtcp")
