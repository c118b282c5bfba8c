"""Windows and sessions by brute force: which messages fall into which, when each fires, and that none fires twice (law 11)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flow_parts import Rig, deliveries, laws, streams
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import WindowConfig
from omnistream.message import INFINITY, Features, Transcript, Window

sizes = st.integers(1, 25)
#: effective stamp, place, seq
Seen = list[tuple[int, int, int]]


def ends_of(stamp: int, size: int, hop: int) -> list[int]:
    """Every window end b with b - size <= stamp < b and b - size a multiple of the hop."""
    return [b for b in range(stamp + 1, stamp + size + 1) if (b - size) % hop == 0]


def members(window: Window[Any]) -> list[tuple[int, int]]:
    return [(int(m.stream[1]), m.seq) for m in window.messages]


def expected_windows(seen: Seen, size: int, hop: int) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for stamp, place, seq in sorted(seen):
        for end in ends_of(stamp, size, hop):
            found.setdefault(end, []).append((place, seq))
    return dict(sorted(found.items()))


@given(st.data(), sizes, sizes)
@laws(250)
def test_windows_are_those_of_the_definition_in_order(data: st.DataObject, size: int, hop: int) -> None:
    """Tumbling windows partition the messages, sliding ones cover them, and what lies in a gap between windows is in none."""
    per_stream = data.draw(streams())
    rig = Rig("window", len(per_stream), window=WindowConfig(size, hop), form="window")
    seen: Seen = []
    fired = []
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        seen.append((stamp, i, rig.give(i, stamp, bound)))
        fired += rig.due()
        assert rig.accounted()
    rig.end()
    fired += rig.due()
    assert {t + 1: members(w) for t, w in fired} == expected_windows(seen, size, hop)
    assert [t for t, _ in fired] == sorted({t for t, _ in fired})
    assert all((w.start_ns, w.end_ns) == (t + 1 - size, t + 1) for t, w in fired)
    assert rig.lost == []
    assert rig.port.held() == 0
    assert rig.port.frontier() == INFINITY
    gaps = sum(not ends_of(stamp, size, hop) for stamp, _, _ in seen)
    assert sum(e.fates["superseded"] for e in rig.edges) == gaps
    assert sum(e.fates["consumed"] for e in rig.edges) == len(seen) - gaps


@given(st.data(), sizes, sizes)
@laws(250)
def test_no_later_candidate_is_below_the_frontier(data: st.DataObject, size: int, hop: int) -> None:
    per_stream = data.draw(streams())
    rig = Rig("window", len(per_stream), window=WindowConfig(size, hop), form="window")
    low = rig.port.frontier()
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        rig.give(i, stamp, bound)
        assert rig.port.candidate() >= low
        if data.draw(st.booleans()):  # another port fires the node, at a t that is settled here
            t = min(rig.port.candidate(), low + data.draw(st.integers(0, 20)))
            if not rig.port.lagging(t):
                rig.fire(t)
                assert rig.port.frontier() > t
        for t, _ in rig.due() if data.draw(st.booleans()) else []:
            assert t >= low
        assert rig.port.frontier() >= low
        low = rig.port.frontier()


@given(st.data(), sizes, sizes, st.sampled_from(["newest", "block"]))
@laws(400)
def test_a_closed_window_stays_closed_behind_forced_bounds(data: st.DataObject, size: int, hop: int, policy: str) -> None:
    """Law 11 where bounds are forced: each window fires once, in order, with all that was there and belongs to it.

    A message is late when all its windows are closed. On a block edge it is lifted to the bound, and never lost.
    """
    per_stream = data.draw(streams())
    rig = Rig("window", len(per_stream), policy, WindowConfig(size, hop), form="window")
    entered: Seen = []
    late: list[tuple[int, str]] = []
    fired: dict[int, list[tuple[int, int]]] = {}
    closed = -INFINITY

    def fire(t: int) -> None:
        nonlocal closed
        rig.force(t)
        value = rig.fire(t)
        inside = sorted((s, p, q) for s, p, q in entered if t + 1 in ends_of(s, size, hop) and t + 1 > closed)
        assert (members(value) if value else []) == [(p, q) for _, p, q in inside]
        if value:
            assert t + 1 not in fired
            fired[t + 1] = members(value)
        closed = max([closed, *(e for e in range(t + 2 - hop, t + 2) if (e - size) % hop == 0)])
        assert rig.port.candidate() > t

    last = -1
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        before = rig.edges[i].bound
        seq = rig.give(i, stamp, bound)
        ends = ends_of(stamp, size, hop)
        if ends and ends[-1] <= closed:
            if policy == "block":
                entered.append((before, i, seq))
            else:
                late.append((seq, "late"))
        elif ends:
            entered.append((stamp, i, seq))
        if data.draw(st.booleans()):
            last = min(rig.port.candidate(), last + data.draw(st.integers(1, 30)))
            fire(last)
    rig.end()
    while rig.port.candidate() < INFINITY:
        fire(rig.port.candidate())
    assert list(fired) == sorted(fired)
    assert rig.lost == late
    assert rig.received() == rig.fates()
    in_a_window = {m for found in fired.values() for m in found}
    lifted_into_a_gap = {(p, q) for s, p, q in entered if not ends_of(s, size, hop)}
    assert in_a_window | lifted_into_a_gap == {(p, q) for _, p, q in entered}


def test_credit_comes_on_entry() -> None:
    """Rule 16: a window of ten over an edge with room for four fills."""
    rig = Rig("window", window=WindowConfig(100, 100), form="window", policy="newest")
    rig.give(0, 10)
    assert rig.backs[0].credits == 1
    rig.force(99)
    rig.fire(99)
    rig.give(0, 50)
    assert rig.lost == [(1, "late")]
    assert rig.backs[0].credits == 2


def test_a_sliding_window_acknowledges_after_the_last_firing_that_held_the_message() -> None:
    """Rule 23, for a message in three windows: its effects are those of all three firings."""
    rig = Rig("window", window=WindowConfig(30, 10), form="window")
    rig.give(0, 25, acked=True)
    rig.end()
    acks = []
    for t in (29, 39, 49):
        items = rig.port.take(t)
        acks.append(rig.port.acks(items))
    assert rig.port.candidate() == INFINITY
    for order in ((0, "done"), (2, "done")):
        for ack in acks[order[0]]:
            ack(order[1])
        assert rig.acked == []
    for ack in acks[1]:
        ack("error")
    assert rig.acked == [(0, 0, "error")]


def test_a_message_in_no_window_is_acknowledged_at_once() -> None:
    rig = Rig("window", window=WindowConfig(10, 20), form="window")
    rig.give(0, 15, acked=True)
    assert rig.acked == [(0, 0, "done")]
    assert rig.port.candidate() == INFINITY


def test_a_message_in_no_window_is_in_none_behind_a_forced_bound_either() -> None:
    rig = Rig("window", window=WindowConfig(10, 20), form="window")
    rig.force(49)
    rig.fire(49)
    between = [*range(10, 20), *range(30, 40)]
    for stamp in between:
        rig.give(0, stamp)
    assert rig.port.candidate() == INFINITY
    assert rig.edges[0].fates == {"superseded": len(between)}


def test_the_arrival_that_a_wait_counts_from_is_the_newest_and_the_time_to_the_end() -> None:
    """Rule 11."""
    rig = Rig("window", 2, window=WindowConfig(100, 100), form="window")
    rig.give(0, 40, arrival=1040)
    rig.give(1, 70, arrival=1075)
    assert rig.port.trigger_arrival(99) == 1075 + 30
    assert rig.port.trigger_arrival(50) is None


# -- the end of the input -------------------------------------------------------------------------


@given(st.data(), sizes, sizes)
@laws(200)
def test_only_windows_in_which_the_input_ended_are_incomplete(data: st.DataObject, size: int, hop: int) -> None:
    """Rule 26, whenever the node comes to fire them: as messages arrive, or long after the last."""
    stamps = data.draw(streams(most=1))[0]
    flags: list[dict[int, bool]] = []
    for at_once in (True, False):
        rig = Rig("window", window=WindowConfig(size, hop), form="window")
        fired = []
        for stamp in stamps:
            rig.give(0, stamp)
            fired += rig.due() if at_once else []
        rig.end()
        fired += rig.due()
        flags.append({t + 1: w.complete for t, w in fired})
    assert flags[0] == flags[1]
    assert flags[0] == {end: stamps[-1] + 1 >= end for end in flags[0]}


def test_a_stream_that_ended_before_leaves_the_others_windows_complete() -> None:
    rig = Rig("window", 2, window=WindowConfig(10, 10), form="window")
    rig.give(0, 5)
    rig.tell(0, INFINITY)
    for stamp in (6, 15, 25):
        rig.give(1, stamp)
    assert [(t, w.complete) for t, w in rig.due()] == [(9, False), (19, True)]
    rig.end()
    assert [(t, w.complete) for t, w in rig.due()] == [(29, False)]


# -- sessions -------------------------------------------------------------------------------------


def expected_sessions(seen: Seen, gap: int, ending: set[tuple[int, int]]) -> list[tuple[int, list[tuple[int, int]]]]:
    """(t, members) of each session of messages that were all in time."""
    found: list[tuple[int, list[tuple[int, int]]]] = []
    run: Seen = []
    for stamp, place, seq in sorted(seen):
        if run and stamp >= run[-1][0] + gap:
            found.append((run[-1][0] + gap - 1, [(p, q) for _, p, q in run]))
            run = []
        run.append((stamp, place, seq))
        if (place, seq) in ending:
            found.append((stamp, [(p, q) for _, p, q in run]))
            run = []
    return found + ([(run[-1][0] + gap - 1, [(p, q) for _, p, q in run])] if run else [])


@given(st.data(), st.integers(1, 30), st.sampled_from(["", "final"]))
@laws(300)
def test_sessions_are_those_of_the_definition(data: st.DataObject, gap: int, end: str) -> None:
    """Runs with pauses shorter than the gap; with an end field, also cut after each message that bears it."""
    per_stream = data.draw(streams())
    rig = Rig("window", len(per_stream), window=WindowConfig(gap_ns=gap, end=end), form="window")
    seen: Seen = []
    ending: set[tuple[int, int]] = set()
    fired: list[tuple[int, Any]] = []
    low = rig.port.frontier()
    for i, stamp, bound in data.draw(deliveries(per_stream)):
        final = data.draw(st.booleans())
        seq = rig.give(i, stamp, bound, Transcript("x", final))
        seen.append((stamp, i, seq))
        ending |= {(i, seq)} if final and end else set()
        assert rig.port.candidate() >= low
        fired += rig.due() if data.draw(st.booleans()) else []
        assert rig.port.frontier() >= low
        low = rig.port.frontier()
        assert rig.accounted()
    rig.end()
    fired += rig.due()
    assert [(t, members(w)) for t, w in fired] == expected_sessions(seen, gap, ending)
    assert all((w.start_ns, w.end_ns) == (w.messages[0].stamp_ns, t + 1) for t, w in fired)
    assert rig.received() == rig.fates()
    assert rig.lost == []


@given(st.data(), st.integers(1, 30), st.sampled_from(["", "final"]), st.sampled_from(["newest", "block"]))
@laws(300)
def test_a_session_that_has_fired_stays_closed(data: st.DataObject, gap: int, end: str, policy: str) -> None:
    per_stream = data.draw(streams())
    rig = Rig("window", len(per_stream), policy, WindowConfig(gap_ns=gap, end=end), form="window")
    fired: list[tuple[int, Any]] = []
    last = -1

    def fire(t: int) -> None:
        rig.force(t)
        value = rig.fire(t)
        fired.extend([(t, value)] if value else [])
        assert rig.port.candidate() >= t + (not end)

    for i, stamp, bound in data.draw(deliveries(per_stream)):
        rig.give(i, stamp, bound, Transcript("x", data.draw(st.booleans())))
        if data.draw(st.booleans()):
            last = min(rig.port.candidate(), last + data.draw(st.integers(1, 30)))
            fire(last)
        assert rig.accounted()
    rig.end()
    while rig.port.candidate() < INFINITY:
        fire(rig.port.candidate())
    taken = [m for _, w in fired for m in members(w)]
    assert len(taken) == len(set(taken)) == rig.received() - len(rig.lost)
    assert {reason for _, reason in rig.lost} <= {"late"}
    assert policy == "newest" or rig.lost == []
    for (a, _), (b, later) in pairwise(fired):
        assert a <= b
        assert policy == "block" or later.start_ns >= a + (not end)


def test_a_message_is_in_time_while_its_session_is_open() -> None:
    """Rule 8: a firing of another port between does not close a session that ends after it."""
    rig = Rig("window", policy="newest", window=WindowConfig(gap_ns=10), form="window")
    rig.give(0, 100)
    rig.force(104)
    assert rig.fire(104) is None
    rig.give(0, 102)
    rig.end()
    assert rig.lost == []
    assert [(t, members(w)) for t, w in rig.due()] == [(111, [(0, 0), (0, 1)])]


@given(st.data(), st.integers(1, 30))
@laws(150)
def test_only_the_session_in_which_the_input_ended_is_incomplete(data: st.DataObject, gap: int) -> None:
    stamps = data.draw(streams(most=1))[0]
    flags = []
    for at_once in (True, False):
        rig = Rig("window", window=WindowConfig(gap_ns=gap), form="window")
        fired = []
        for stamp in stamps:
            rig.give(0, stamp)
            fired += rig.due() if at_once else []
        rig.end()
        fired += rig.due()
        flags.append([w.complete for _, w in fired])
    assert flags[0] == flags[1]
    assert flags[0] == [n < len(flags[0]) - 1 or gap == 1 for n in range(len(flags[0]))]


def test_a_session_with_its_end_event_is_complete() -> None:
    rig = Rig("window", window=WindowConfig(gap_ns=50, end="final"), form="window")
    rig.give(0, 5, payload=Transcript("go", False))
    rig.give(0, 9, payload=Transcript("go on", True))
    rig.end()
    assert [(t, w.complete) for t, w in rig.due()] == [(9, True)]


@pytest.mark.parametrize("window", [WindowConfig(1000, 1000), WindowConfig(gap_ns=1000)], ids=["window", "session"])
def test_what_a_buffer_cannot_hold_is_lost_oldest_first_but_never_in_a_fresh_replay(window: WindowConfig) -> None:
    """Rules 16 and 29. A session whose gap never comes does not grow for ever."""
    for bounded in (True, False):
        rig = Rig("window", window=window, form="window", max_bytes=8000)
        rig.port.bounded = bounded
        for stamp in range(30):
            rig.give(0, stamp, stamp + 1, payload=Features(np.zeros((10, 25), np.float32)))
            assert rig.accounted()
        assert rig.lost == ([(seq, "overflow") for seq in range(22)] if bounded else [])
        assert rig.port.held() == (8 if bounded else 30)
        assert rig.backs[0].credits == 30
