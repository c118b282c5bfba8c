# ruff: noqa: ARG002  what a step is given is no matter here
"""Sources, steps and sinks with known costs, of which bench_budget.py makes its graphs."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnistream.message import SECOND, Text, Window
from omnistream.node import Context, Emit, Node, Sink, Source

_BLOCK = bytes(64 << 10)
_TEXT = Text("go forward ten meters")


def burn(ns: float, *, hold: bool) -> None:
    """Compute for so long by the thread's own clock: in Python, or where Python's lock is free."""
    began = time.thread_time_ns()
    if hold:
        while time.thread_time_ns() - began < ns:
            pass
    else:
        while time.thread_time_ns() - began < ns:
            hashlib.sha256(_BLOCK).digest()


@dataclass(kw_only=True)
class Beat(Source):
    """Texts, `rate_hz` a second, each due time off by a normal jitter; stamped when due, or when they are taken."""

    rate_hz: float
    jitter: float = 0.0
    stamped: bool = True
    declares: bool = False
    sense: ClassVar[bool] = True
    is_device: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.period_ns = round(SECOND / self.rate_hz) if self.declares else 0
        self.delay_ns = 5_000_000

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Text]]:
        period = SECOND / self.rate_hz
        at = ctx.clock.now() + float(ctx.rng.random()) * period
        while True:
            at += period
            due = int(at + float(np.clip(ctx.rng.normal(), -2, 2)) * self.jitter * period)
            await ctx.clock.sleep_until(due)
            yield Emit(_TEXT, stamp_ns=due if self.stamped else None)


@dataclass(kw_only=True)
class Cost(Node):
    """Lognormal: `mean_ms` on average, `sigma` of its logarithm. `sleep_ms` more without computing."""

    mean_ms: float
    sigma: float = 0.2
    hold: bool = True
    sleep_ms: float = 0.0

    async def open(self, ctx: Context) -> None:
        self.rng, self.clock = ctx.rng, ctx.clock
        self.spend = getattr(ctx.clock, "spend", None)  # in virtual time nothing is burnt

    def draw_ns(self) -> float:
        return float(self.mean_ms * 1e6 * np.exp(self.rng.normal(-(self.sigma**2) / 2, self.sigma)))

    def burn(self) -> None:
        if self.spend is not None:
            self.spend(self.draw_ns())
        else:
            burn(self.draw_ns(), hold=self.hold)


class Inline(Cost):
    """Burns on the event loop."""

    async def step(self, item: Text) -> Text:
        self.burn()
        return item


class Thread(Cost):
    """Burns, and sleeps, in a thread."""

    blocking: ClassVar[bool] = True

    async def step(self, item: Text) -> Text:
        self.burn()
        if self.sleep_ms:
            time.sleep(self.sleep_ms / 1000)  # noqa: ASYNC251  a thread of its own
        return item


class Asking(Cost):
    """Burns on the event loop and waits for somebody else."""

    async def step(self, item: Text) -> Text:
        self.burn()
        await asyncio.sleep(self.sleep_ms / 1000)
        return item


class Apart(Cost):
    """In virtual time, what `Thread` is: nobody else waits for it."""

    async def step(self, item: Text) -> Text:
        await self.clock.sleep_until(self.clock.now() + int(self.draw_ns() + self.sleep_ms * 1e6))
        return item


class Gather(Cost):
    """A window of texts."""

    async def step(self, items: Window[Text]) -> Text:
        self.burn()
        return _TEXT


class Meet(Cost):
    """One that triggers, and the latest of another."""

    async def step(self, item: Text, other: Text | None) -> Text:
        self.burn()
        return item


class Pair(Cost):
    """Two that trigger."""

    async def step(self, a: Text | None, b: Text | None) -> Text:
        self.burn()
        return _TEXT


@dataclass(kw_only=True)
class End(Sink):
    """Takes texts."""

    async def write(self, item: Text) -> None:
        pass
