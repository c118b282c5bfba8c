"""Nodes for random graphs: what one does depends on everything that the rules give it, and on nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omnistream.message import Event, Message, Window
from omnistream.node import Context, Emit, Node, Sink, Source

#: (run, node) -> the firings: (t, what was read). Filled by nodes of workers in this process.
LOGS: dict[tuple[str, str], list[Any]] = {}


def digest(*what: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest(), "big")


@dataclass(kw_only=True)
class Script(Source):
    """Emits numbered events at `stamps` after the run's start; live and with `pace`, by the clock."""

    stamps: list[int]
    pace: bool = False
    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        for i, stamp in enumerate(self.stamps):
            at = stamp + ctx.start_ns
            if ctx.live and self.pace:
                await ctx.clock.sleep_until(at)
            following = self.stamps[i + 1] + at - stamp if i + 1 < len(self.stamps) else None
            yield Emit(Event("m", {"v": f"{ctx.name}.{i}"}), stamp_ns=at, bound_ns=following)


#: The waves of `Waves` that may begin by now.
WAVES: set[int] = set()


@dataclass(kw_only=True)
class Waves(Source):
    """Emits eight numbered events whenever one more wave may begin."""

    count: int
    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        for i in range(self.count):
            while i // 8 + 1 not in WAVES:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            yield Event("m", {"v": f"{ctx.name}.{i}"})


class Outputs(NamedTuple):
    a: Event | None = None
    b: Event | None = None


@dataclass(kw_only=True)
class Mixer(Node):
    """Keeps a hash of all that it ever read, and emits none, one or several messages by that hash."""

    run: str
    outputs: int = 1
    base_ns: int = 0
    state: int = field(default=0, init=False)

    async def open(self, ctx: Context) -> None:
        self.ctx = ctx

    async def step(self, **ports: Message[Event] | None) -> AsyncIterator[Outputs]:
        read = tuple((name, _plain(value)) for name, value in sorted(ports.items()))
        self.state = digest(self.ctx.name, self.state, read)
        LOGS.setdefault((self.run, self.ctx.name), []).append((self.ctx.now, read))
        for k in range((0, 0, 1, 1, 1, 2, 3)[self.state % 7]):
            name = "ab"[(self.state >> 8 + k) % self.outputs]
            yield Outputs(**{name: Event("m", {"v": f"{self.state}.{k}"})})


@dataclass(kw_only=True)
class Varied(Mixer):
    """A mixer of which each variant gives something else, and leaves another state behind."""

    variants = ("full", "small", "tiny")

    async def step(self, **ports: Message[Event] | None) -> AsyncIterator[Outputs]:
        self.state = digest(self.state, self.ctx.variant)
        async for item in super().step(**ports):
            yield item


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (Window, tuple)):
        messages = value.messages if isinstance(value, Window) else value
        return tuple((m.stream, m.seq, m.payload.data["v"]) for m in messages)
    return (value.stream, value.seq, value.payload.data["v"])


@dataclass(kw_only=True)
class Relay(Node):
    """Passes everything on, after `busy_ms` of waiting."""

    busy_ms: float = 0.0

    async def step(self, item: Event) -> Event | None:
        await asyncio.sleep(self.busy_ms / 1000)
        return item


@dataclass(kw_only=True)
class Collect(Sink):
    """Keeps (origin, value) of what it is given, across lives of its worker."""

    run: str

    async def write(self, item: Message[Event]) -> None:
        LOGS.setdefault((self.run, "collected"), []).append((item.origin, item.payload.data["v"], item.stamp_ns))


@dataclass(kw_only=True)
class Append(Sink):
    """Appends each value to a file, a line each."""

    path: str

    async def write(self, item: Message[Event]) -> None:
        with open(self.path, "a") as file:  # noqa: ASYNC230, PTH123
            file.write(f"{item.seq} {item.payload.data['v']}\n")


@dataclass(kw_only=True)
class Rests(Sink):
    """Writes down that it was opened and brought to rest."""

    path: str

    async def open(self, ctx: Context) -> None:
        await self.safe("open")

    async def safe(self, reason: str) -> None:
        with open(self.path, "a") as file:  # noqa: ASYNC230, PTH123
            file.write(f"{reason}\n")

    async def write(self, item: Event) -> None:
        pass


@dataclass(kw_only=True)
class SlowToOpen(Node):
    async def open(self, ctx: Context) -> None:
        await asyncio.sleep(60)

    async def step(self, item: Event) -> Event:
        return item
