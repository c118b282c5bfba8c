"""Histograms with fixed bounds: counts that only grow and add up, and quantiles out of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

__all__ = ["BOUNDS_NS", "add", "counted", "left_bounds", "quantile"]

#: From 10 us to 10 s, six to the decade: of durations and ages.
BOUNDS_NS: tuple[int, ...] = (
    *(n * 10**e // 10 for e in range(4, 10) for n in (10, 15, 20, 30, 50, 70)),
    10**10,
)


def left_bounds(budget_ns: int) -> tuple[int, ...]:
    """Bounds for what is left of a budget, in nanoseconds: finer where it becomes scarce, and below zero what was late."""
    percents = (-400, -100, -50, -20, -10, 0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
    return tuple(budget_ns * percent // 100 for percent in percents)


def counted(samples: Sequence[int] | np.ndarray, bounds: tuple[int, ...]) -> list[int]:
    """How many samples lie in each bucket: at most its bound and above the one before; the last is beyond all."""
    places = np.searchsorted(_array(bounds), np.asarray(samples, dtype=np.int64))
    return np.bincount(places, minlength=len(bounds) + 1).tolist()


@lru_cache
def _array(bounds: tuple[int, ...]) -> np.ndarray:
    return np.array(bounds, dtype=np.int64)


def add(into: list[int], counts: Sequence[int]) -> None:
    """Add the counts of one histogram to another with the same bounds."""
    for i, n in enumerate(counts):
        if n:
            into[i] += n


def quantile(counts: Sequence[int], bounds: Sequence[int], q: float) -> float | None:
    """The value below which a share `q` of the samples lies, as even as they may lie in its bucket; None if there are none.

    What is beyond the last bound is taken for the last bound, and below the first for the first one if that is negative.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, seen = q * total, 0
    for i, n in enumerate(counts):
        if seen + n >= wanted and n:
            if i == len(bounds):
                break
            low = bounds[i - 1] if i else min(0, bounds[0])
            return low + (bounds[i] - low) * (wanted - seen) / n
        seen += n
    return float(bounds[-1])
