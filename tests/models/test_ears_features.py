"""Log-mels of a stream: in pieces as in one, never of the future, and of the right tone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream_models.ears.features import HOP, MELS, LogMel, log_mel

SOUND = (np.random.default_rng(0).normal(0, 900, 100 * HOP)).astype(np.int16)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_in_pieces_equals_whole(hops: list[int]) -> None:
    stream, at, parts = LogMel(), 0, []
    for n in hops:
        parts.append(stream.step(SOUND[at : at + n * HOP]))
        at = min(len(SOUND), at + n * HOP)
    assert np.allclose(np.concatenate(parts), log_mel(SOUND[:at]), atol=1e-5)


def test_the_future_does_not_change_the_past() -> None:
    other = SOUND.copy()
    other[50 * HOP :] = -other[50 * HOP :] // 3
    one, two = log_mel(SOUND), log_mel(other)
    assert np.array_equal(one[:50], two[:50])
    assert not np.allclose(one[50], two[50])


def test_a_tone_is_loudest_in_its_band() -> None:
    t = np.arange(16000) / 16000
    centres = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), MELS + 2) / 2595) - 1)
    for hz in (300, 1000, 4000):
        frames = log_mel(np.sin(2 * np.pi * hz * t) * 9000)
        assert abs(int(frames[50].argmax()) - int(np.abs(centres[1:-1] - hz).argmin())) <= 1


def test_silence_is_finite_and_low() -> None:
    frames = log_mel(np.zeros(3200, np.int16))
    assert frames.shape == (20, MELS)
    assert np.isfinite(frames).all()
    assert frames.max() < log_mel(SOUND).min()
