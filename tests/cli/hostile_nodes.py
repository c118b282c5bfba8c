"""Nodes that misbehave, for graphs of the tests here; workers import them by name."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from omnistream.message import SECOND, Action, Caption, Event, Imu, Payload, Window
from omnistream.node import Context, Emit, Node, Sink, Source


@dataclass(kw_only=True)
class RaisesThird(Node):
    """Passes everything on but each third message."""

    n: int = field(default=0, init=False)

    async def step(self, message: Event) -> Event:
        self.n += 1
        if self.n % 3 == 0:
            raise ValueError("the third one")
        return message


@dataclass(kw_only=True)
class Cloud(Node):
    """Asks the world, which never answers twice alike."""

    external: ClassVar[bool] = True

    async def step(self, message: Event) -> Event:
        return Event(message.kind, {"answer": uuid.uuid4().hex})


@dataclass(kw_only=True)
class CannotOpen(Node):
    async def open(self, ctx: Context) -> None:
        raise RuntimeError("no such thing")

    async def step(self, message: Event) -> Event:
        return message


@dataclass(kw_only=True)
class NoPayload(Node):
    async def step(self, message: Event) -> Event:
        wrong: Any = {"not": "a payload"}
        return wrong


@dataclass(kw_only=True)
class Breaks(Source):
    """One event, and then it fails."""

    is_device: ClassVar[bool] = False

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        yield Event("first")
        raise OSError("the cable is out")


@dataclass(kw_only=True)
class Captions(Node):
    async def step(self, message: Event) -> Caption:
        return Caption(f"c{message.data['i']}", "hello")


@dataclass(kw_only=True)
class Moves(Node):
    async def step(self, message: Event) -> Action:
        return Action("velocity", {"x_mps": 0.1})


@dataclass(kw_only=True)
class Closes(Sink):
    """Writes a file when it is opened, and removes it when it is closed."""

    path: str

    async def open(self, ctx: Context) -> None:
        with open(self.path, "w") as file:  # noqa: ASYNC230, PTH123
            file.write("open")

    async def close(self) -> None:
        with open(self.path, "w") as file:  # noqa: ASYNC230, PTH123
            file.write("closed")

    async def write(self, message: Payload) -> None:
        pass


@dataclass(kw_only=True)
class Sleeps(Node):
    """Takes a second for each message."""

    async def step(self, message: Event) -> Event:
        if message.data["i"] > 0:
            await asyncio.sleep(1)
        return message


@dataclass(kw_only=True)
class Fickle(Node):
    """Says something else each time that it is run."""

    async def step(self, message: Event) -> Event:
        return Event(message.kind, {"i": uuid.uuid4().hex})


@dataclass(kw_only=True)
class Beat(Source):
    """A clock that no recording can stand in for."""

    rate_hz: float = 1.0
    is_device: ClassVar[bool] = False

    async def run(self, ctx: Context) -> AsyncIterator[Imu]:
        every = int(SECOND / self.rate_hz)
        at = -(-ctx.start_ns // every) * every
        while at <= ctx.end_ns:
            yield Emit(Imu((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), stamp_ns=at)
            at += every


@dataclass(kw_only=True)
class Knob(Source):
    """A device that is not here."""

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        raise OSError("no knob")
        yield Event("never")


@dataclass(kw_only=True)
class Sums(Node):
    async def step(self, events: Window[Event]) -> Event:
        return Event("sum", {"n": len(events)})


#: The count that `Counts` does not say.
SILENT = 0


@dataclass(kw_only=True)
class Counts(Node):
    """Counts what it is given; from `slip` on it is one too far."""

    start: ClassVar[int] = 0
    slip: int = 0
    n: int = field(default=0, init=False)

    async def step(self, message: Event) -> Event | None:
        self.n += 1
        if self.n == SILENT:
            return None
        return Event("count", {"n": self.n + self.start + (1 if self.slip and self.n >= self.slip else 0)})
