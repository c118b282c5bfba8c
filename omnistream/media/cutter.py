"""Samples as they come -> chunks of one size, each with its span in run time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnistream.message import SECOND

__all__ = ["Cut", "Cutter"]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A chunk of samples and its span in run time."""

    samples: np.ndarray
    start_ns: int
    end_ns: int


class Cutter:
    """Cuts int16 samples into chunks of `size`, stamped by counting from an anchor: sample k ends at anchor + (k+1)/rate."""

    def __init__(self, rate_hz: int, size: int, anchor_ns: int = 0) -> None:
        self._rate_hz, self._size = rate_hz, size
        self._anchor_ns, self._count, self._skip = anchor_ns, 0, 0
        self._last_end = anchor_ns
        self._rest: list[np.ndarray] = []
        self._held = 0

    def restart(self, anchor_ns: int) -> int:
        """Count from a new anchor, never before what was cut already. Drops an unfinished chunk and returns its length."""
        dropped, self._held, self._rest = self._held, 0, []
        self._anchor_ns, self._count, self._skip = max(anchor_ns, self._last_end), 0, 0
        return dropped

    def shift(self, by_ns: int) -> None:
        """Samples are missing here: what follows is that much later."""
        self._anchor_ns += by_ns

    def skip(self, samples: int) -> None:
        """Too many samples came: the next ones are left out."""
        self._skip += samples

    def push(self, samples: np.ndarray) -> list[Cut]:
        left_out = min(self._skip, len(samples))
        self._skip -= left_out
        self._rest.append(samples[left_out:])
        self._held += len(samples) - left_out
        if self._held < self._size:
            return []
        joined = np.concatenate(self._rest)
        whole = len(joined) // self._size * self._size
        cuts = [self._cut(joined[i : i + self._size]) for i in range(0, whole, self._size)]
        self._rest, self._held = [joined[whole:]], len(joined) - whole
        return cuts

    def flush(self) -> Cut | None:
        """The unfinished last chunk, shorter than the others."""
        joined = np.concatenate([np.empty(0, np.int16), *self._rest])
        self._rest, self._held = [], 0
        return self._cut(joined) if len(joined) else None

    def _cut(self, samples: np.ndarray) -> Cut:
        start = self._anchor_ns + self._count * SECOND // self._rate_hz
        self._count += len(samples)
        end = self._anchor_ns + self._count * SECOND // self._rate_hz
        self._last_end = end
        samples = np.ascontiguousarray(samples, dtype=np.int16)
        samples.flags.writeable = False
        return Cut(samples, start, end)
