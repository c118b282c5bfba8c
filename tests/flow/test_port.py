"""Ports that take each message: merged in order, lifted or late behind a forced bound; and what all ports have in common."""

from __future__ import annotations

from itertools import pairwise

import pytest
from flow_parts import Rig, deliveries, laws, message, streams
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import Queue
from omnistream.message import INFINITY, Event


@given(st.data())
@laws(200)
def test_streams_are_merged_by_stamp_and_then_by_place(data: st.DataObject) -> None:
    """Rule 4, for every way in which the streams can arrive; nothing is skipped, nothing comes twice."""
    per_stream = data.draw(streams())
    rig = Rig("each", len(per_stream))
    fired = []
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        rig.give(i, stamp, bound)
        fired += rig.due()
    rig.end()
    fired += rig.due()
    expected = sorted((s, i, seq) for i, stamps in enumerate(per_stream) for seq, s in enumerate(stamps))
    assert [(t, int(m.stream[1]), m.seq) for t, m in fired] == expected
    assert rig.port.frontier() == INFINITY


@given(st.data())
@laws(200)
def test_the_frontier_is_the_least_stamp_still_to_come(data: st.DataObject) -> None:
    """Rule 5: no later candidate is below it, and it never falls."""
    per_stream = data.draw(streams())
    rig = Rig("each", len(per_stream))
    frontiers = [rig.port.frontier()]
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        rig.give(i, stamp, bound)
        assert rig.port.candidate() >= frontiers[-1]
        for t, _ in rig.due():
            assert t >= frontiers[-1]
        frontiers.append(rig.port.frontier())
    assert frontiers == sorted(frontiers)


@given(st.data())
@laws(200)
def test_nothing_on_a_block_edge_is_lost_for_being_late(data: st.DataObject) -> None:
    """Rule 12: behind a forced bound a message is lifted; each stream keeps its order, firings keep theirs."""
    per_stream = data.draw(streams())
    rig = Rig("each", len(per_stream))
    fired, behind = [], 0
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        behind += stamp < rig.edges[i].bound
        rig.give(i, stamp, bound)
        if data.draw(st.booleans()) and rig.port.candidate() < INFINITY:
            rig.force(rig.port.candidate())
        fired += rig.due()
    rig.end()
    fired += rig.due()
    assert sum(e.choices for e in rig.edges) == behind
    assert rig.lost == []
    for i, stamps in enumerate(per_stream):
        mine = [(t, m) for t, m in fired if m.stream == f"s{i}.out"]
        assert [m.stamp_ns for _, m in mine] == stamps
        assert all(t >= m.stamp_ns for t, m in mine)
        assert all(a < b for (a, _), (b, _) in pairwise(mine))
    places = [(t, int(m.stream[1])) for t, m in fired]
    assert places == sorted(set(places))


@given(st.data())
@laws(200)
def test_what_may_be_dropped_is_late_behind_a_forced_bound(data: st.DataObject) -> None:
    per_stream = data.draw(streams())
    rig = Rig("each", len(per_stream), policy="drop_oldest")
    fired, late = [], []
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        is_late = stamp < rig.edges[i].bound
        before = rig.backs[i].credits
        seq = rig.give(i, stamp, bound)
        late += [(seq, "late")] if is_late else []
        assert rig.backs[i].credits - before == is_late  # its room is free at once; a firing frees the others'
        if data.draw(st.booleans()) and rig.port.candidate() < INFINITY:
            rig.force(rig.port.candidate())
        fired += rig.due()
    rig.end()
    fired += rig.due()
    assert rig.lost == late
    assert all(t == m.stamp_ns for t, m in fired)
    assert [t for t, _ in fired] == sorted(t for t, _ in fired)
    assert len(fired) + len(late) == sum(map(len, per_stream))


def test_a_port_that_is_not_due_gives_none() -> None:
    for take in ("each", "latest"):
        rig = Rig(take, form="one")
        assert rig.fire(10) is None
        rig.give(0, 20)
        assert rig.fire(10) is None
    rig = Rig("each", 2, form="one")
    rig.give(0, 10, payload=Event("a"))
    rig.give(1, 10, payload=Event("b"))
    assert [rig.fire(10), rig.fire(10), rig.fire(10)] == [Event("a"), Event("b"), None]  # two firings share the stamp


