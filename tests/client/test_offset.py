"""The estimate of the other clock, on clocks moved by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnistream.client.offset import ClockOffset

delays = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**6)), min_size=1, max_size=40)


@given(st.integers(-(10**18), 10**18), delays)
def test_run_time_is_never_taken_for_earlier_than_it_is_nor_much_later(true_offset, exchanges):
    """Whatever the two ways take: what is valid to us is valid; and we lose no more than the best round trip."""
    estimate, local = ClockOffset(), 10**9
    for there, back, held in exchanges:
        estimate.asked(local)
        t1 = local + there + true_offset
        assert estimate.answered(local, t1, t1 + held, local + there + held + back)
        local += 10**9
    best = min(there + back for there, back, _ in exchanges[-16:])
    error = estimate.latest_run_time(local) - (local + true_offset)
    assert 0 <= error <= best + 1
    assert estimate.uncertainty_ns == best // 2


def test_answers_that_were_not_asked_for_or_make_no_sense_are_not_believed():
    estimate = ClockOffset()
    assert not estimate.answered(1, 5, 5, 2)
    estimate.asked(10)
    assert not estimate.answered(10, 100, 99, 20)  # left before it arrived
    assert not estimate.answered(10, 100, 200, 20)  # held longer than it was away
    assert not estimate.answered(10, 100, 100, 9)  # back before it left
    assert not estimate.known
    assert estimate.latest_run_time(0) is None
    assert estimate.answered(10, 100, 100, 20)
    assert not estimate.answered(10, 100, 100, 20)  # once


def test_another_clock_at_the_other_end_starts_anew():
    estimate = ClockOffset()
    estimate.asked(10)
    estimate.answered(10, 100, 100, 20)
    estimate.reset()
    assert not estimate.known
