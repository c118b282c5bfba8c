"""Run time: the one clock of a run, and the only module that asks the operating system for the time.

Run time is the host's monotonic clock plus a constant fixed at launch (DESIGN rule 1), so it reads as Unix
nanoseconds and never steps. Everything that needs time takes a `Clock`; tests pass a `ManualClock`.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock", "cpu_ns", "perf_ns", "unix_ns"]

#: Duration measurement only (step cost, latency of a call); never compared with run time.
perf_ns = time.perf_counter_ns
#: CPU time of this process, for benchmarks.
cpu_ns = time.process_time_ns
#: Wall clock, for names of files and for reading stamps that a device put on in Unix time.
unix_ns = time.time_ns

_monotonic_ns = time.monotonic_ns


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