def test_a_message_form_gets_the_message_and_the_other_its_payload() -> None:
    for form in ("message", "one"):
        rig = Rig("each", form=form)
        rig.give(0, 5, payload=Event("x"))
        value = rig.fire(5)
        assert (value.payload if form == "message" else value) == Event("x")


# -- settling and asking --------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "settled"), [(9, False), (10, False), (11, True)])
def test_each_is_settled_at_t_by_a_head_or_by_a_bound_above_it(bound: int, settled: bool) -> None:
    rig = Rig("each", 2)
    rig.give(0, 10)
    rig.tell(1, bound)
    assert (rig.port.lagging(10) == []) == settled
    rig.give(1, 12)
    assert rig.port.lagging(10) == []


def test_a_need_is_sent_once_and_again_only_for_more() -> None:
    rig = Rig("each")
    for above in (10, 10, 15, 10):
        rig.edges[0].need(above)
    assert rig.backs[0].needs == [10, 15]
    rig.tell(0, 12)  # answers the first
    assert rig.edges[0].asks == {15}
    rig.edges[0].need(15)
    assert rig.backs[0].needs == [10, 15]
    rig.edges[0].need(11)  # known already
    assert rig.backs[0].needs == [10, 15]
    rig.give(0, 13, bound=20)  # a bound that rides on a message answers, too
    rig.edges[0].need(15)
    rig.edges[0].need(20)
    assert rig.backs[0].needs == [10, 15, 20]


def test_a_dead_sender_is_not_asked() -> None:
    rig = Rig("each")
    rig.edges[0].dead = True
    rig.edges[0].need(10)
    assert rig.backs[0].needs == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(1, 20))))
@laws(100)
def test_a_bound_never_falls(steps: list[tuple[bool, int, int]]) -> None:
    rig = Rig("each")
    for is_message, stamp, more in steps:
        before = rig.edges[0].bound
        if is_message:
            rig.give(0, stamp, stamp + more)
        else:
            rig.tell(0, stamp)
        assert rig.edges[0].bound >= max(before, stamp if not is_message else stamp + 1)


def test_feedback_is_seen_later_by_its_delay() -> None:
    """Rule 13: stamp and bound are seen with the delay added, and what is asked for is less by it."""
    rig = Rig("latest", delay_ns=100)
    edge = rig.edges[0]
    assert edge.bound == 100
    rig.give(0, 50, bound=60)
    assert (edge.items[0].stamp, edge.bound) == (150, 160)
    assert rig.port.lagging(159) == []
    assert rig.port.lagging(160) == [edge]
    edge.need(160)
    assert rig.backs[0].needs == [60]
    rig.tell(0, 61)
    assert rig.port.lagging(160) == []
    assert rig.fire(149) is None
    assert rig.fire(150).stamp_ns == 50


# -- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("take", ["each", "latest", "recent"])
def test_what_is_thrown_away_is_accounted(take: str) -> None:
    rig = Rig(take, 2)
    for edge, stamp in ((0, 5), (1, 6), (0, 7)):
        rig.give(edge, stamp, acked=take == "each")
    rig.fire(5)
    rig.port.discard("stopped")
    taken = 1 if take == "each" else 0  # its fate comes at the end of its firing
    assert rig.fates() + taken == 3
    assert rig.port.held() == 0
    assert len(rig.lost) == 2
    if take == "each":
        assert rig.acked == [(0, 1, "stopped"), (1, 0, "stopped")]


def test_the_arrival_that_a_wait_counts_from_is_the_oldest_due() -> None:
    rig = Rig("each", 2)
    rig.give(0, 5, arrival=300)
    rig.give(1, 5, arrival=200)
    assert rig.port.trigger_arrival(5) == 200
    assert rig.port.trigger_arrival(4) is None


def test_the_next_seq_is_known_of_a_message_that_is_late() -> None:
    rig = Rig("each", policy="newest")
    rig.edges[0].told(100)
    rig.port.receive(rig.edges[0], message(50, seq=41), 51, None, 0)
    assert (rig.edges[0].next_seq, rig.edges[0].received) == (42, 1)
    assert rig.lost == [(41, "late")]
    assert rig.config.queue == Queue("newest", 64)
