"""The sending end of an edge, by examples; what holds in any sequence of events is in test_edge_machine.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flow_parts import laws, message
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import Queue
from omnistream.flow.edge import Account, Edge, nbytes
from omnistream.message import INFINITY, Action, Detections, Event, Features


class Receiver:
    """The link of an edge: keeps what crosses."""

    def __init__(self, policy: Any = "block", n: int = 1, *, fresh: bool = False, remote: bool = False, **queue: Any) -> None:
        self.got: list[tuple[int, int]] = []
        self.bounds: list[int] = []
        self.lost: list[tuple[int | None, str, int]] = []
        self.acks: list[tuple[int, str]] = []
        self.woken = 0
        queue_config = Queue(policy, n, **queue)
        self.edge = Edge("s.out->n.p", queue_config, fresh=fresh, lost=lambda e, m, r, c: self.lost.append((m and m.seq, r, c)))
        self.edge.link = self
        self.edge.remote = remote
        self.edge.wake = self.wake
        self.next = 0

    def message(self, message: Any, bound: int, ack: Any) -> None:
        self.got.append((message.seq, bound))

    def bound(self, bound: int) -> None:
        self.bounds.append(bound)

    def wake(self) -> None:
        self.woken += 1

    def offer(self, stamp: int, payload: Any = None) -> None:
        seq, self.next = self.next, self.next + 1
        self.edge.stream_bound = stamp + 1
        self.edge.offer(message(stamp, seq, payload), lambda fate: self.acks.append((seq, fate)))

    @property
    def seqs(self) -> list[int]:
        return [seq for seq, _ in self.got]


def test_newest_keeps_the_newest_at_the_sender() -> None:
    """Rule 16: what is old never crosses."""
    r = Receiver("newest")
    for stamp in range(10, 60, 10):
        r.offer(stamp)
        assert r.edge.room
    assert r.seqs == [0]
    assert [seq for seq, _, _ in r.lost] == [1, 2, 3]
    r.edge.credit(1)
    assert r.seqs == [0, 4]
    assert r.edge.counts() == {"sent": 5, "pending": 0, "held": 2, "fates": {"dropped": 3}}


@pytest.mark.parametrize("n", [2, 3, 8])
def test_drop_oldest_keeps_n_messages_in_all(n: int) -> None:
    r = Receiver("drop_oldest", n)
    for stamp in range(20):
        r.offer(stamp)
    assert len(r.seqs) + len(r.edge.pending) == n
    assert [m.seq for m, _ in r.edge.pending] == list(range(20 - len(r.edge.pending), 20))
    assert {reason for _, reason, _ in r.lost} == {"dropped"}


def test_block_has_no_room_while_something_is_pending() -> None:
    """Rule 15: room is demanded before an emission, never during one; one emission of a firing may always be put here."""
    r = Receiver("block", 2)
    for stamp in (1, 2):
        r.offer(stamp)
        assert r.edge.room
    r.offer(3)
    assert not r.edge.room
    assert r.woken == 0
    r.edge.credit(1)
    assert (r.seqs, r.edge.room, r.woken) == ([0, 1, 2], True, 1)
    assert r.lost == []


@pytest.mark.parametrize("policy", ["newest", "drop_oldest"])
def test_nothing_is_dropped_in_a_fresh_replay(policy: str) -> None:
    """Rule 29."""
    r = Receiver(policy, 2, fresh=True)
    for stamp in range(10):
        r.offer(stamp)
    assert not r.edge.room
    r.edge.credit(20)
    assert r.seqs == list(range(10))
    assert r.lost == []


def test_a_message_crosses_with_the_stamp_of_the_next_as_its_bound() -> None:
    r = Receiver("block", 1)
    for stamp in (10, 20, 30):
        r.offer(stamp)
    r.edge.credit(1)
    r.edge.stream_bound = 90
    r.edge.credit(1)
    assert r.got == [(0, 11), (1, 30), (2, 90)]


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 40))
@laws(100)
def test_pending_bytes_are_bounded(sizes: list[int], limit: int) -> None:
    """Every edge is bounded in bytes, too; one message may be larger than that."""
    r = Receiver("drop_oldest", 20, max_bytes=4 * limit)
    r.edge.credits = 0
    for stamp, size in enumerate(sizes):
        r.offer(stamp, Features(np.zeros((1, size), np.float32)))
        held = [nbytes(m.payload) for m, _ in r.edge.pending]
        assert sum(held) <= 4 * limit or len(held) == 1
        assert r.edge.pending[-1][0].seq == r.next - 1


def test_the_size_of_a_payload_is_that_of_its_arrays() -> None:
    assert nbytes(Detections(np.zeros((3, 4), np.float32), ("a", "b", "c"), np.zeros(3, np.float32))) == 60
    assert nbytes(Event("x", {"a": 1})) == 0


# -- bounds ---------------------------------------------------------------------------------------


def test_a_need_is_answered_when_the_bound_is_above_it() -> None:
    r = Receiver()
    assert r.edge.need(10) is False
    r.edge.stream_bound = 10
    assert r.edge.answer() is False
    r.edge.stream_bound = 11
    assert r.edge.answer() is True
    assert r.bounds == [11]
    assert r.edge.need(5) is True  # known at once
    assert r.bounds == [11, 11]
    assert r.edge.answer() is False  # nobody waits: silence


def test_a_small_need_is_answered_although_a_larger_one_is_not() -> None:
    r = Receiver()
    r.edge.need(30)
    r.edge.need(10)
    r.edge.stream_bound = 20
    assert r.edge.answer()
    assert (r.bounds, r.edge.asks) == ([20], [30])


def test_the_end_is_told_unasked_after_all_that_is_pending() -> None:
    """Rule 26."""
    r = Receiver("block", 1)
    r.offer(1)
    r.offer(2)
    r.edge.stream_bound = INFINITY
    assert r.edge.answer() is False
    r.edge.credit(1)
    assert r.bounds[-1:] == [INFINITY]


@pytest.mark.parametrize("how", ["offer", "drop_first", "expire"])
def test_a_drop_releases_the_bound_to_who_waits_for_it(how: str) -> None:
    """Rule 17: pending held the bound at its stamp; once it is gone the need is answered, not at the next occasion."""
    r = Receiver("newest" if how == "offer" else "block")
    payload = Action("go", valid_until_ns=50)
    r.offer(10)
    r.offer(20, payload)
    r.edge.need(25)
    assert r.bounds == []
    if how == "offer":
        r.offer(30)
    elif how == "drop_first":
        r.edge.stream_bound = 30
        r.edge.drop_first("undrained")
    else:
        r.edge.stream_bound = 30
        r.edge.expire(51)
    assert r.bounds == [30]
    assert r.edge.asks == []


# -- expiry, admission, refusal -------------------------------------------------------------------


def test_what_has_expired_leaves_a_block_edge_by_name() -> None:
    """Rule 18; what never expires stays."""
    r = Receiver("block", 1)
    for payload in (Event("a"), Action("go", 100), Action("stop", INFINITY), Action("go", 90), Event("b")):
        r.offer(r.next, payload)
    r.edge.expire(100)
    assert r.lost == [(3, "expired", 1)]
    r.edge.expire(101)
    assert r.lost == [(3, "expired", 1), (1, "expired", 1)]
    assert r.acks == [(3, "expired"), (1, "expired")]
    r.edge.credit(9)
    assert r.seqs == [0, 2, 4]
    assert r.edge.counts() == {"sent": 5, "pending": 0, "held": 3, "fates": {"expired": 2}}


@given(st.integers(1, 4), st.lists(st.integers(0, 12), max_size=12))
@laws(100)
def test_no_more_than_in_flight_are_admitted(in_flight: int, passed: list[int]) -> None:
    """Rule 20: unfinished are those whose stamp has not been passed by every frontier beyond the edge."""
    r = Receiver("newest")
    r.edge.in_flight = in_flight
    inside: list[int] = []
    beyond = 0
    for stamp, step in enumerate(passed):
        beyond = max(beyond, min(stamp, beyond + step))
        inside = [s for s in inside if s >= beyond]
        admitted = r.edge.admit(stamp, beyond)
        assert admitted == (len(inside) < in_flight)
        inside += [stamp] if admitted else []


def test_admission_is_off_without_a_limit() -> None:
    r = Receiver("newest")
    assert all(r.edge.admit(s, 0) for s in range(99))


def test_what_is_refused_is_accounted() -> None:
    r = Receiver("newest")
    r.edge.refuse(message(5, 0), "admission")
    assert r.lost == [(0, "admission", 1)]
    assert r.edge.counts() == {"sent": 1, "pending": 0, "held": 0, "fates": {"admission": 1}}


# -- restarts -------------------------------------------------------------------------------------


def test_unacknowledged_messages_are_sent_again_in_order_before_what_waits() -> None:
    """Rule 25."""
    r = Receiver("block", 3, remote=True)
    for stamp in range(4):
        r.offer(stamp)
    r.edge.reported = {"consumed": 2}
    r.edge.acknowledge(1, "done")
    r.edge.receiver_lost()
    r.offer(4)
    assert r.seqs == [0, 1, 2]
    r.edge.receiver_back()
    assert r.seqs == [0, 1, 2, 0, 2, 3]
    assert not r.edge.room
    r.edge.credit(3)
    assert r.seqs == [0, 1, 2, 0, 2, 3, 4]
    assert r.lost == []
    assert r.edge.counts() == {"sent": 5, "pending": 0, "held": 4, "fates": {"consumed": 1}}
    for seq in (0, 2, 3, 4):
        r.edge.acknowledge(seq, "done")
    assert r.acks == [(1, "done"), (0, "done"), (2, "done"), (3, "done"), (4, "done")]


def test_a_receiver_that_dies_again_before_all_is_sent_again_gets_each_once() -> None:
    r = Receiver("block", 2, remote=True)
    for stamp in range(2):
        r.offer(stamp)
    r.edge.reported = {"consumed": 2}
    r.edge.credit(2)
    for stamp in range(2, 4):
        r.offer(stamp)  # four unacknowledged, and room for two
    for _ in range(3):
        r.edge.receiver_lost()
        r.edge.receiver_back()
        assert [m.seq for m, _ in r.edge.pending] == [2, 3]
        assert r.edge.counts() == {"sent": 4, "pending": 2, "held": 2, "fates": {}}
    r.edge.credit(2)
    assert r.seqs == [0, 1, 2, 3] + [0, 1] * 3 + [2, 3]


def test_what_may_be_dropped_is_lost_with_its_receiver() -> None:
    r = Receiver("drop_oldest", 8, remote=True)
    for stamp in range(4):
        r.offer(stamp)
    r.edge.reported = {"consumed": 1}
    r.edge.receiver_lost()
    r.edge.receiver_back()
    assert r.seqs == [0, 1, 2, 3]
    assert r.lost == [(3, "crash", 3)]
    assert r.edge.counts() == {"sent": 4, "pending": 0, "held": 0, "fates": {"consumed": 1, "crash": 3}}


def test_a_latest_edge_sends_its_newest_again() -> None:
    r = Receiver("newest", remote=True)
    r.edge.resend_newest = True
    for stamp in range(3):
        r.offer(stamp)
        r.edge.credit(1)
    r.edge.reported = {"superseded": 2, "read": 1}
    r.edge.receiver_lost()
    r.edge.receiver_back()
    assert r.seqs == [0, 1, 2, 2]
    assert r.lost == []
    assert r.edge.counts() == {"sent": 3, "pending": 0, "held": 1, "fates": {"superseded": 2}}


def test_while_its_receiver_is_away_an_edge_tells_nothing_and_forgets_what_was_asked() -> None:
    r = Receiver("newest", remote=True)
    r.edge.need(10)
    r.edge.receiver_lost()
    r.edge.stream_bound = INFINITY
    assert r.edge.answer() is False
    r.edge.receiver_back()
    assert r.bounds == [INFINITY]


@pytest.mark.parametrize("policy", ["newest", "block"])
def test_a_restarted_sender_goes_on_and_stays_accounted_when_its_receiver_dies_next(policy: str) -> None:
    """Rule 24, and rule 19 after both ends have died one after the other."""
    r = Receiver(policy, 4, remote=True)
    r.edge.receiver_lost()
    r.edge.resume(sent=10, received=8, queued=1, fates={"consumed": 7}, bound=77)
    assert r.lost == [(None, "crash", 2)]
    assert r.edge.credits == r.edge.capacity - 1
    assert r.edge.bound == 77
    assert r.edge.counts() == {"sent": 10, "pending": 0, "held": 1, "fates": {"consumed": 7, "crash": 2}}
    r.edge.receiver_lost()
    r.edge.receiver_back()
    counts = r.edge.counts()
    assert counts["sent"] == counts["pending"] + counts["held"] + sum(counts["fates"].values())
    assert counts["fates"] == {"consumed": 7, "crash": 3}
    assert r.lost == [(None, "crash", 2), (None, "crash", 1)]


def test_losses_that_an_earlier_life_listed_are_not_listed_again() -> None:
    r = Receiver("newest", remote=True)
    r.edge.earlier = Account(9, {"crash": 5}, {"consumed": 4})
    r.edge.resume(sent=10, received=4, queued=0, fates={"consumed": 4}, bound=0)
    assert r.lost == [(None, "crash", 1)]
    assert r.edge.counts()["fates"] == {"consumed": 4, "crash": 6}


def test_what_an_earlier_life_of_the_receiver_consumed_is_not_lost_when_the_sender_dies_next() -> None:
    """Both ends made again, one after the other, in either order; and both at once, when nobody is left who has received."""
    r = Receiver("newest", remote=True)
    r.edge.earlier = Account(9, {"consumed": 5, "dropped": 1}, {"consumed": 3}, life=1)
    r.edge.life = 1  # it is the one that had reported
    r.edge.resume(sent=10, received=4, queued=0, fates={"consumed": 4}, bound=0)
    assert r.edge.counts() == {"sent": 10, "pending": 0, "held": 0, "fates": {"consumed": 9, "dropped": 1}}
    assert r.lost == []
    r = Receiver("newest", remote=True)
    r.edge.earlier = Account(9, {"consumed": 5, "dropped": 1}, {"consumed": 3}, life=1)
    r.edge.life = 2  # a new one: what the one before had reported is not among what it has received
    r.edge.resume(sent=12, received=2, queued=0, fates={"consumed": 2}, bound=0)
    assert r.edge.counts() == {"sent": 12, "pending": 0, "held": 0, "fates": {"consumed": 10, "dropped": 1, "crash": 1}}
    r = Receiver("newest", remote=True)
    r.edge.earlier = Account(9, {"consumed": 5}, {"consumed": 3}, life=1)
    r.edge.receiver_back()
    r.edge.missed(11)
    assert r.edge.counts() == {"sent": 11, "pending": 0, "held": 0, "fates": {"consumed": 8, "crash": 3}}
    assert r.lost == [(None, "crash", 1), (None, "crash", 2)]


@given(
    st.integers(0, 30), st.dictionaries(st.sampled_from(["consumed", "dropped", "crash", "late"]), st.integers(0, 9)),
    st.dictionaries(st.sampled_from(["consumed", "skipped"]), st.integers(0, 9)), st.integers(0, 1), st.integers(0, 40),
    st.integers(0, 20), st.booleans(),
)  # fmt: skip
def test_whatever_was_told_of_an_edge_its_account_balances(
    sent: int, before: dict[str, int], reported: dict[str, int], life: int, seq: int, received: int, lived: bool
) -> None:
    """Rule 19 through restarts: what had been told may be old, or be of a life that others know nothing of."""
    r = Receiver("newest", remote=True)
    r.edge.earlier = Account(sent, before, reported, life)
    if lived:
        r.edge.resume(max(sent, seq, received), received, 0, {"consumed": received // 2}, 0)
    else:
        r.edge.receiver_back()
        r.edge.missed(seq)
    counts = r.edge.counts()
    assert counts["sent"] == max(sent, seq, received if lived else 0)
    assert counts["sent"] == counts["pending"] + counts["held"] + sum(counts["fates"].values())
    assert sum(n for _, _, n in r.lost) >= counts["fates"].get("crash", 0) - before.get("crash", 0)
