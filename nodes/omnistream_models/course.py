"""How long something is learned, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Course"]

_WARM = 0.05


@dataclass(frozen=True, slots=True)
class Course:
    """`steps` of `batch` scenes, at a rate that falls along a cosine."""

    steps: int
    rate: float
    batch: int = 16

    def rate_at(self, step: int) -> float:
        part = step / self.steps
        return self.rate * min(1.0, part / _WARM + 0.02) * (0.5 + 0.5 * float(np.cos(np.pi * part))) + 1e-6
