"""Prints messages for a person, one line each."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import (
    INFINITY,
    SECOND,
    Action,
    AudioChunk,
    Caption,
    Command,
    Detections,
    Event,
    Features,
    Gesture,
    Imu,
    Message,
    Payload,
    Pose,
    RobotState,
    Text,
    Transcript,
    VideoFrame,
)
from omnistream.node import Context, Sink

__all__ = ["Console", "plain", "summary"]

_ROOM = 1000
_FLUSH_SECONDS = 1.0


@dataclass(kw_only=True)
class Console(Sink):
    """Any payload as one line on standard output: seconds since the start of the run, stream, content, age in ms.

    `width`: characters at which a long content is cut. `prefix`: what comes before each line. A terminal or pipe that takes
    nothing holds nobody up: after 1000 waiting lines further ones are left out and reported (``no_client``), as they are once
    the end of a pipe is closed.

    ```yaml
    graph: show
    nodes:
      beat: {use: tick, with: {rate_hz: 2, count: 5}}
      show: {use: console, inputs: {message: beat}}
    ```
    """

    width: int = 200
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise GraphError(f"console: width is {self.width}; write how many characters of a message to print, such as 200")
        self._printer: _Printer | None = None

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._printer = _Printer(ctx)

    async def write(
        self,
        message: Message[
            Text | Transcript | Caption | Command | Action | Event | Gesture
            | VideoFrame | AudioChunk | Features | Detections | Pose | RobotState | Imu
        ],
    ) -> None:  # fmt: skip
        if self._printer is None:
            return
        since_s = (message.stamp_ns - self._ctx.start_ns) / SECOND
        age_ms = (self._ctx.clock.now() - message.stamp_ns) / 1e6
        said = plain(summary(message.payload, message.stamp_ns), self.width)
        self._printer.put(f"{plain(self.prefix)}{since_s:8.3f}s  {plain(message.stream)}  {said}  ({age_ms:.0f} ms)")

    async def close(self) -> None:
        if self._printer is not None:
            await self._printer.close()
            self._printer = None


class _Printer:
    """Writes lines in a thread of its own, because a terminal can stop taking them (Ctrl-S, a full pipe)."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lines: queue.Queue[str | None] = queue.Queue(_ROOM)
        self._left_out, self._reported_ns = 0, 0
        self._gone = ""
        self._thread = threading.Thread(target=self._main, name=f"omnistream-{ctx.name}", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        try:
            if self._gone:
                raise queue.Full
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1
            now = self._ctx.clock.now()
            if now - self._reported_ns >= SECOND:
                self._reported_ns = now
                self._tell()

    def _tell(self) -> None:
        if self._left_out:
            why = self._gone or "it takes no more"
            self._ctx.report("no_client", f"{self._ctx.name}: {self._left_out} lines were not printed: {why}")
            self._left_out = 0

    def _main(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._gone:
                continue
            try:
                out = sys.stdout  # looked up each time: a live table takes its place for a while
                encoding = getattr(out, "encoding", None) or "utf-8"
                out.write(line.encode(encoding, "replace").decode(encoding) + "\n")
                out.flush()
            except (OSError, ValueError) as error:
                self._gone = f"standard output is closed ({error})"

    async def close(self) -> None:
        def end() -> None:
            with contextlib.suppress(queue.Full):
                self._lines.put(None, timeout=_FLUSH_SECONDS)
                self._thread.join(_FLUSH_SECONDS)
            if self._thread.is_alive():  # stuck in a write: when that returns, it finds nothing but the end
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._left_out += self._lines.get_nowait() is not None
                self._lines.put(None)

        await asyncio.to_thread(end)
        self._tell()


def plain(text: str, width: int = 0) -> str:
    """One line that a terminal shows as it is: control and formatting characters become spaces or go, long ends are cut."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def summary(payload: Payload, stamp_ns: int) -> str:
    """What a payload says, for a person. `stamp_ns` is its message's: an action's life is counted from it."""
    match payload:
        case Text(text=text):
            return text
        case Transcript(text=text, final=final, utterance=utterance, rev=rev):
            return f"{text}  [{'final' if final else 'partial'} {utterance}.{rev}]"
        case Caption(text=text, id=name, rev=rev, final=final):
            return f"{text}  [{'final' if final else 'partial'} {name}.{rev}]"
        case Command(intent=intent, rejected=rejected) if rejected:
            return f"{intent}: {payload.text!r} refused: {rejected}"
        case Command(intent=intent, confidence=confidence):
            return f"{intent} {_pairs(payload.slots)} {_pairs(payload.values)} {payload.text!r} {confidence:.2f}"
        case Action(kind=kind, values=values, target=target, text=text):
            left = payload.valid_until_ns - stamp_ns
            life = "" if payload.valid_until_ns >= INFINITY else f" valid {left / 1e6:.0f} ms"
            return f"{kind} {_pairs(values)} {target} {text}{life}"
        case Event(kind=kind, data=data):
            return f"{kind} {_pairs(data)}"
        case Gesture(name=name, confidence=confidence, hand=hand):
            return f"{name} {hand} {confidence:.2f}"
        case RobotState(values=values, mode=mode):
            return f"{mode} {_pairs(values)}"
        case Pose(position_m=position, orientation_xyzw=turn, frame=frame):
            return f"{frame} {_numbers(position)} m, {_numbers(turn)}"
        case Imu(acceleration_mps2=acceleration, angular_rate_radps=rate):
            return f"{_numbers(acceleration)} m/s2, {_numbers(rate)} rad/s"
        case _:
            return _arrays(payload)


def _arrays(payload: Payload) -> str:
    match payload:
        case VideoFrame(image=image, encoding=encoding):
            return f"{image.shape[1]}x{image.shape[0]} {encoding}"
        case AudioChunk(samples=samples, rate_hz=rate_hz):
            loud = float(np.sqrt(np.mean(np.square(samples.astype(np.float64))))) if len(samples) else 0.0
            level = f"{20 * np.log10(loud / 32768):.0f} dBFS" if loud else "silence"
            return f"{len(samples)} samples at {rate_hz} Hz, {level}"
        case Features(data=data):
            return f"features {data.shape[0]}x{data.shape[1]}"
        case Detections(labels=labels, scores=scores):
            return ", ".join(f"{label} {score:.2f}" for label, score in zip(labels, scores, strict=False)) or "nothing"
        case _:
            return type(payload).__name__


def _pairs(values: Any) -> str:
    return " ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:.3f}" for v in values) + ")"
