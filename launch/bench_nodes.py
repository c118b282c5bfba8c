"""Sources and sinks that the benchmark graphs use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from omnistream.message import SECOND, AudioChunk, Text, VideoFrame
from omnistream.node import Context, Emit, Sink, Source


@dataclass(kw_only=True)
class Numbers(Source):
    """`count` texts, `rate_hz` a second; 0: as fast as there is room."""

    count: int
    rate_hz: float = 0.0

    async def run(self, ctx: Context) -> AsyncIterator[Text]:
        text = Text("go forward ten meters")
        for i in range(self.count):
            if self.rate_hz:
                await ctx.clock.sleep_until(ctx.start_ns + int((i + 1) / self.rate_hz * SECOND))
            yield Emit(text, stamp_ns=ctx.clock.now())  # type: ignore[misc]


@dataclass(kw_only=True)
class Discard(Sink):
    """Takes everything."""

    async def write(self, item: Text | AudioChunk | VideoFrame) -> None:
        pass
