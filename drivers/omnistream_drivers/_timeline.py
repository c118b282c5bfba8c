"""When a picture was taken and when a sample was heard, in run time: pure arithmetic, no devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from omnistream.media.cutter import Cut, Cutter
from omnistream.message import MS, SECOND

__all__ = ["CaptureClock", "LiveAudio", "Thinner"]


class CaptureClock:
    """The best stamp there is for each picture; stamps strictly increase (DESIGN rules 1 and 2).

    A device's own stamp is used if it lies in [arrival - max_skew, arrival]; up to `slack` after the arrival it is taken
    for the arrival (clocks differ a little, and nothing arrives before it was seen). What is further off is counted in
    `skewed`.
    """

    def __init__(self, max_skew_ns: int = SECOND, slack_ns: int = 5 * MS) -> None:
        self._max_skew_ns, self._slack_ns = max_skew_ns, slack_ns
        self._last: int | None = None
        self.skewed = 0

    def stamp(self, arrival_ns: int, device: Iterable[int] = (), source: str = "device") -> tuple[int, str]:
        """The stamp and its `clock_source`, from the readings of the device stamp that are possible, best first."""
        readings = list(device)
        good = (d for d in readings if arrival_ns - self._max_skew_ns <= d <= arrival_ns + self._slack_ns)
        at = next(good, None)
        if at is None:
            self.skewed += bool(readings)
            at, source = arrival_ns, "arrival"
        at = min(at, arrival_ns)
        if self._last is not None:
            at = max(at, self._last + 1)
        self._last = at
        return at, source


class Thinner:
    """Lets through at most what a declared period promises: messages at least 0.8 periods apart (DESIGN rule 3)."""

    def __init__(self, period_ns: int) -> None:
        self._least_ns = period_ns - period_ns // 5
        self._last: int | None = None

    def passes(self, stamp_ns: int) -> bool:
        if self._last is not None and stamp_ns < self._last + self._least_ns:
            return False
        self._last = stamp_ns
        return True


class LiveAudio:
    """Puts a live device's samples on the time line, from nothing but how many came and when.

    A block's last sample was heard just before it arrived, and delivery can only be late: so the earliest start that
    any block of the last second allows is the best anchor. The first 80 ms are held for the first anchor. Afterwards it is
    renewed only where the count and the arrivals are more than 50 ms apart: samples were lost (the time line jumps over them),
    or the device runs fast (as many samples are left out).
    """

    SETTLE_NS = 80 * MS
    LIMIT_NS = 50 * MS
    SPAN_NS = SECOND

    def __init__(self, rate_hz: int, size: int) -> None:
        self._cutter = Cutter(rate_hz, size)
        self._rate_hz = rate_hz
        self._anchor_ns: int | None = None
        self._heard, self._left_out_ns = 0, 0
        self._starts: deque[tuple[int, int]] = deque()  # (arrival, the start that it allows), arrivals within SPAN_NS
        self._held: list[np.ndarray] = []

    def restart(self) -> int:
        """The device was lost and is back. Returns how many samples of an unfinished chunk were dropped."""
        held = sum(len(h) for h in self._held)
        self._anchor_ns, self._heard, self._left_out_ns, self._held = None, 0, 0, []
        self._starts.clear()
        return held + self._cutter.restart(0)

    def block(self, samples: np.ndarray, heard: int, heard_hz: int, arrival_ns: int) -> tuple[list[Cut], int]:
        """Take samples that were made of `heard` ones at the device's own rate, which must not change before a `restart`.

        Returns chunks, and the gap found here in ns (< 0: left out).
        """
        self._heard += heard
        heard_ns = self._heard * SECOND // heard_hz - self._left_out_ns
        self._starts.append((arrival_ns, arrival_ns - heard_ns))
        while self._starts[0][0] < arrival_ns - self.SPAN_NS:
            self._starts.popleft()
        if self._anchor_ns is None:
            self._held.append(samples)
            if arrival_ns - self._starts[0][0] < self.SETTLE_NS and heard_ns < self.SETTLE_NS:
                return [], 0
            self._anchor_ns = min(start for _, start in self._starts)
            self._cutter.restart(self._anchor_ns)
            samples, self._held = np.concatenate(self._held), []
            return self._cutter.push(samples), 0
        gap = self._gap(arrival_ns)
        return self._cutter.push(samples), gap

    def _gap(self, arrival_ns: int) -> int:
        assert self._anchor_ns is not None
        gap = min(start for _, start in self._starts) - self._anchor_ns
        seen_for_a_while = arrival_ns - self._starts[0][0] >= self.SPAN_NS * 3 // 4
        if gap > self.LIMIT_NS and seen_for_a_while:
            self._anchor_ns += gap
            self._cutter.shift(gap)
        elif gap < -self.LIMIT_NS:
            self._cutter.skip(-gap * self._rate_hz // SECOND)
            self._left_out_ns -= gap
            self._starts = deque((at, start - gap) for at, start in self._starts)
        else:
            return 0
        return gap
