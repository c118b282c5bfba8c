"""Nodes that misbehave, for graphs of the tests here; workers import them by name."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from omnistream.message import Action, Caption, Event, Payload
from omnistream.node import Context, Node, Sink, Source


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
