"""Nodes that keep processors busy, for benchmarks of what must hold under load."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnistream.message import SECOND, Features, Text, VideoFrame
from omnistream.node import Context, Emit, Node, Sink, Source

_BLOCK = bytes(1 << 16)


def burn(ms: float) -> None:
    """So much processor time of this thread, mostly without the interpreter's lock, as a model's inference takes it."""
    until = time.thread_time() + ms / 1000
    while time.thread_time() < until:
        hashlib.sha256(_BLOCK)


@dataclass(kw_only=True)
class Flood(Source):
    """Small features, `rate_hz` a second, in bursts of a hundredth of a second."""

    rate_hz: float

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Features]]:
        at = ctx.clock.now()
        data = np.zeros((4, 4), np.float32)
        while True:
            at += SECOND // 100
            await ctx.clock.sleep_until(at)
            for _ in range(max(1, round(self.rate_hz / 100))):
                yield Emit(Features(data), stamp_ns=ctx.clock.now())


@dataclass(kw_only=True)
class Pulse(Source):
    """Images, `rate_hz` a second for so many `seconds`, then `after_hz`."""

    rate_hz: float
    seconds: float
    after_hz: float
    shape: tuple[int, int, int] = (240, 320, 3)

    async def run(self, ctx: Context) -> AsyncIterator[Emit[VideoFrame]]:
        at = ctx.start_ns
        while True:
            rate = self.rate_hz if at - ctx.start_ns < self.seconds * SECOND else self.after_hz
            at += int(SECOND / rate)
            await ctx.clock.sleep_until(at)
            yield Emit(VideoFrame(ctx.alloc(tuple(self.shape), np.uint8)), stamp_ns=ctx.clock.now())


@dataclass(kw_only=True)
class Wait(Node):
    """Work on a device: `step_ms` for each image, and no processor time."""

    step_ms: float
    blocking: ClassVar[bool] = True

    async def step(self, frame: VideoFrame) -> VideoFrame | None:
        time.sleep(self.step_ms / 1000)  # noqa: ASYNC251  it blocks, in a thread of its own
        return frame


@dataclass(kw_only=True)
class Found(Node):
    """The same, and something small comes of it."""

    step_ms: float
    blocking: ClassVar[bool] = True

    async def step(self, frame: VideoFrame) -> Features | None:  # noqa: ARG002
        time.sleep(self.step_ms / 1000)  # noqa: ASYNC251
        return Features(np.zeros((4, 4), np.float32))


@dataclass(kw_only=True)
class Obeys(Node):
    """Commands, with what was seen last."""

    async def step(self, text: Text, seen: Features | None) -> Text | None:  # noqa: ARG002
        return text


@dataclass(kw_only=True)
class Look(Node):
    """A model's stand-in: `step_ms` of processor time for each image, in a thread; its cheaper variants take less."""

    step_ms: float
    small: float = 0.25  # of it, for the variant "small"
    blocking: ClassVar[bool] = True
    variants = ("full", "small")

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx

    async def step(self, frame: VideoFrame) -> Features | None:  # noqa: ARG002
        burn(self.step_ms * (self.small if self._ctx.variant == "small" else 1))
        return Features(np.zeros((4, 4), np.float32))


@dataclass(kw_only=True)
class Chew(Node):
    """Takes `step_ms` of processor time on the event loop itself, as a careless node does."""

    step_ms: float

    async def step(self, item: Features) -> Features | None:
        burn(self.step_ms)
        return item


@dataclass(kw_only=True)
class Nowhere(Sink):
    """Takes whatever models give."""

    async def write(self, item: Features) -> None:
        pass
