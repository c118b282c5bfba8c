"""Statistics of a LeRobotDataset's features, as lerobot's training normalizes by them: exact, over all that they are told."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Pixels", "of_numbers"]

_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)


def of_numbers(table: np.ndarray) -> dict[str, list[Any]]:
    """Of (N, D) numbers: each a list of D, and the count of rows."""
    rows = table.astype(np.float64)
    found: dict[str, list[Any]] = {
        "min": rows.min(0).tolist(),
        "max": rows.max(0).tolist(),
        "mean": rows.mean(0).tolist(),
        "std": rows.std(0).tolist(),
        "count": [len(rows)],
    }
    return found | {f"q{q * 100:02.0f}": np.quantile(rows, q, axis=0).tolist() for q in _QUANTILES}


class Pixels:
    """Of frames, per channel and in 0..1, each (3, 1, 1) as lerobot has it; of every `EVERY`-th frame and 2nd pixel."""

    EVERY = 5

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), np.int64)
        self._seen = self._taken = 0

    def see(self, image: np.ndarray) -> None:
        """An (H, W, 3) uint8 frame."""
        if self._seen % self.EVERY == 0:
            small = image[::2, ::2]
            self._histogram += [np.bincount(small[..., c].ravel(), minlength=256) for c in range(3)]
            self._taken += 1
        self._seen += 1

    def add(self, other: Pixels) -> None:
        self._histogram += other._histogram
        self._taken += other._taken

    def statistics(self) -> dict[str, Any]:
        level = np.arange(256) / 255
        weight = self._histogram / np.maximum(1, self._histogram.sum(1, keepdims=True))
        mean = weight @ level
        deviation = np.sqrt(np.maximum(0, weight @ level**2 - mean**2))
        cumulated = weight.cumsum(1)
        lows = [level[np.flatnonzero(h)[0]] if h.any() else 0.0 for h in self._histogram]
        highs = [level[np.flatnonzero(h)[-1]] if h.any() else 0.0 for h in self._histogram]
        found: dict[str, Any] = {"min": lows, "max": highs, "mean": mean.tolist(), "std": deviation.tolist()}
        found |= {f"q{q * 100:02.0f}": [float(level[np.searchsorted(c, q)]) for c in cumulated] for q in _QUANTILES}
        return {k: [[[float(v)]] for v in values] for k, values in found.items()} | {"count": [self._taken]}
