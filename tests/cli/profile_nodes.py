"""Nodes that the tests of `profile` measure."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from omnistream.errors import DeviceError
from omnistream.message import MS, Action, Event
from omnistream.node import Context, Emit, Node, Sink, Source


@dataclass(kw_only=True)
class Naps(Node):
    """Sleeps in a thread."""

    ms: float
    blocking: ClassVar[bool] = True
    variants: ClassVar[tuple[str, ...]] = ("long", "short")

    async def open(self, ctx: Context) -> None:
        self.ctx = ctx

    async def step(self, item: Event) -> Event:
        time.sleep(self.ms / (1000 if self.ctx.variant == "long" else 10_000))  # noqa: ASYNC251  a thread of its own
        return item


class Acts(Source):
    """Actions, a hundred a second."""

    is_device: ClassVar[bool] = False

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Action]]:
        at = ctx.clock.now()
        while True:
            at += 10 * MS
            await ctx.clock.sleep_until(at)
            yield Emit(Action("velocity", at + 500 * MS, {"x_mps": 0.1}), stamp_ns=at)


@dataclass(kw_only=True)
class Arm(Sink):
    """Moves something real, and leaves a trace of it."""

    path: str
    actuator: bool = True

    async def open(self, ctx: Context) -> None:
        Path(self.path).write_text("opened")

    async def write(self, action: Action) -> None:
        Path(self.path).write_text("moved")


class Broken(Sink):
    """Cannot be opened."""

    async def open(self, ctx: Context) -> None:
        raise DeviceError("no broker here")

    async def write(self, action: Action) -> None:
        raise AssertionError("it was never opened")
