"""A robot's session without a socket, on a clock moved by hand, against frames written by hand."""

from __future__ import annotations

import random

from omnistream.client.session import RobotSession
from omnistream.protocol.codec import Ack, ActionFrame, Bye, Hello, Ping, Pong, Unknown, Welcome, decode, encode

MS = 1_000_000
AHEAD = 10**15  # the sender's clock is so far ahead of ours


def connected(now=0, **over):
    session = RobotSession("robot", **over)
    hello = decode(session.outgoing(now)[0], Hello)
    welcome(session, hello.t0_ns, now)
    return session


def welcome(session, t0, now, run=1):
    frame = Welcome(t0_ns=t0, t1_ns=now + AHEAD, t2_ns=now + AHEAD, run=run, heartbeat_ms=200, watchdog_ms=500)
    session.received([encode(frame)], now)


def motion(number, now, ttl_ms=200, kind="velocity", stamp=None, **values):
    stamp = now + AHEAD if stamp is None else stamp
    values = values or {"x_mps": 0.1}
    return [
        encode(ActionFrame(id=f"m{number}", stamp_ns=stamp, valid_until_ns=now + AHEAD + ttl_ms * MS, kind=kind, values=values))
    ]


def stop(number, stamp=0):
    return [encode(ActionFrame(id=f"s{number}", stamp_ns=stamp, kind="stop"))]


def acks(session, now):
    frames = [decode(d, Ack, Ping, Hello) for d in session.outgoing(now)]
    return [(f.id, f.status) for f in frames if isinstance(f, Ack)]


def test_hello_until_welcomed_then_heartbeats():
    session = RobotSession("robot")
    assert decode(session.outgoing(0)[0], Hello).client == "robot"
    assert session.outgoing(99 * MS) == []
    t0 = decode(session.outgoing(100 * MS)[0], Hello).t0_ns
    assert not session.connected(100 * MS)
    welcome(session, t0, 101 * MS)
    assert session.connected(101 * MS)
    assert decode(session.outgoing(301 * MS)[0], Ping).t0_ns == 301 * MS
    assert not session.connected(10_000 * MS)


def test_a_restarted_sender_gets_a_hello():
    session = connected()
    session.received([encode(Unknown())], MS)
    assert decode(session.outgoing(200 * MS)[0], Hello)


def test_valid_until_is_judged_by_the_senders_clock():
    session = connected()
    session.received(motion(1, 0, ttl_ms=10), MS)
    assert session.next(MS).id == "m1"
    session.received(motion(2, 0, ttl_ms=10), 11 * MS)
    assert session.next(11 * MS) is None
    assert sorted(acks(session, 11 * MS)) == [("m1", "done"), ("m2", "expired")]


def test_what_waited_too_long_for_its_turn_is_expired_then():
    session = connected()
    session.received(motion(1, 0), 0)
    session.received(motion(2, 0, ttl_ms=10), 0)
    assert session.next(0).id == "m1"
    assert session.next(20 * MS) is None
    assert acks(session, 20 * MS) == [("m1", "done"), ("m2", "expired")]


def test_done_is_acknowledged_when_the_next_is_asked_for_and_refused_where_said():
    session = connected()
    session.received(motion(1, 0), 0)
    session.next(0)
    assert acks(session, 0) == []
    session.finish("refused", "arm is jammed")
    session.next(0)
    assert acks(session, 0) == [("m1", "refused")]


def test_a_stop_overtakes_what_waits_and_supersedes_it():
    session = connected()
    for i in range(3):
        session.received(motion(i, 0), 0)
    session.received(stop(1, stamp=AHEAD), 0)
    assert session.next(0).id == "s1"
    assert session.next(0) is None
    assert acks(session, 0) == [("s1", "done"), ("m0", "superseded"), ("m1", "superseded"), ("m2", "superseded")]


