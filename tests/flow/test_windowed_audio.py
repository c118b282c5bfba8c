"""Audio in windows, to the sample: cut into pieces and put together again it is what it was, for any chunks and rates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from flow_parts import Rig, heard, laws, samples
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import WindowConfig
from omnistream.message import INFINITY, MS, SECOND, AudioChunk

rates = st.sampled_from([8000, 11025, 16000, 44100, 48000])


@dataclass
class Chunk:
    """`begin` is where its first sample is, `bound` an honest promise about the next chunk's stamp."""

    begin: int
    stamp: int
    bound: int
    audio: AudioChunk

    def times(self) -> np.ndarray:
        """When each sample begins; rounded down, which puts it on the same side of every whole nanosecond."""
        return self.begin + np.arange(len(self.audio.samples), dtype=np.int64) * SECOND // self.audio.rate_hz


def times(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([c.times() for c in chunks])


@st.composite
def recordings(draw: st.DrawFn) -> list[Chunk]:
    """A stream of chunks of changing size whose stamps count samples from an anchor, renewed at a gap (rule 2)."""
    rate = draw(rates)
    anchor = draw(st.integers(0, SECOND) | st.just(1_700_000_000 * SECOND) | st.integers(0, 50).map(lambda n: n * 10 * MS))
    counted, number, found = 0, 0, []
    for size in draw(st.lists(st.sampled_from([rate // 50, rate // 100, 1, 7, 441, 513]), min_size=1, max_size=8)):
        if draw(st.integers(0, 9)) == 0:
            anchor, counted = anchor + counted * SECOND // rate + draw(st.integers(1, 90 * MS)), 0
        counted += size
        stamp = anchor + counted * SECOND // rate
        begin = stamp - size * SECOND // rate
        found.append(Chunk(begin, stamp, stamp + 1, AudioChunk(samples(number, size).samples, rate)))
        number += size
    longest = 0
    for chunk, following in pairwise(found):
        longest = max(longest, chunk.audio.duration_ns)
        most = min(following.stamp, following.begin + longest)  # no chunk is taken to be longer than those before it
        chunk.bound = draw(st.sampled_from([chunk.stamp + 1, min(chunk.stamp + 1 + longest * 4 // 5, most), most]))
    return found


windows = st.sampled_from([1, 5, 10, 20, 32, 100]).map(lambda ms: ms * MS) | st.integers(MS, 40 * MS)


@given(st.data(), recordings(), windows)
@laws(300)
def test_tumbling_windows_put_together_are_the_recording(data: st.DataObject, chunks: list[Chunk], size: int) -> None:
    """Whatever a source promises about its next stamp, and whenever other ports fire the node."""
    rig = Rig("window", window=WindowConfig(size, size), form="window")
    got = []
    for chunk in chunks:
        rig.give(0, chunk.stamp, chunk.bound, chunk.audio)
        got += rig.due()
        t = chunk.stamp + data.draw(st.integers(-50, 50)) * MS
        if t < rig.port.candidate() and not rig.port.lagging(t):
            assert rig.fire(t) is None
        assert rig.accounted()
    rig.end()
    got += rig.due()
    assert heard([w for _, w in got]) == list(range(len(times(chunks))))
    at = times(chunks)
    for t, window in got:
        assert window.end_ns == t + 1
        assert heard([window]) == np.flatnonzero((window.start_ns <= at) & (at < window.end_ns)).tolist()
        assert all(len(c.samples) for c in window)  # an empty window does not fire, and holds no empty chunk
    assert rig.lost == []
    assert rig.received() == rig.fates()


@given(recordings(), windows, st.integers(1, 5))
@laws(150)
def test_sliding_windows_hold_every_sample_that_begins_in_them(chunks: list[Chunk], hop: int, overlap: int) -> None:
    size = hop * overlap
    rig = Rig("window", window=WindowConfig(size, hop), form="window")
    got = []
    for chunk in chunks:
        rig.give(0, chunk.stamp, chunk.bound, chunk.audio)
        got += rig.due()
    rig.end()
    got += rig.due()
    at = times(chunks)
    for t, window in got:
        assert heard([window]) == np.flatnonzero((t + 1 - size <= at) & (at < t + 1)).tolist()
    assert len({t for t, _ in got}) == len(got)
    first, last = int(at[0]), int(at[-1])
    due = {e for e in range(first // hop * hop + hop, last + size + 1, hop) if np.any((e - size <= at) & (at < e))}
    assert {t + 1 for t, _ in got} == due


@given(st.data(), recordings(), windows, st.sampled_from(["drop_oldest", "block"]))
@laws(250)
def test_no_sample_comes_twice_or_out_of_order_behind_forced_bounds(
    data: st.DataObject, chunks: list[Chunk], size: int, policy: str
) -> None:
    """Only samples of closed windows may be missing; on a block edge a chunk of such samples alone comes whole, later."""
    rig = Rig("window", policy=policy, window=WindowConfig(size, size), form="window")
    got, missing, last, closed = [], set(), -1, -INFINITY
    for chunk in chunks:
        past = chunk.times() < closed
        if not all(past) or policy == "drop_oldest":
            missing |= set(chunk.audio.samples[past].tolist())
        seq = rig.give(0, chunk.stamp, chunk.bound, chunk.audio)
        assert ((seq, "late") in rig.lost) == (all(past) and policy == "drop_oldest")
        if data.draw(st.booleans()):
            t = max(last + 1, min(rig.port.candidate(), chunk.stamp + data.draw(st.integers(-50, 80)) * MS))
            rig.force(t)
            got.append(rig.fire(t))
            last, closed = t, max(closed, (t + 1) // size * size)
    rig.end()
    while (t := rig.port.candidate()) < INFINITY:
        got.append(rig.fire(t))
    assert heard(got) == [n for n in range(len(times(chunks))) if n not in missing]
    assert rig.received() == rig.fates()


def test_a_window_waits_for_audio_that_reaches_back_into_it() -> None:
    """A chunk stamped at 125 begins at 105. A promise of "nothing stamped below 121" does not complete [100, 110)."""
    rig = Rig("window", window=WindowConfig(10 * MS, 10 * MS), form="window")
    rig.give(0, 105 * MS, bound=121 * MS, payload=samples(0, 320))
    assert [t + 1 for t, _ in rig.due()] == [90 * MS, 100 * MS]
    edge = rig.edges[0]
    assert rig.port.lagging(110 * MS - 1) == [edge]
    edge.need(110 * MS - 1)
    assert rig.backs[0].needs == [130 * MS - 1]  # 20 ms more: nothing below it is stamped, so nothing begins below 110
    rig.tell(0, 124 * MS)
    assert rig.due() == []
    rig.give(0, 125 * MS, bound=141 * MS, payload=samples(320, 320))
    assert [(t + 1, heard([w])) for t, w in rig.due()] == [
        (110 * MS, list(range(240, 400))), (120 * MS, list(range(400, 560)))
    ]  # fmt: skip


def test_a_pause_in_the_audio_holds_a_window_no_longer_than_a_chunk() -> None:
    rig = Rig("window", window=WindowConfig(10 * MS, 10 * MS), form="window")
    rig.give(0, 105 * MS, payload=samples(0, 320))
    rig.due()
    rig.tell(0, 130 * MS - 1)
    assert rig.due() == []
    rig.tell(0, 130 * MS)
    assert [t + 1 for t, _ in rig.due()] == [110 * MS]


@pytest.mark.parametrize(("stamp", "policy", "fate"), [(100, "drop_oldest", "late"), (100, "block", ""), (90, "block", "")])
def test_a_chunk_of_which_all_is_past_is_late_or_lifted(stamp: int, policy: str, fate: str) -> None:
    """Also one that ends where the closed window ends."""
    rig = Rig("window", policy=policy, window=WindowConfig(100 * MS, 100 * MS), form="window")
    rig.force(100 * MS - 1)
    rig.fire(100 * MS - 1)
    rig.give(0, stamp * MS, payload=samples(0, 320), acked=True)
    rig.end()
    assert rig.lost == ([(0, fate)] if fate else [])
    assert [(t + 1, heard([w])) for t, w in rig.due()] == ([] if fate else [(200 * MS, list(range(320)))])


def test_incomplete_is_the_window_in_which_the_audio_ended() -> None:
    for end, flags in ((100, [True, True]), (95, [True, False])):
        rig = Rig("window", window=WindowConfig(50 * MS, 50 * MS), form="window")
        rig.give(0, end * MS, payload=AudioChunk(np.zeros(end * 16, np.int16)))
        rig.end()
        assert [w.complete for _, w in rig.due()] == flags
