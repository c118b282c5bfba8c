"""How a live device's samples are put on the time line: pure arithmetic, over random arrivals."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.media.cutter import Cut
from omnistream.message import MS, SECOND
from omnistream_drivers._timeline import LiveAudio

ANCHOR = 1_800_000_000 * SECOND + 7


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
