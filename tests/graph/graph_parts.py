"""Nodes, sources and sinks for the tests of this folder, of every shape that a port can have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from omnistream.message import (
    Action,
    AudioChunk,
    Caption,
    Command,
    Detections,
    Features,
    Gesture,
    Message,
    Payload,
    Text,
    Transcript,
    VideoFrame,
    Window,
)  # fmt: skip
from omnistream.node import Context, Emit, Node, Recent, Sink, Source


@dataclass(kw_only=True)
class Mic(Source):
    """A microphone."""

    device: str = "default"  # pyright: ignore[reportIncompatibleVariableOverride]
    rate_hz: int = 16000
    """Samples a second."""

    async def run(self, ctx: Context) -> AsyncIterator[Emit[AudioChunk]]:
        return
        yield


@dataclass(kw_only=True)
class Cam(Source):
    device: str = "/dev/video0"  # pyright: ignore[reportIncompatibleVariableOverride]
    fps: float = 15.0  # frames a second

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, not {self.fps}; write fps: 15")

    async def run(self, ctx: Context) -> AsyncIterator[VideoFrame]:
        return
        yield


@dataclass(kw_only=True)
class Typed(Source):
    bind: str = ""

    async def run(self, ctx: Context) -> AsyncIterator[Text]:
        return
        yield


@dataclass(kw_only=True)
class Anything(Source):
    async def run(self, ctx: Context) -> AsyncIterator[Payload]:
        return
        yield


@dataclass(kw_only=True)
class Speech(Node):
    """Hears."""

    blocking: ClassVar[bool] = True
    checkpoint: str = "tiny"
    beams: int = 1
    temperature: float | None = None
    mode: Literal["fast", "good"] = "fast"
    words: list[str] = field(default_factory=list)
    weights: Mapping[str, float] = field(default_factory=dict)
    cache: Path = Path("cache")
    size: tuple[int, int] = (1, 2)
    debug: bool = False

    async def step(self, audio: AudioChunk) -> Transcript | None:
        return None


@dataclass(kw_only=True)
class Encoder(Node):
    checkpoint: str

    async def step(self, audio: Window[AudioChunk]) -> Features | None:
        return None


@dataclass(kw_only=True)
class Utterance(Node):
    async def step(self, text: Window[Transcript]) -> Command | None:
        return None


@dataclass(kw_only=True)
class Parse(Node):
    async def step(self, text: Text | Transcript) -> Command | None:
        return None


class HandsOut(NamedTuple):
    out: Gesture | None = None
    stop: Gesture | None = None


@dataclass(kw_only=True)
class Hands(Node):
    async def step(self, frame: VideoFrame) -> HandsOut:
        return HandsOut()


class Decision(NamedTuple):
    action: Action | None = None
    caption: Caption | None = None


@dataclass(kw_only=True)
class Reason(Node):
    """Joins intent and gesture."""

    async def step(self, intent: Command | None, gesture: Recent[Gesture], stop: Message[Gesture] | None = None) -> Decision:
        return Decision()


@dataclass(kw_only=True)
class Strict(Node):
    """Two triggers, and one of them is not optional."""

    async def step(self, one: Text, two: Text | None) -> Text | None:
        return None


@dataclass(kw_only=True)
class Loop(Node):
    async def step(self, x: Text, back: Text | None = None) -> Text | None:
        return None


@dataclass(kw_only=True)
class Pass(Node):
    async def step(self, x: Payload) -> Payload:
        return x


class Motion(NamedTuple):
    motion: Action | None = None


@dataclass(kw_only=True)
class Drive(Node):
    rate_hz: float = 20.0
    max_mps: float = 0.3

    async def step(self, action: Action) -> Motion:
        return Motion()


@dataclass(kw_only=True)
class Robot(Sink):
    bind: str = ""
    actuator = True

    async def write(self, action: Message[Action]) -> None: ...


@dataclass(kw_only=True)
class Captions(Sink):
    url: str = ""
    topic: str = ""

    async def write(self, caption: Caption) -> None: ...


@dataclass(kw_only=True)
class Show(Sink):
    async def write(self, value: Payload) -> None: ...


@dataclass(kw_only=True)
class Mixed(Sink):
    async def write(self, value: Features | Detections | VideoFrame | AudioChunk) -> None: ...


@dataclass(kw_only=True)
class Newest(Sink):
    async def write(self, text: Text, frame: VideoFrame | None = None) -> None: ...


class Plain(Sink):
    def __init__(self, x: int = 3) -> None:
        self.x = x

    async def write(self, value: Payload) -> None: ...


class NotANode:
    pass


@dataclass(kw_only=True)
class BadHint(Node):
    async def step(self, x: Nowhere) -> Text: ...  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


@dataclass(kw_only=True)
class BadPort(Node):
    async def step(self, x: int) -> Text: ...


@dataclass(kw_only=True)
class NeedsDevice(Source):
    device: str

    async def run(self, ctx: Context) -> AsyncIterator[VideoFrame]:
        return
        yield
