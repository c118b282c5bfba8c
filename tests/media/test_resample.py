"""Sound of any form becomes mono of one rate, of the same length, at the same time."""

from __future__ import annotations

import av
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.media.resample import MonoResampler


def frame(samples: np.ndarray, rate: int, layout: str = "mono") -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    made.sample_rate = rate
    return made


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=15),
    st.sampled_from([(48000, "mono"), (44100, "stereo"), (8000, "mono")]),
)
def test_resampling_conserves_length_and_does_not_depend_on_the_pieces(sizes: list[int], form: tuple[int, str]) -> None:
    rate, layout = form
    channels = 2 if layout == "stereo" else 1
    n = sum(sizes)
    wave = (8000 * np.sin(np.arange(n) * 440 * 2 * np.pi / rate)).astype(np.int16).repeat(channels)
    parts, whole = MonoResampler(16000), MonoResampler(16000)
    got = [parts.push(frame(p, rate, layout)) for p in np.split(wave, np.cumsum(sizes)[:-1] * channels)]
    out = np.concatenate([*got, parts.flush()])
    assert abs(len(out) - n * 16000 / rate) <= 32  # 2 ms
    assert np.array_equal(out, np.concatenate([whole.push(frame(wave, rate, layout)), whole.flush()]))


def test_resampling_shifts_nothing_in_time() -> None:
    clicks = np.zeros(48000, np.int16)
    clicks[[12000, 24000, 36000]] = 30000
    resampler = MonoResampler(16000)
    out = np.concatenate([resampler.push(frame(clicks, 48000)), resampler.flush()])
    assert [int(np.argmax(np.abs(out[k - 500 : k + 500]))) - 500 for k in (4000, 8000, 12000)] == [0, 0, 0]


def test_channels_are_mixed_without_clipping() -> None:
    loud = np.full(2 * 4800, 32767, np.int16)
    out = MonoResampler(16000).push(frame(loud, 48000, "stereo"))
    assert out[-100:].min() > 32000
    opposite = np.tile(np.array([20000, -20000], np.int16), 4800)
    assert np.abs(MonoResampler(16000).push(frame(opposite, 48000, "stereo"))[200:]).max() <= 1


def test_audio_of_another_rate_may_follow() -> None:
    resampler, total = MonoResampler(16000), 0
    for rate, layout, channels in [(44100, "stereo", 2), (16000, "mono", 1), (48000, "5.1", 6), (8000, "mono", 1)]:
        total += len(resampler.push(frame(np.zeros(rate // 2 * channels, np.int16), rate, layout)))
    assert abs(total + len(resampler.flush()) - 4 * 8000) <= 4 * 16