def test_a_repeated_stop_is_done_once_and_acknowledged_when_it_was():
    session = connected()
    session.received(stop(1), 0)
    session.received(stop(1), 0)
    assert session.next(0).id == "s1"
    session.received(stop(1), 0)
    assert acks(session, 0) == []
    assert session.next(0) is None
    session.received(stop(1), 0)
    assert session.next(0) is None
    assert acks(session, 0) == [("s1", "done"), ("s1", "done")]


def test_a_duplicate_is_acknowledged_as_such():
    session = connected()
    session.received(motion(1, 0), 0)
    session.received(motion(1, 0), 0)
    assert session.next(0).id == "m1"
    assert session.next(0) is None
    assert sorted(acks(session, 0)) == [("m1", "done"), ("m1", "duplicate")]


def test_the_watchdog_stops_and_says_when_to_look():
    session = connected()
    session.received(motion(1, 0), 0)
    session.next(0)
    assert session.wake_ns(450 * MS) <= 500 * MS
    session.received([encode(Pong(t0_ns=1, t1_ns=2, t2_ns=2, run=1))], 499 * MS)
    assert session.next(499 * MS) is None
    own = session.next(500 * MS)
    assert own.is_stop
    assert session.next(501 * MS) is None
    assert acks(session, 501 * MS) == [("m1", "done")]  # the sender did not send that stop


def test_own_watchdog_is_kept_and_the_senders_taken_where_there_is_none():
    assert connected(watchdog_ms=100).guard.watchdog_ns == 100 * MS
    session = RobotSession("robot")
    frame = Welcome(t0_ns=0, t1_ns=0, t2_ns=0, run=1, heartbeat_ms=-5, watchdog_ms=10**9)
    session.received([encode(frame)], 0)
    assert session.guard.watchdog_ns == 60_000 * MS  # whatever a sender says, within reason


def test_another_run_has_another_clock_and_older_stamps():
    session = connected()
    session.received(stop(1, stamp=AHEAD + 10**12), 0)
    session.next(0)
    hello_at = 200 * MS
    session.outgoing(hello_at)
    session.received([encode(Welcome(t0_ns=hello_at, t1_ns=7, t2_ns=7, run=2, heartbeat_ms=200, watchdog_ms=500))], hello_at)
    frame = ActionFrame(id="new", stamp_ns=6, valid_until_ns=8, kind="velocity", values={"x_mps": 0.1})
    session.received([encode(frame)], hello_at)
    assert session.next(hello_at).id == "new"


def test_a_thousand_frames_of_garbage_move_nothing():
    session, rng = connected(), random.Random(1)
    good = motion(1, 0)[0]
    for i in range(1000):
        data = bytearray(good if i % 2 else rng.randbytes(rng.randrange(200)))
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        session.received([bytes(data)] * rng.choice([1, 1, 1, 0, 2]), 0)
        session.outgoing(0)
    assert session.counts["garbage"] > 400
    session.received(stop(1), 0)
    assert session.next(0).id == "s1"


def test_goodbye_says_what_is_still_owed():
    session = connected()
    session.received(motion(1, 0), 0)
    session.next(0)
    session.finish("done")
    frames = [decode(d, Ack, Bye) for d in session.goodbye()]
    assert [f.TYPE for f in frames] == ["ack", "bye"]


def test_a_motion_of_a_run_that_is_over_is_not_done_after_its_stop():
    """It waits behind a stop; the sender's next run knows of neither, and must not set the motion free."""
    session = connected()
    session.received(motion(1, 0, ttl_ms=60_000, kind="forward", distance_m=1.0), 0)
    session.received(stop(1, stamp=AHEAD + 1), 0)
    session.received([encode(Unknown())], MS)
    t0 = decode(session.outgoing(200 * MS)[0], Ack, Hello)
    hello = t0 if isinstance(t0, Hello) else decode(session.outgoing(400 * MS)[-1], Hello)
    welcome(session, hello.t0_ns, 400 * MS, run=2)
    assert session.next(400 * MS).kind == "stop"
    assert session.next(400 * MS) is None
    assert ("m1", "superseded") in acks(session, 401 * MS)
