"""A clock as a source: events at exact multiples of a period."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar

from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, SECOND, Event
from omnistream.node import Context, Emit, Source

__all__ = ["Tick"]


@dataclass(kw_only=True)
class Tick(Source):
    """``Event("tick", {"i": n})`` with n = 0, 1, ..., stamped at multiples of 1 / `rate_hz` of run time.

    `rate_hz`: ticks per second. `count`: the stream ends after so many; 0 never. Woken late, it sends the newest tick that is
    due and skips those before it (``tick_skipped``), which get no number. In a replay that has no recording of it, it ticks
    from the start to the end of what was recorded.

    ```yaml
    graph: beat
    nodes:
      beat: {use: tick, with: {rate_hz: 2, count: 5}}
      show: {use: console, inputs: {message: beat}}
    ```
    """

    sense: ClassVar[bool] = False
    is_device: ClassVar[bool] = False

    rate_hz: float = 1.0
    count: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz <= 10_000 or self.count < 0:
            given = f"rate_hz is {self.rate_hz} and count {self.count}"
            raise GraphError(f"tick: {given}; write a rate above 0 and up to 10000, and a count of 0 (for ever) or more")
        self._period_ns = max(1, round(SECOND / self.rate_hz))
        # A tick that is woken late is still stamped on time: nobody may have been promised later than that.
        self.delay_ns = max(50 * MS, self._period_ns)

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Event]]:
        period = self._period_ns
        at = -(-(ctx.clock.now() if ctx.live else ctx.start_ns) // period) * period
        number = skipped = reported_ns = 0

        def tell() -> None:
            ctx.report("tick_skipped", f"{ctx.name}: {skipped} ticks of {self.rate_hz:g} Hz were due while it was not running")

        endless = not self.count and not ctx.live and ctx.end_ns >= INFINITY
        while (number < self.count or not self.count) and at <= ctx.end_ns and not endless:
            if ctx.live:
                await ctx.clock.sleep_until(at)
                now = ctx.clock.now()
                late = max(0, now - at) // period
                at, skipped = at + late * period, skipped + late
                if skipped and now - reported_ns >= SECOND:
                    tell()
                    skipped, reported_ns = 0, now
            yield Emit(Event("tick", {"i": number}), stamp_ns=at, bound_ns=at + period)
            at, number = at + period, number + 1
        if skipped:
            tell()
