"""What a worker measures of a node's firings: two numbers are kept of each, and counted when somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnistream.observe.histogram import BOUNDS_NS, add, counted, left_bounds

__all__ = ["FULL", "Meter"]

#: Count what was kept when there is so much of it, even if nobody looks.
FULL = 8192


class Meter:
    """`steps` are durations; `ages` how old the cause was when the step began, less a constant that `counts` is told.

    A sink has what was left of the budget when it had written, too. `missed` counts firings that were given up for being late.
    """

    __slots__ = ("_age", "_age_ns", "_bounds", "_budget", "_late", "_left", "_step", "_step_ns", "ages", "missed", "steps")

    def __init__(self, budget_ns: int, *, sink: bool) -> None:
        self.steps: list[int] = []
        self.ages: list[int] = []
        self.missed = 0
        self._budget = budget_ns
        self._bounds = left_bounds(budget_ns) if sink else ()
        self._step = [0] * (len(BOUNDS_NS) + 1)
        self._age = [0] * (len(BOUNDS_NS) + 1)
        self._left = [0] * (len(self._bounds) + 1) if sink else []
        self._step_ns = self._age_ns = self._late = 0

    def fold(self, offset_ns: int) -> None:
        """Count what was kept since. `offset_ns` is what the ages lack."""
        steps = np.array(self.steps, dtype=np.int64)
        ages = np.array(self.ages, dtype=np.int64) + offset_ns
        self.steps, self.ages = [], []
        left = self._budget - ages - steps
        add(self._step, counted(steps, BOUNDS_NS))
        add(self._age, counted(ages, BOUNDS_NS))
        self._step_ns += int(steps.sum())
        self._age_ns += max(0, int(ages.sum()))
        self._late += int((left < 0).sum())
        if self._bounds:
            add(self._left, counted(left, self._bounds))

    def counts(self, offset_ns: int) -> dict[str, Any]:
        """All firings of this life: histograms of step, age and (a sink's) left, sums in nanoseconds, deadline misses."""
        if self.steps:
            self.fold(offset_ns)
        found = {"step": list(self._step), "step_ns": self._step_ns, "age": list(self._age), "age_ns": self._age_ns}
        return found | {"left": list(self._left), "missed": self.missed + self._late}
