"""The frames that clients and drivers exchange, as values, and how messages become frames. Their bytes: codec.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from omnistream.message import INFINITY, Action, Caption, Message, Origin

__all__ = [
    "Ack",
    "ActionFrame",
    "Bye",
    "CaptionFrame",
    "CommandFrame",
    "Frame",
    "Hello",
    "Ping",
    "Pong",
    "State",
    "Unknown",
    "Welcome",
    "action_frame",
    "caption_frame",
    "origin_id",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Any frame; `TYPE` is its name on the wire. A `BARE` one has a channel of its own and does not say its type."""

    TYPE: ClassVar[str] = ""
    BARE: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFrame(Frame):
    """Something for a robot to do, until `valid_until_ns` (the sender's run time). A stop has no such time: it never expires.

    `id` is the same whenever the same effect is sent again. `sent_ns` is the sender's run time at the send.
    """

    TYPE: ClassVar[str] = "action"
    id: str
    seq: int = 0
    stamp_ns: int = 0
    kind: str
    valid_until_ns: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    target: str = ""
    text: str = ""
    chunk_index: int = 0
    model: str = ""
    sent_ns: int = 0

    @property
    def is_stop(self) -> bool:
        return self.kind == "stop"

    @property
    def moves(self) -> bool:
        """Whether the robot is under way after this: a velocity that is not zero, or any other skill."""
        return not self.is_stop and (self.kind != "velocity" or any(v != 0 for v in self.values.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFrame(Frame):
    """Text from a person or program. `client` and `id` together are its identity: a resent command has the same."""

    TYPE: ClassVar[str] = "command"
    text: str
    id: str = ""
    client: str = ""
    lang: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionFrame(Frame):
    """Text to show. `t_start`, `t_end` are seconds and `deadline_ms` milliseconds of run time (reads as Unix time).

    `origin` is the same when a caption is made again after a crash, whatever its node calls it then; "" where nobody says.
    """

    TYPE: ClassVar[str] = "caption"
    BARE: ClassVar[bool] = True
    id: str
    rev: int = 0
    final: bool = True
    text: str
    lang: str = "en"
    t_start: float = 0.0
    t_end: float = 0.0
    anchor: str = ""
    deadline_ms: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Frame):
    """What became of the action or command `id`; `detail` is a sentence where it is not plainly done."""

    TYPE: ClassVar[str] = "ack"
    id: str
    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Frame):
    """A client presents itself; `t0_ns` is its own clock."""

    TYPE: ClassVar[str] = "hello"
    client: str
    role: str = "robot"
    t0_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Frame):
    """Heartbeat of a client; `t0_ns` is its own clock."""

    TYPE: ClassVar[str] = "ping"
    t0_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Frame):
    """Answer to a ping: its `t0_ns`, and the run time at its arrival (`t1_ns`) and at this answer (`t2_ns`).

    `run` names the run: after a restart of the whole program it is another one, with another clock.
    """

    TYPE: ClassVar[str] = "pong"
    t0_ns: int
    t1_ns: int
    t2_ns: int
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Frame):
    """Answer to a hello: as a pong, with what the client needs to keep the link."""

    TYPE: ClassVar[str] = "welcome"
    t0_ns: int
    t1_ns: int
    t2_ns: int
    run: int
    heartbeat_ms: int
    watchdog_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Frame):
    """The server does not know this client (it was restarted, or is full): say hello again."""

    TYPE: ClassVar[str] = "unknown"
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Frame):
    """The client leaves."""

    TYPE: ClassVar[str] = "bye"


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Frame):
    """How a sink is doing, for whoever listens: `online` is False in its last will and at its end."""

    TYPE: ClassVar[str] = "state"
    online: bool
    now_ns: int = 0
    clients: int = 0
    safe: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)


def origin_id(origin: Origin, run: int) -> str:
    """One string for an origin. Where no client gave it, it counts from 0 in each run, so the run is part of it."""
    root: Any = origin
    while (parent := next((part for part in root if isinstance(part, tuple)), None)) is not None:
        root = parent
    text = json.dumps(origin, separators=(",", ":"), ensure_ascii=False)
    return text if root and root[0] == "client" else f"{run:x}{text}"


def action_frame(message: Message[Action], *, run: int, sent_ns: int) -> ActionFrame:
    """The frame of an action as it came to a sink."""
    a = message.payload
    return ActionFrame(
        id=origin_id(message.origin, run),
        seq=message.seq,
        stamp_ns=message.stamp_ns,
        kind=a.kind,
        valid_until_ns=None if a.kind == "stop" or a.valid_until_ns >= INFINITY else a.valid_until_ns,
        values=dict(a.values),
        target=a.target,
        text=a.text,
        chunk_index=a.chunk_index,
        model=a.model,
        sent_ns=sent_ns,
    )


def caption_frame(message: Message[Caption], *, run: int) -> CaptionFrame:
    """The frame of a caption as it came to a sink."""
    c = message.payload
    return CaptionFrame(
        id=c.id,
        rev=c.rev,
        final=c.final,
        text=c.text,
        lang=c.lang,
        t_start=c.start_ns / 1e9,
        t_end=c.end_ns / 1e9,
        anchor=c.anchor,
        deadline_ms=0 if message.deadline_ns >= INFINITY else message.deadline_ns // 1_000_000,
        origin=origin_id(message.origin, run),
    )
