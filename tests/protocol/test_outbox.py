"""What waits for a broker, on times given by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnistream.message import INFINITY, SECOND
from omnistream.protocol.outbox import Outbox, Publish, expiry_s


def publish(number, **over):
    return Publish(**{"topic": "t", "payload": b"%d" % number, "what": str(number), "expires_ns": 10 * SECOND} | over)


def take_all(box, **options):
    taken = []
    while found := box.next(**options):
        taken.append(found)
    return taken


@given(st.lists(st.sampled_from(["put", "next", "done", "lose"]), max_size=100), st.integers(1, 8))
def test_everything_put_is_acknowledged_waiting_or_dropped_and_stays_in_order(steps, limit):
    box, number, done, dropped, under_way = Outbox(limit), 0, [], [], []
    for step in steps:
        if step == "put":
            number += 1
            gone = box.put(publish(number))
            dropped += [int(gone.what)] if gone else []
        elif step == "next" and (found := box.next()):
            assert not under_way or int(found[1].what) > int(under_way[-1][1].what)
            under_way.append(found)
        elif step == "done" and under_way:
            key, first = under_way.pop(0)
            box.done(key)
            done.append(int(first.what))
        elif step == "lose":
            box.again()
            under_way.clear()
        waiting = [int(p.what) for p in box]
        assert waiting == sorted(waiting)
        assert len(waiting) <= limit
        assert sorted(done + dropped + waiting) == list(range(1, number + 1))
    assert done == sorted(done)


def test_a_stop_goes_first_and_is_never_dropped():
    box = Outbox(3)
    for i in range(3):
        box.put(publish(i))
    stop = publish(9, expires_ns=INFINITY, urgent=True)
    assert box.put(stop).what == "0"
    assert box.put(publish(4)).what == "1"
    assert [p.what for _, p in take_all(box)] == ["9", "2", "4"]
    full = Outbox(1)
    full.put(stop)
    refused = publish(5)
    assert full.put(refused) is refused
    assert full.put(publish(6, expires_ns=INFINITY)) is None


def test_only_urgent_ones_pass_a_full_pipe():
    box = Outbox(5)
    box.put(publish(1))
    box.put(publish(2, urgent=True))
    assert [p.what for _, p in take_all(box, urgent=True)] == ["2"]
    assert [p.what for p in box.withdraw("t")] == ["1"]


def test_what_is_late_is_taken_out_unless_it_is_under_way():
    box = Outbox(5)
    box.put(publish(1, expires_ns=SECOND))
    box.put(publish(2, expires_ns=SECOND))
    box.next()
    assert box.expired(SECOND) == []
    assert [p.what for p in box.expired(SECOND + 1)] == ["2"]
    box.again()
    assert [p.what for p in box.expired(SECOND + 1)] == ["1"]


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_message_expiry_is_whole_seconds_never_zero_never_early(now, left):
    seconds = expiry_s(publish(1, expires_ns=now + left), now)
    assert seconds >= 1
    assert seconds * SECOND >= left
    assert (seconds - 1) * SECOND < max(left, 1)


def test_what_never_expires_has_no_expiry():
    assert expiry_s(publish(1, expires_ns=INFINITY), 0) is None


def test_what_a_stop_has_overtaken_is_not_sent_after_it_on_the_next_connection():
    """A motion that was under way when the connection broke would come to the robot behind the stop that ended it."""
    box = Outbox(8)
    box.put(publish(1))
    box.put(publish(2, topic="other"))
    take_all(box)
    box.put(publish(3, urgent=True, expires_ns=INFINITY))
    take_all(box)
    box.put(publish(4))
    assert [p.what for p in box.again()] == ["1"]
    assert [p.what for _, p in take_all(box)] == ["3", "2", "4"]


def test_of_stops_that_wait_the_last_one_stands_for_all():
    box = Outbox(4)
    for number in range(1, 100):
        box.withdraw("t", urgent=True)
        box.put(publish(number, urgent=True, expires_ns=INFINITY))
        if number == 2:
            take_all(box)
    assert [p.what for p in box] == ["2", "99"], "what is under way may have reached the broker, and stays"
