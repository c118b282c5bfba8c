"""How an input port takes messages and how its edges queue them: the resolved words of a graph file, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from omnistream.flow.policy import POLICIES
from omnistream.message import INFINITY, MS

__all__ = ["PortConfig", "Queue", "Take", "WindowConfig"]

Take = Literal["each", "window", "latest", "recent"]


@dataclass(frozen=True, slots=True)
class Queue:
    """An edge's policy (DESIGN section 4): what happens to what is pending at the sender when there is no credit.

    `policy` is a word of `omnistream.flow.policy.POLICIES`; `n` its N, if it takes one.
    """

    policy: str
    n: int = 1
    max_bytes: int = 256 << 20
    droppable: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "droppable", POLICIES[self.policy].droppable)

    def __str__(self) -> str:
        return f"{self.policy} {self.n}" if POLICIES[self.policy].takes_n else self.policy


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """Windows [a, a + size) at multiples of `hop` since the epoch; or, with `gap_ns`, sessions (rule 8).

    A session ends `gap_ns` after its newest message, or at a message whose payload attribute named `end` is true.
    """

    size_ns: int = 0
    hop_ns: int = 0
    gap_ns: int = 0
    end: str = ""


@dataclass(frozen=True, slots=True)
class PortConfig:
    """One input port. `wait_ns` INFINITY never forces; `delay_ns` > 0 marks feedback (rule 13).

    `in_flight`: at most so many unfinished messages of a source on this edge (rule 20); 0 is off.
    """

    name: str
    take: Take
    queue: Queue
    window: WindowConfig | None = None
    hold_ns: int = INFINITY
    lag_ns: int = 0
    wait_ns: int = 20 * MS
    delay_ns: int = 0
    urgent: bool = False
    in_flight: int = 0
    max_bytes: int = 256 << 20

    @property
    def triggers(self) -> bool:
        return self.take in ("each", "window")
