"""Run time: the one clock of a run, and the only module that asks the operating system for the time.

Run time is the host's monotonic clock plus a constant fixed at launch (DESIGN rule 1), so it reads as Unix
nanoseconds and never steps. Everything that needs time takes a `Clock`; tests pass a `ManualClock`.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "Clock",
    "ManualClock",
    "OffsetEstimate",
    "Slew",
    "SlewedClock",
    "SystemClock",
    "cpu_ns",
    "monotonic_ns",
    "pause",
    "perf_ns",
    "thread_ns",
    "unix_ns",
    "utc_name",
]

#: Duration measurement only (step cost, latency of a call); never compared with run time.
perf_ns = time.perf_counter_ns
#: CPU time of this process, for benchmarks.
cpu_ns = time.process_time_ns
#: CPU time of the thread that asks, for what a step takes.
thread_ns = time.thread_time_ns
#: Wall clock, for names of files and for reading stamps that a device put on in Unix time.
unix_ns = time.time_ns

_monotonic_ns = time.monotonic_ns
#: This host's monotonic clock, for measuring how far it is from another host's; never compared with run time.
monotonic_ns = time.monotonic_ns


def pause(seconds: float) -> None:
    """Stop this thread for so long: for commands that look again and again, never in a run."""
    time.sleep(seconds)


def utc_name(unix: int) -> str:
    """A time in Unix nanoseconds as names of files bear it: 20261122-231502, UTC."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(unix // 1_000_000_000))


class Clock(Protocol):
    """Run time in integer nanoseconds."""

    def now(self) -> int: ...

    async def sleep_until(self, when_ns: int) -> None: ...


class SystemClock:
    """The monotonic clock plus `offset_ns`; workers on one host share the launch's offset."""

    __slots__ = ("offset_ns",)

    def __init__(self, offset_ns: int | None = None) -> None:
        self.offset_ns = time.time_ns() - _monotonic_ns() if offset_ns is None else offset_ns

    def now(self) -> int:
        return _monotonic_ns() + self.offset_ns

    async def sleep_until(self, when_ns: int) -> None:
        await asyncio.sleep(max(0.0, (when_ns - self.now()) / 1e9))


#: How fast a slewed offset moves, and how fast two hosts' clocks may part, in parts per million.
SLEW_PPM, DRIFT_PPM = 500, 50


@dataclass(frozen=True, slots=True)
class Slew:
    """What is added to a host's monotonic clock: from `offset_ns` at `since_ns` it moves to `target_ns`, and stays.

    `error_ns` is how far from the truth the target may be.
    """

    since_ns: int
    offset_ns: int
    target_ns: int
    error_ns: int

    def at(self, monotonic: int) -> int:
        """The offset at a reading of the monotonic clock. With it, later readings are never less than earlier ones."""
        moved = max(0, monotonic - self.since_ns) * SLEW_PPM // 1_000_000
        left = self.target_ns - self.offset_ns
        return self.offset_ns + min(moved, left) if left >= 0 else self.offset_ns - min(moved, -left)

    def towards(self, target_ns: int, error_ns: int, monotonic: int) -> Slew:
        """From now on to another target."""
        return Slew(monotonic, self.at(monotonic), target_ns, error_ns)


class OffsetEstimate:
    """How far a host's monotonic clock is from run time, from questions asked and answered.

    A question sent at run time `sent`, answered when the other clock read `there`, heard at `heard`: the offset is their
    middle less `there`, off by half of the round trip at most. Of the last questions the one with the least error counts,
    which grows with its age.
    """

    def __init__(self, kept: int = 32) -> None:
        self._asked: deque[tuple[int, int, int]] = deque(maxlen=kept)

    def answered(self, sent: int, there: int, heard: int) -> None:
        self._asked.append(((sent + heard) // 2 - there, (heard - sent + 1) // 2 + 1, heard))

    def best(self, now: int) -> tuple[int, int]:
        """Offset and error at run time `now`. Raises ValueError if nothing was answered yet."""
        error, offset = min(
            (error + max(0, now - heard) * DRIFT_PPM // 1_000_000, offset) for offset, error, heard in self._asked
        )
        return offset, error


class SlewedClock:
    """Run time on another host than the head: its monotonic clock plus the host's slewed offset, wherever that is kept."""

    __slots__ = ("_last", "_monotonic", "_slew")

    def __init__(self, slew: Callable[[], Slew], monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._slew, self._monotonic = slew, monotonic
        self._last = -(1 << 63)

    def now(self) -> int:
        monotonic = self._monotonic()
        now = monotonic + self._slew().at(monotonic)
        if now < self._last:  # the slew was changed between the two reads
            return self._last
        self._last = now
        return now

    async def sleep_until(self, when_ns: int) -> None:
        await asyncio.sleep(max(0.0, (when_ns - self.now()) / 1e9))


class ManualClock:
    """A clock that a test moves by hand; sleepers wake in the order of their times."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now = now_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    async def sleep_until(self, when_ns: int) -> None:
        if when_ns <= self._now:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (when_ns, self._count, future))
        await future

    def advance(self, by_ns: int) -> None:
        """Move the clock and wake every sleeper whose time has come."""
        self._now += by_ns
        while self._sleepers and self._sleepers[0][0] <= self._now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)
