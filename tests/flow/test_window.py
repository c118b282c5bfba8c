"""Window arithmetic against its definition, and audio cut by exact fractions of a second."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from flow_parts import laws
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.window import cut_audio, first_end, last_end_at, window_ends
from omnistream.message import MS, SECOND, AudioChunk, Message

stamps = st.integers(-300, 300)
sizes = st.integers(1, 40)


def every_end(size: int, hop: int) -> list[int]:
    """The end of every window near zero, in order: [k * hop, k * hop + size)."""
    return [k * hop + size for k in range(-500 // hop - 2, 500 // hop + 3)]


@given(stamps, sizes, sizes)
@laws(400)
def test_first_end_is_the_least_end_after_a_stamp(x: int, size: int, hop: int) -> None:
    assert first_end(x, size, hop) == min(e for e in every_end(size, hop) if e > x)


@given(stamps, st.integers(0, 80), sizes, sizes)
@laws(400)
def test_window_ends_are_those_of_all_windows_that_meet_the_span(first: int, length: int, size: int, hop: int) -> None:
    last = first + length
    meeting = [e for e in every_end(size, hop) if e > first and e - size <= last]
    assert list(window_ends(first, last, size, hop)) == meeting


@given(stamps, sizes, sizes)
@laws(400)
def test_last_end_is_the_greatest_that_has_come_at_t(t: int, size: int, hop: int) -> None:
    assert last_end_at(t, size, hop) == max(e for e in every_end(size, hop) if e <= t + 1)


@given(st.integers(-(10**18), 2 * 10**18), st.integers(1, 10**10), st.integers(1, 10**10))
@laws(200)
def test_arithmetic_holds_at_the_times_of_our_days(x: int, size: int, hop: int) -> None:
    end = first_end(x, size, hop)
    assert end > x >= end - hop  # the least of them: the one before is not after x
    assert (end - size) % hop == 0
    last = last_end_at(x, size, hop)
    assert last <= x + 1 < last + hop
    assert (last - size) % hop == 0


def test_a_stamp_between_windows_falls_into_none() -> None:
    """A hop longer than the window leaves gaps."""
    assert list(window_ends(25, 25, 10, 20)) == [30]
    assert list(window_ends(35, 35, 10, 20)) == []
    assert first_end(35, 10, 20) == 50


# -- audio ----------------------------------------------------------------------------------------


def chunk(stamp: int, count: int, rate: int) -> Message[AudioChunk]:
    audio = AudioChunk(np.arange(count, dtype=np.int16), rate)
    return Message("mic.out", 3, 7, ("mic.out", 3, 7), stamp, stamp - 5, stamp + 100, {"mic.out": stamp}, audio)


rates = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000])
chunks = st.builds(chunk, st.integers(10**9, 10**9 + 10**7) | st.integers(10**18, 10**18 + 10**9), st.integers(0, 900), rates)


@given(chunks, st.integers(-30 * MS, 5 * MS), st.integers(0, 40 * MS))
@laws(400)
def test_a_cut_holds_just_the_samples_that_begin_in_it(message: Message[AudioChunk], offset: int, length: int) -> None:
    start = message.stamp_ns + offset
    end = start + length
    count, rate = len(message.payload.samples), message.payload.rate_hz
    begin = message.stamp_ns - count * SECOND // rate
    at = [begin + Fraction(i * SECOND, rate) for i in range(count)]
    part = cut_audio(message, start, end)
    assert part.payload.samples.tolist() == [i for i, when in enumerate(at) if start <= when < end]
    if part is message:
        return
    if len(part.payload.samples):
        assert part.start_ns == int(at[part.payload.samples[0]])
        assert start <= part.start_ns <= part.stamp_ns < end
    assert part.payload.rate_hz == rate
    assert (part.stream, part.epoch, part.seq, part.origin) == ("mic.out", 3, 7, ("mic.out", 3, 7))
    assert (part.cause_ns, part.deadline_ns, part.lineage) == (message.cause_ns, message.deadline_ns, message.lineage)


@given(chunks, st.lists(st.integers(-60 * MS, 10 * MS), max_size=6))
@laws(300)
def test_cuts_side_by_side_are_the_whole(message: Message[AudioChunk], offsets: list[int]) -> None:
    edges = sorted({message.stamp_ns + o for o in offsets} | {message.stamp_ns - SECOND, message.stamp_ns + SECOND})
    parts = [cut_audio(message, a, b).payload.samples for a, b in pairwise(edges)]
    assert np.concatenate(parts).tolist() == message.payload.samples.tolist()


@pytest.mark.parametrize("margin", [0, 1, 10**6])
def test_what_needs_no_cut_is_not_copied(margin: int) -> None:
    message = chunk(SECOND, 160, 16000)
    assert cut_audio(message, SECOND - 10 * MS - margin, SECOND + margin) is message
    half = cut_audio(message, SECOND - 5 * MS, SECOND)
    assert half.payload.samples.tolist() == list(range(80, 160))
    assert np.shares_memory(half.payload.samples, message.payload.samples)
