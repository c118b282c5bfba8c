"""Nodes for a run in which a caption is made twice: a typed command, a palm whose frame is long looked at, a slow robot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from omnistream.message import MS, Action, Caption, Event, Message, Text
from omnistream.node import Context, Emit, Node, Sink, Source
from omnistream.protocol.codec import CaptionFrame, caption_frame

#: What came to the sink, in all lives of its worker.
FRAMES: list[CaptionFrame] = []


@dataclass(kw_only=True)
class Typed(Source):
    """One command, 100 ms after the start."""

    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Text]:
        await ctx.clock.sleep_until(at := ctx.start_ns + 100 * MS)
        yield Emit(Text("go forward"), stamp_ns=at)


@dataclass(kw_only=True)
class Palm(Source):
    """An open palm, 10 ms before the command."""

    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        await ctx.clock.sleep_until(at := ctx.start_ns + 90 * MS)
        yield Emit(Event("gesture", {"gesture": "open_palm"}), stamp_ns=at)


@dataclass(kw_only=True)
class Eyes(Node):
    """Looks at it until long after the command was decided without it."""

    async def step(self, item: Event) -> Event:
        await asyncio.sleep(0.3)
        return item


@dataclass(kw_only=True)
class Glasses(Sink):
    """Keeps the frames that would be published."""

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx

    async def write(self, item: Message[Caption]) -> None:
        FRAMES.append(caption_frame(item, run=self._ctx.start_ns))


@dataclass(kw_only=True)
class Robot(Sink):
    """Takes its time to stop, so that the stop's cause is not acknowledged when the worker dies."""

    async def write(self, item: Message[Action]) -> None:
        await asyncio.sleep(1.0 if item.payload.kind == "stop" else 0.0)
