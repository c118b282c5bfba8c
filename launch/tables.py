"""Rows and intervals of the tables that benchmarks print."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["interval", "row"]


def interval(hits: Sequence[bool]) -> str:
    """Per cent, and where 95 of 100 resamples of the scenes lie."""
    if not len(hits):
        return "-"
    x, rng = np.asarray(hits, float), np.random.default_rng(0)
    means = 100 * x[rng.integers(0, len(x), (1000, len(x)))].mean(1)
    return f"{100 * x.mean():5.1f} [{np.quantile(means, 0.025):.1f}, {np.quantile(means, 0.975):.1f}]"


def row(name: str, *cells: object) -> None:
    print(f"| {name} | " + " | ".join(str(c) for c in cells) + " |")
