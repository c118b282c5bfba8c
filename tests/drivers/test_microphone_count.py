"""How samples are counted, cut and put on the time line: pure arithmetic, over random chunkings and arrivals."""

from __future__ import annotations

import itertools

import av
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.message import MS, SECOND
from omnistream_drivers._timeline import Cut, Cutter, LiveAudio
from omnistream_drivers.resample import MonoResampler

ANCHOR = 1_800_000_000 * SECOND + 7


def pieces(data: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(data, np.minimum(np.cumsum(sizes), len(data)))


def frame(samples: np.ndarray, rate: int, layout: str = "mono") -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    made.sample_rate = rate
    return made


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


def deliver(
    line: LiveAudio,
    seconds: float,
    *,
    rate: int = 16000,
    block: int = 160,
    jitter_ns: int = 0,
    fast: float = 1.0,
    at_ns: int = ANCHOR,
) -> tuple[list[Cut], list[int], int]:
    """Blocks of a device whose clock runs at `fast`, each delivered up to `jitter_ns` late. Returns chunks, gaps, end."""
    rng, cuts, gaps = np.random.default_rng(1), list[Cut](), list[int]()
    arrived = 0
    for i in range(1, int(seconds * rate / block) + 1):
        true = at_ns + int(i * block * SECOND / rate / fast)
        arrived = max(arrived, true + (int(rng.integers(jitter_ns)) if jitter_ns else 0))
        new, gap = line.block(np.zeros(block, np.int16), block, rate, arrived)
        cuts += new
        gaps += [gap] if gap else []
        at_ns_now = true
        for cut in new:
            assert -100 * MS < at_ns_now - cut.end_ns < 140 * MS
    return cuts, gaps, at_ns_now


@settings(max_examples=30)
@given(st.integers(0, 40 * MS))
def test_late_deliveries_are_no_gap_and_stamps_are_near_the_truth(jitter: int) -> None:
    cuts, gaps, _ = deliver(LiveAudio(16000, 320), 5, jitter_ns=jitter)
    assert gaps == []
    assert len(cuts) == 250
    assert all(b.start_ns == a.end_ns for a, b in itertools.pairwise(cuts))
    assert 0 <= cuts[0].start_ns - ANCHOR <= jitter


def test_lost_samples_are_one_gap_of_their_length() -> None:
    line = LiveAudio(16000, 320)
    before, _, end = deliver(line, 2, jitter_ns=5 * MS)
    after, gaps, _ = deliver(line, 3, jitter_ns=5 * MS, at_ns=end + 60 * MS)
    assert len(gaps) == 1
    assert abs(gaps[0] - 60 * MS) < 6 * MS
    stamps = [c.end_ns for c in before + after]
    assert all(b > a for a, b in itertools.pairwise(stamps))


def test_a_slow_or_fast_device_is_kept_within_the_limit_for_ten_minutes() -> None:
    for fast in (0.9995, 1.0005):
        cuts, gaps, end = deliver(LiveAudio(16000, 320), 600, jitter_ns=3 * MS, fast=fast)
        assert abs(cuts[-1].end_ns - end) < 80 * MS
        assert 4 <= len(gaps) <= 7
        assert all((g > 0) == (fast < 1) for g in gaps)
        stamps = [c.end_ns for c in cuts]
        assert min(np.diff(stamps)) >= 20 * MS - 1


def test_a_device_that_comes_back_has_a_new_anchor() -> None:
    line = LiveAudio(16000, 320)
    deliver(line, 1.01)
    assert line.restart() == 160
    cuts, gaps, _ = deliver(line, 1, at_ns=ANCHOR + 10 * SECOND)
    assert (cuts[0].start_ns, gaps) == (ANCHOR + 10 * SECOND, [])


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
