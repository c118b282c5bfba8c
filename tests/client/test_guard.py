"""The receiver's rules, on times given by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnistream.client import ActionFrame, ActionGuard

MS = 1_000_000


def motion(number=1, stamp=100, until=300, kind="velocity", **values):
    return ActionFrame(id=f"m{number}", stamp_ns=stamp, valid_until_ns=until, kind=kind, values=values or {"x_mps": 0.1})


def stop(number=1, stamp=100):
    return ActionFrame(id=f"s{number}", stamp_ns=stamp, kind="stop")


def test_valid_is_done_once_and_expired_never():
    guard = ActionGuard()
    assert guard.judge(motion(1), 300).do
    assert guard.judge(motion(1), 300).status == "duplicate"
    assert guard.judge(motion(2), 301).status == "expired"


def test_without_the_senders_clock_motion_is_refused_and_a_stop_is_done():
    guard = ActionGuard()
    assert guard.judge(motion(), None).status == "refused"
    assert guard.judge(stop(), None).do


def test_a_stop_supersedes_what_is_not_newer_and_is_done_once():
    guard = ActionGuard()
    assert guard.judge(stop(1, 100), 0).do
    assert guard.judge(motion(1, 100), 0).status == "superseded"
    assert guard.judge(motion(2, 101), 0).do
    again = guard.judge(stop(1, 100), 0)
    assert (again.do, again.status) == (False, "done")
    assert guard.judge(stop(2, 50), 10**18).do  # however old
    guard.new_run()
    assert guard.judge(motion(3, 5), 0).do
    assert guard.judge(motion(2, 101), 0).status == "duplicate"


def test_a_velocity_must_be_renewed_within_the_watchdog():
    guard = ActionGuard(500 * MS, 900 * MS)
    guard.done(motion(), 0)
    assert guard.deadline_ns(0) == 500 * MS
    assert guard.watchdog(499 * MS, 499 * MS) is None
    own = guard.watchdog(500 * MS, 500 * MS)
    assert own.is_stop
    assert "watchdog" in own.text
    assert guard.watchdog(10**12, 0) is None
    assert guard.deadline_ns(0) is None


def test_a_skill_goes_on_until_the_link_is_lost_and_does_not_renew_a_velocity():
    guard = ActionGuard(500 * MS, 900 * MS)
    guard.done(motion(kind="pick"), 0)
    assert guard.watchdog(800 * MS, 0) is None
    assert "link" in guard.watchdog(900 * MS, 0).text
    guard.done(motion(), 0)
    guard.done(motion(kind="gripper"), 400 * MS)
    assert guard.watchdog(500 * MS, 500 * MS) is not None


def test_at_rest_nothing_is_stopped():
    guard = ActionGuard()
    guard.done(motion(), 0)
    guard.done(motion(x_mps=0.0), 1)
    assert guard.watchdog(10**15, 0) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 20), st.integers(0, 20)), max_size=80))
def test_each_id_is_done_at_most_once_in_time_and_never_behind_a_stop(arrivals):
    guard, done, stops, now = ActionGuard(), [], [-1], 0
    for is_stop, number, stamp, step in arrivals:
        now += step
        frame = stop(number, stamp) if is_stop else motion(number, stamp, until=stamp + 10)
        if guard.judge(frame, now).do:
            assert frame.id not in done
            done.append(frame.id)
            if is_stop:
                stops.append(stamp)
            else:
                assert now <= frame.valid_until_ns
                assert stamp > max(stops)
        else:
            assert not is_stop or frame.id in done
