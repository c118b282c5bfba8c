"""Samples are cut into chunks without loss, and stamps count them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from omnistream.media.cutter import Cut, Cutter
from omnistream.message import SECOND

ANCHOR = 1_800_000_000 * SECOND + 7


def pieces(data: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(data, np.minimum(np.cumsum(sizes), len(data)))


@given(
    st.integers(0, 5000),
    st.lists(st.integers(0, 700), max_size=30),
    st.sampled_from([8000, 16000, 44100, 48000]),
    st.integers(1, 400),
)
def test_every_sample_is_in_one_chunk_and_stamps_count_them(n: int, sizes: list[int], rate: int, size: int) -> None:
    data = (np.arange(n) % 32768).astype(np.int16)
    cutter, cuts = Cutter(rate, size, ANCHOR), list[Cut]()
    for piece in pieces(data, sizes):
        cuts += cutter.push(piece)
    assert all(len(c.samples) == size for c in cuts)
    if (rest := cutter.flush()) is not None:
        cuts.append(rest)
    assert np.array_equal(np.concatenate([data[:0], *(c.samples for c in cuts)]), data)
    end = 0
    for cut in cuts:
        assert cut.start_ns == ANCHOR + end * SECOND // rate
        end += len(cut.samples)
        assert cut.end_ns == ANCHOR + end * SECOND // rate


def test_a_day_of_chunks_is_counted_without_drift() -> None:
    cutter = Cutter(44100, 441, ANCHOR)
    cutter._count = 86400 * 44100 - 441
    assert cutter.push(np.zeros(441, np.int16))[0].end_ns == ANCHOR + 86400 * SECOND


def test_a_new_anchor_never_goes_back_and_drops_the_unfinished_chunk() -> None:
    cutter = Cutter(16000, 320, ANCHOR)
    end = cutter.push(np.zeros(500, np.int16))[-1].end_ns
    assert cutter.restart(ANCHOR - SECOND) == 180
    assert cutter.push(np.ones(320, np.int16))[0].start_ns == end
