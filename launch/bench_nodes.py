"""Sources and sinks that the benchmark graphs use."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgpack
import numpy as np

from omnistream.coded import Coded, Group, Look
from omnistream.message import SECOND, AudioChunk, Message, Text, VideoFrame
from omnistream.node import Context, Emit, Node, Sink, Source


@dataclass(kw_only=True)
class Numbers(Source):
    """`count` texts, `rate_hz` a second; 0: as fast as there is room."""

    count: int
    rate_hz: float = 0.0

    async def run(self, ctx: Context) -> AsyncIterator[Text]:
        text = Text("go forward ten meters")
        first = int((ctx.clock.now() - ctx.start_ns) / SECOND * self.rate_hz)  # one that was made again goes on from now
        for i in range(first, self.count):
            if self.rate_hz:
                await ctx.clock.sleep_until(ctx.start_ns + int((i + 1) / self.rate_hz * SECOND))
            yield Emit(text, stamp_ns=ctx.clock.now())  # type: ignore[misc]


@dataclass(kw_only=True)
class Discard(Sink):
    """Takes everything."""

    async def write(self, item: Text | AudioChunk | VideoFrame) -> None:
        pass


@dataclass(kw_only=True)
class Patterns(Source):
    """Images of `shape`, each filled with its own number, `rate_hz` a second until the run ends."""

    shape: tuple[int, int, int]
    rate_hz: float

    async def run(self, ctx: Context) -> AsyncIterator[VideoFrame]:
        i = int((ctx.clock.now() - ctx.start_ns) / SECOND * self.rate_hz)  # one that was made again goes on from now
        while True:
            i += 1
            await ctx.clock.sleep_until(ctx.start_ns + int(i / self.rate_hz * SECOND))
            image = ctx.alloc(tuple(self.shape), np.uint8)
            image[:] = i % 251
            yield VideoFrame(image)


@dataclass(kw_only=True)
class Slow(Node):
    """Takes `step_ms` for each image, and writes down how old it was when its step began."""

    step_ms: float
    path: str
    blocking: ClassVar[bool] = True

    async def open(self, ctx: Context) -> None:
        self.ctx = ctx
        self.ages_ns: list[int] = []

    async def step(self, item: Message[VideoFrame]) -> Text | None:
        self.ages_ns.append(self.ctx.clock.now() - item.stamp_ns)
        time.sleep(self.step_ms / 1000)  # noqa: ASYNC251  it blocks, in a thread of its own

    async def close(self) -> None:
        Path(self.path).write_text(json.dumps(self.ages_ns))  # noqa: ASYNC240


@dataclass(kw_only=True)
class Uniform(Sink):
    """Refuses an image that is not of one number throughout: torn, or of another."""

    async def write(self, item: VideoFrame) -> None:
        image = item.image.reshape(-1)
        if len(image) and not (image == image[0]).all():
            raise ValueError("a torn image")


@dataclass(kw_only=True)
class Filmed(Source):
    """The frames of a file of arrays, 30 a second, again and again; `packets` is a file of what they were decoded from."""

    seconds: float
    pictures: str
    packets: str = ""

    async def run(self, ctx: Context) -> AsyncIterator[Emit[VideoFrame]]:
        pictures = np.load(self.pictures, mmap_mode="r")
        packets: list[bytes] = msgpack.unpackb(Path(self.packets).read_bytes()) if self.packets else []  # noqa: ASYNC240
        look, group = Look(pictures.shape[2], pictures.shape[1]), Group("h264", -1)
        for i in range(int(self.seconds * 30)):
            await ctx.clock.sleep_until(ctx.start_ns + int((i + 1) / 30 * SECOND))
            at = i % len(pictures)
            group = Group("h264", group.number + 1) if at == 0 else group
            group.packets += packets[at : at + 1]
            yield Emit(VideoFrame(np.array(pictures[at])), coded=Coded(look, group, at) if packets else None)


@dataclass(kw_only=True)
class Noise(Source):
    """16 kHz sound, 50 chunks a second."""

    seconds: float

    async def run(self, ctx: Context) -> AsyncIterator[AudioChunk]:
        noise = np.random.default_rng(0).integers(-999, 999, (50, 320)).astype(np.int16)
        for i in range(int(self.seconds * 50)):
            await ctx.clock.sleep_until(ctx.start_ns + int((i + 1) / 50 * SECOND))
            yield AudioChunk(noise[i % 50])
