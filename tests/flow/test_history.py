"""`latest` and `recent` against brute force over everything that ever arrived; and what they may forget."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from flow_parts import Rig, deliveries, laws, streams
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow import history
from omnistream.flow.history import HistoryPort
from omnistream.message import INFINITY, Features
from omnistream.node import Recent

Seen = list[tuple[int, int, int]]  # effective stamp, place, seq


def expected(take: str, seen: Seen, t: int, lag: int, hold: int) -> list[tuple[int, int]]:
    """The (place, seq) that a firing at t reads, by rule 7."""
    inside = [(s, place, seq) for s, place, seq in seen if t - lag - hold <= s <= t - lag]
    if take == "recent":
        return [(place, seq) for _, place, seq in sorted(inside)]
    return [(place, seq) for _, place, seq in sorted(inside, key=lambda x: (x[0], -x[1]))[-1:]]


def read(value: object) -> list[tuple[int, int]]:
    messages = value if isinstance(value, Recent) else [value] if value is not None else []
    return [(int(m.stream[1]), m.seq) for m in messages]


@given(st.data(), st.sampled_from(["latest", "recent"]), st.sampled_from([0, 0, 3, 10]), st.sampled_from([0, 4, 15, INFINITY]))
@laws(300)
def test_a_firing_reads_what_all_that_arrived_would_give(data: st.DataObject, take: str, lag: int, hold: int) -> None:
    """Forgetting what no later firing can read changes nothing, whatever is forced and whatever comes late."""
    per_stream = data.draw(streams(longest=6))
    rig = Rig(take, len(per_stream), lag_ns=lag, hold_ns=hold)
    seen: Seen = []
    t = 0
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        seen.append((stamp, i, rig.give(i, stamp, bound)))
        while data.draw(st.booleans()):
            t += data.draw(st.sampled_from([0, 1, 2, 7, 20]))
            rig.force(t)
            assert read(rig.fire(t)) == expected(take, seen, t, lag, hold)
        assert rig.accounted()
    rig.end()
    for later in (t, t + 1, t + 5, t + 30, t + 200):
        assert read(rig.fire(later)) == expected(take, seen, later, lag, hold)
    assert rig.lost == []


@given(st.data(), st.sampled_from(["latest", "recent"]), st.sampled_from([0, 0, 3, 10]), st.sampled_from([0, 4, 15, INFINITY]))
@laws(300)
def test_what_is_forgotten_between_firings_could_not_be_read(data: st.DataObject, take: str, lag: int, hold: int) -> None:
    per_stream = data.draw(streams(longest=6))
    rig = Rig(take, len(per_stream), lag_ns=lag, hold_ns=hold)
    port = rig.port
    assert isinstance(port, HistoryPort)
    seen: Seen = []
    t = 0
    with mock.patch.object(history, "MANY", 1):
        for i, stamp, bound in data.draw(deliveries(per_stream)):
            seen.append((stamp, i, rig.give(i, stamp, bound)))
            t += data.draw(st.sampled_from([0, 0, 1, 2, 7, 20]))
            port.trim(t)
            if data.draw(st.booleans()):
                rig.force(t)
                assert read(rig.fire(t)) == expected(take, seen, t, lag, hold)
            assert rig.accounted()
    assert rig.lost == []


@pytest.mark.parametrize(("take", "left"), [("latest", 1), ("recent", 11)])
def test_a_node_that_seldom_fires_asks_how_far_its_triggers_are_and_keeps_little(take: str, left: int) -> None:
    rig = Rig(take, hold_ns=INFINITY if take == "latest" else 10)
    port = rig.port
    assert isinstance(port, HistoryPort)
    asked = []
    for stamp in range(1, 100_000):
        rig.give(0, stamp)
        if (passed := port.trim(0)) is not None:
            asked.append(passed)
    assert asked == [history.MANY << n for n in range(9)], "who does not know is not asked for ever"
    port.trim(100_000 - 1)
    assert len(rig.edges[0].items) == left
    assert rig.accounted()
    assert rig.lost == []


def test_small_messages_are_bounded_too() -> None:
    rig = Rig("latest")
    with mock.patch.object(history, "MOST", 100):
        for stamp in range(1, 1000):
            rig.give(0, stamp)
    assert len(rig.edges[0].items) == 100
    assert rig.edges[0].fates["overflow"] == 899


@given(st.data(), st.sampled_from(["latest", "recent"]), st.sampled_from([0, 5]))
@laws(150)
def test_each_message_is_read_or_superseded_once(data: st.DataObject, take: str, lag: int) -> None:
    per_stream = data.draw(streams(longest=6))
    rig = Rig(take, len(per_stream), lag_ns=lag, hold_ns=12)
    was_read: set[tuple[int, int]] = set()
    t = 0
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        rig.give(i, stamp, bound)
        t += data.draw(st.sampled_from([0, 2, 9]))
        was_read |= set(read(rig.fire(t)))
    rig.fire(t + 1000)
    counts = [e.fates for e in rig.edges]
    assert rig.accounted()
    assert sum(c["read"] for c in counts) == len(was_read)
    total = sum(map(len, per_stream))
    kept = sum(len(e.items) for e in rig.edges)
    assert kept == 0
    assert sum(c["superseded"] for c in counts) == total - len(was_read)


def test_credit_and_acknowledgement_come_at_once() -> None:
    """Rules 16 and 23: a buffer has bounds of its own."""
    rig = Rig("latest")
    rig.give(0, 5, acked=True)
    assert (rig.backs[0].credits, rig.acked) == (1, [(0, 0, "done")])


def test_neither_triggers() -> None:
    for take in ("latest", "recent"):
        rig = Rig(take)
        rig.give(0, 5)
        assert (rig.port.triggers, rig.port.candidate(), rig.port.frontier()) == (False, INFINITY, INFINITY)
        assert rig.port.trigger_arrival(5) is None


@pytest.mark.parametrize(("bound", "settled"), [(40, False), (41, True)])
def test_settled_means_a_bound_above_t_less_the_lag(bound: int, settled: bool) -> None:
    rig = Rig("latest", lag_ns=10)
    rig.tell(0, bound)
    assert (rig.port.lagging(50) == []) == settled
    rig.force(50)
    assert rig.edges[0].bound == 41


def test_a_message_behind_a_forced_bound_enters_the_history_at_its_own_stamp() -> None:
    """Rule 12."""
    rig = Rig("recent")
    rig.give(0, 10)
    rig.force(50)
    rig.give(0, 30)
    rig.give(0, 60)
    assert [m.stamp_ns for m in rig.fire(60)] == [10, 30, 60]
    assert rig.edges[0].choices == 1


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), max_size=30), st.integers(0, 100),
    st.sampled_from(["latest", "recent"]),
)  # fmt: skip
@laws(150)
def test_a_full_buffer_forgets_its_oldest_by_name(gives: list[tuple[int, int]], room: int, take: str) -> None:
    """Never more than `max_bytes` beside one message a stream; what was never read is in the ledger as overflow."""
    rig = Rig(take, 2, max_bytes=room * 4)
    for n, (edge, size) in enumerate(gives):
        rig.give(edge, 10 * n + 10, payload=Features(np.zeros((1, size), np.float32)))
        if n % 5 == 4:
            rig.fire(10 * n)
        kept = [i.message.payload.data.nbytes for e in rig.edges for i in e.items]
        here = [i.message.payload.data.nbytes for i in rig.edges[edge].items]
        assert sum(kept) <= room * 4 or len(here) == 1
        assert [i.message.seq for i in rig.edges[edge].items][-1:] == [rig.seqs[edge] - 1]  # the newest stays
        assert rig.accounted()
    assert len(rig.lost) == sum(e.fates["overflow"] for e in rig.edges)
    assert {reason for _, reason in rig.lost} <= {"overflow"}
    assert rig.port.bytes == sum(i.message.payload.data.nbytes for e in rig.edges for i in e.items)
