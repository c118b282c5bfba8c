"""Where the time of a simulated message went, from its cause to where it is now."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Leg", "Trace"]


@dataclass(slots=True)
class Leg:
    """One node's part of a way, in nanoseconds: before it can be read (`hop`), until it is read (`queue`, of which `wait` is
    for other ports to settle and `fill` for a window to end), and what the step took."""

    node: str
    hop: float = 0.0
    queue: float = 0.0
    wait: float = 0.0
    fill: float = 0.0
    step: float = 0.0


class Trace:
    """A message's way: its source or the node that emitted it, and the trace of what triggered that."""

    __slots__ = ("before", "emitted_ns", "leg", "way")

    def __init__(self, leg: Leg, before: Trace | None, emitted_ns: int) -> None:
        self.leg, self.before, self.emitted_ns = leg, before, emitted_ns
        self.way: tuple[str, ...] = (leg.node,) if before is None else (*before.way, leg.node)

    def legs(self) -> list[Leg]:
        found: list[Leg] = []
        trace: Trace | None = self
        while trace is not None:
            found.append(trace.leg)
            trace = trace.before
        return found[::-1]
