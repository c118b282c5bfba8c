"""Sound as it enters a node: refused where it is of another kind, numbered by samples, put in event time, cut into frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omnistream.message import SECOND, AudioChunk
from omnistream.node import Context

__all__ = ["Frames", "Intake", "Timeline"]


class Timeline:
    """Sample numbers to event time, anchored at the first chunk and again after each gap (DESIGN rule 1)."""

    def __init__(self, rate_hz: int, tolerance_ms: float = 5.0) -> None:
        self.rate_hz = rate_hz
        self.count = 0
        self._tolerance = round(tolerance_ms * rate_hz / 1000)
        self._anchor_ns: int | None = None
        self._anchor_sample = 0

    def missing(self, stamp_ns: int, n: int) -> int:
        """How many samples were lost before a chunk of `n` that ends at `stamp_ns`: 0 if it goes on from the last one.

        Negative: it begins before the last one ended, so it is of another recording.
        """
        if self._anchor_ns is None:
            return 0
        begins = stamp_ns - n * SECOND // self.rate_hz
        off = (begins - self.time_ns(self.count)) * self.rate_hz // SECOND
        return 0 if abs(off) <= self._tolerance else off

    def take(self, stamp_ns: int, n: int, *, anew: bool = False) -> None:
        """Count a chunk's samples; `anew` takes its stamp for the new anchor."""
        if self._anchor_ns is None or anew:
            self._anchor_ns = stamp_ns - n * SECOND // self.rate_hz
            self._anchor_sample = self.count
        self.count += n

    def skip(self, n: int) -> None:
        """Count samples that were lost and are stood in for."""
        self.count += n

    def time_ns(self, sample: int) -> int:
        """When sample number `sample` begins (and the one before it ends)."""
        return (self._anchor_ns or 0) + (sample - self._anchor_sample) * SECOND // self.rate_hz


class Frames:
    """Samples in, frames of `size` out, whatever the pieces they come in."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rest = np.empty(0, np.int16)

    def push(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Every frame that is full now. Less than one frame is kept."""
        joined = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(joined) - len(joined) % self.size
        self._rest = joined[whole:].copy()
        for begin in range(0, whole, self.size):
            yield joined[begin : begin + self.size]

    def clear(self) -> None:
        self._rest = np.empty(0, np.int16)


class Intake:
    """The entrance of a node that takes int16 mono sound of one rate. What it refuses, and each gap, is reported."""

    def __init__(self, ctx: Context, rate_hz: int) -> None:
        self.timeline = Timeline(rate_hz)
        self._ctx = ctx
        self._refused = False

    def missing(self, audio: AudioChunk) -> int | None:
        """Samples lost before this chunk, which ends at `ctx.now`: as `Timeline.missing`; None for a chunk to leave out."""
        samples, rate_hz = audio.samples, self.timeline.rate_hz
        if audio.rate_hz != rate_hz or samples.ndim != 1 or samples.dtype != np.int16:
            if not self._refused:
                self._refused = True
                found = f"{samples.ndim}-dimensional {samples.dtype} at {audio.rate_hz} Hz"
                self._report("audio_rate", f"sound is {found} and is left out; send mono int16 at {rate_hz} Hz")
            return None
        if not len(samples):
            return None
        missing = self.timeline.missing(self._ctx.now, len(samples))
        if missing:
            what = "is missing" if missing > 0 else "came twice"
            self._report("audio_gap", f"{abs(missing) * 1000 // rate_hz} ms of sound {what}")
        return missing

    def take(self, audio: AudioChunk, *, anew: bool) -> None:
        """Count the chunk; `anew` where it does not go on from the last."""
        self.timeline.take(self._ctx.now, len(audio.samples), anew=anew)

    def _report(self, reason: str, text: str) -> None:
        self._ctx.report(reason, f"{self._ctx.name}: {text}")
