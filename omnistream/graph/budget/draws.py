"""Chance in a simulation: values of measured distributions, drawn many at a time from one seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnistream.graph.budget.profile import Spread

__all__ = ["Draws"]

_AT_ONCE = 512


class Draws:
    """What is drawn depends on the seed and on the order in which it is asked for, and on nothing else."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def of(self, spread: Spread, by: float = 1.0, least: float = 0.0) -> Callable[[], float]:
        """Gives nanoseconds, or for a distribution that never differs always the same."""
        if spread.q[0] == spread.q[-1]:
            always = max(least, spread.q[0] * 1e3 * by)
            return lambda: always
        values: list[float] = []

        def draw() -> float:
            if not values:
                values.extend(max(least, v * by) for v in spread.draw_ns(self.rng, _AT_ONCE))
            return values.pop()

        return draw

    def uniform(self) -> Callable[[], float]:
        values: list[float] = []

        def draw() -> float:
            if not values:
                values.extend(self.rng.random(_AT_ONCE).tolist())
            return values.pop()

        return draw

    def count(self, mean: float) -> Callable[[], int]:
        """How many messages a firing emits, so that it is `mean` on average."""
        whole, part = int(mean), mean - int(mean)
        if part < 1e-9:
            return lambda: whole
        chance = self.uniform()
        return lambda: whole + (chance() < part)
