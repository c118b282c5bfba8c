"""What an actions sink lets out, on times given by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.message import INFINITY, MS, Action, Message
from omnistream_drivers.action_gate import ActionGate, Refusal, check_limits


def message(stamp_ms, kind="velocity", ttl_ms: int | None = 200, origin=None, **values):
    stamp = stamp_ms * MS
    until = INFINITY if kind == "stop" or ttl_ms is None else stamp + ttl_ms * MS
    return Message(
        "drive.out", 0, stamp_ms, origin or ("drive.out", 0, stamp_ms), stamp, stamp, stamp, {}, Action(kind, until, values)
    )


def gate(**over):
    return ActionGate(**{"name": "robot", "run": 1, "limits": {"x_mps": (-0.5, 0.5)}} | over)


def reason(result):
    return result.reason if isinstance(result, Refusal) else "sent"


def test_valid_until_is_checked_at_the_send_and_its_last_moment_counts():
    g = gate()
    assert reason(g.admit(message(100, x_mps=0.1), 300 * MS)) == "sent"
    assert reason(g.admit(message(101, x_mps=0.1), 301 * MS + 1)) == "expired"


def test_stop_never_expires_and_is_never_refused():
    g = gate(strict=True)
    g.safe("test", 0)
    stop = g.admit(message(100, "stop", x_mps=float("nan")), 10**18)
    assert not isinstance(stop, Refusal)
    assert stop.is_stop
    assert stop.valid_until_ns is None


@pytest.mark.parametrize("value", [0.51, -0.51, float("nan"), float("inf"), float("-inf"), "fast", None])
def test_outside_its_limits_a_value_is_refused_by_name_never_clipped(value):
    refusal = gate().admit(message(1, x_mps=value), MS)
    assert reason(refusal) == "refused"
    assert "x_mps" in refusal.text


def test_a_field_without_a_limit_passes_unless_the_sink_is_strict():
    assert reason(gate().admit(message(1, y_mps=9.0), MS)) == "sent"
    assert reason(gate(strict=True).admit(message(1, y_mps=0.0), MS)) == "refused"
    assert reason(gate().admit(message(1, y_mps=float("nan")), MS)) == "refused"


def test_a_motion_that_never_expires_is_refused():
    assert reason(gate().admit(message(1, ttl_ms=None, x_mps=0.1), MS)) == "refused"


def test_an_origin_goes_out_once():
    g = gate()
    assert reason(g.admit(message(1, origin=("a", 0, 0), x_mps=0.1), MS)) == "sent"
    assert reason(g.admit(message(2, origin=("a", 0, 0), x_mps=0.1), 2 * MS)) == "duplicate"


def test_a_refused_origin_may_come_again_in_time():
    g = gate()
    assert reason(g.admit(message(1, origin=("a", 0, 0), x_mps=9.0), MS)) == "refused"
    assert reason(g.admit(message(1, origin=("a", 0, 0), x_mps=0.1), MS)) == "sent"


def test_what_is_not_newer_than_a_stop_is_superseded():
    g = gate()
    g.admit(message(100, "stop"), 100 * MS)
    assert [reason(g.admit(message(t, x_mps=0.1), 101 * MS)) for t in (99, 100, 101)] == ["superseded", "superseded", "sent"]


def test_own_stops_stand_behind_all_that_went_out_and_before_the_rest():
    g = gate()
    g.admit(message(100, x_mps=0.1), 150 * MS)
    stop = g.stop("because", 160 * MS)
    assert stop.stamp_ns == 100 * MS  # a command stamped 120 that is re-executed after a restart is still obeyed
    assert reason(g.admit(message(120, x_mps=0.1), 170 * MS)) == "sent"
    assert stop.id != g.stop("because", 161 * MS).id
    assert stop.id not in {gate(incarnation=1).stop("x", 0).id, gate(run=2).stop("x", 0).id}


def test_safe_refuses_motion_until_resume():
    g = gate()
    assert g.safe("worker mind is down", 0).is_stop
    refused = g.admit(message(1, x_mps=0.1), MS)
    assert reason(refused) == "refused"
    assert "worker mind is down" in refused.text
    g.resume()
    assert reason(g.admit(message(2, x_mps=0.1), 2 * MS)) == "sent"


def test_watchdog_stops_a_stream_that_dried_up_once():
    g = gate()
    g.sent(g.admit(message(0, x_mps=0.1), 0), 0)
    assert g.deadline_ns() == 500 * MS
    assert g.watchdog(499 * MS) is None
    stop = g.watchdog(500 * MS)
    assert stop is not None
    assert stop.is_stop
    assert g.watchdog(10_000 * MS) is None
    assert g.deadline_ns() == INFINITY


@pytest.mark.parametrize("last", [message(1, x_mps=0.0), message(1, "pick"), message(1, "stop")])
def test_watchdog_lets_rest_what_rests_or_ends_by_itself(last):
    g = gate()
    g.sent(g.admit(message(0, x_mps=0.1), 0), 0)
    g.sent(g.admit(last, MS), MS)
    stop = g.watchdog(499 * MS) or g.watchdog(5000 * MS)
    assert (stop is not None) == (last.payload.kind == "pick")  # a skill does not renew the velocity before it


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300), st.sampled_from(["velocity", "stop", "pick"])), max_size=60))
def test_whatever_comes_nothing_late_or_behind_a_stop_goes_out(sequence):
    g, now, stops = gate(), 0, [-1]
    for step_ms, stamp_ms, kind in sequence:
        now += step_ms * MS
        m = message(stamp_ms, kind, x_mps=0.1)
        result = g.admit(m, now)
        if kind == "stop":
            stops.append(m.stamp_ns)
            assert reason(result) == "sent"
        elif reason(result) == "sent":
            assert now <= m.payload.valid_until_ns
            assert m.stamp_ns > max(stops)


@pytest.mark.parametrize("pair", [[1], [2, 1], [0, float("inf")], [float("nan"), 1], [1, 2, 3]])
def test_a_limit_that_is_no_range_is_refused(pair):
    with pytest.raises(ValueError, match=r"limits\.x_mps"):
        check_limits({"x_mps": pair})
