"""One stream of a recording as a source: in real time for a live run, at full speed with its own stamps for a replay."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from omnistream.errors import RecordingError
from omnistream.message import INFINITY, MS, PAYLOADS, SECOND, Payload
from omnistream.node import Context, Emit, Source

if TYPE_CHECKING:
    from omnistream.record import RecordedMessage

__all__ = ["LEAD_NS", "Recording"]

#: A live run plays a recording's first moment so long after its own start, so that slow workers miss nothing.
LEAD_NS = 500 * MS


@dataclass(kw_only=True)
class Recording(Source):
    """Plays a stream out of a recording, a run's own or another's (docs/recordings.md), as payloads of the recorded type.

    In a live run the recording's start falls 0.5 s after the run's, for every source that plays the same file, so they
    keep their places on one time line; `speed` 2 plays twice as fast. What was due before the source came up (after a
    restart) is skipped and reported as `recording_skipped`. In a replay the stamps are those in the file. Either way each
    message brings the stamp of the next one as its bound, so nobody waits for nothing.

    Raises RecordingError in `open`: no such file, damaged, no such stream. Damage met later ends the stream and is
    reported as `recording_damaged`.

    ```yaml
    graph: play
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap, stream: mic}}
      same: {use: passthrough, inputs: {message: mic}}
      show: {use: console, inputs: {message: same}}
    ```
    """

    path: str  # a recording; "#STREAM" after it is as good as `stream`
    stream: str = ""  # its topic; left out: the one called like the node, else the only one
    speed: float = 1.0  # of a live run; 2 is twice as fast
    from_s: float | None = None  # begin with what is stamped so many seconds after the file's start
    to_s: float | None = None  # and end before what is stamped so many seconds after it
    is_device: ClassVar[bool] = False
    _file: Any = field(default=None, init=False, repr=False)
    _topic: str = field(default="", init=False, repr=False)
    _start: int = field(default=0, init=False, repr=False)
    _end: int = field(default=INFINITY, init=False, repr=False)

    async def open(self, ctx: Context) -> None:
        from omnistream.record.playable import open_recording

        if not 0.01 <= self.speed <= 100:
            raise RecordingError(f"{ctx.name}: speed {self.speed} is not between 0.01 and 100")
        if not 0 <= (self.from_s or 0) < (math.inf if self.to_s is None else self.to_s):
            raise RecordingError(f"{ctx.name}: from_s {self.from_s} to to_s {self.to_s} is no part of a recording")
        self._file = open_recording(self.path)
        self._start = self._file.start_ns + round((self.from_s or 0) * SECOND)
        self._end = INFINITY if self.to_s is None else self._file.start_ns + round(self.to_s * SECOND)
        if self._file.notice:
            ctx.report("recording_broken", self._file.notice)
        self._topic = self.stream or self._file.stream_for(ctx.name, tuple(PAYLOADS.values()))
        if self._topic not in self._file.streams():
            has = ", ".join(self._file.streams()) or "none"
            raise RecordingError(f"{ctx.name}: {self.path} has no stream '{self._topic}'; it has {has}")

    async def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    async def run(self, ctx: Context) -> AsyncIterator[Payload | Emit[Payload]]:
        try:
            messages = self._file.messages(self._topic, self._first(ctx))
            following = await self._next(messages, ctx.live)
            last = -1
            while (message := following) is not None:
                following = await self._next(messages, ctx.live)
                stamp = max(self._at(message.stamp_ns, ctx), last + 1)
                bound = None if following is None else max(self._at(following.stamp_ns, ctx), stamp + 1)
                start = None if message.start_ns is None else self._at(message.start_ns, ctx)
                if ctx.live:
                    await ctx.clock.sleep_until(stamp)
                # An origin that a client gave is kept; one that only says where the message was in its stream is made anew.
                origin = message.origin if message.origin and message.origin[0] != self._topic else None
                yield Emit(message.payload, stamp, start, bound, origin, None, message.clock_source)
                last = stamp
        except RecordingError as e:
            ctx.report("recording_damaged", str(e))

    def _first(self, ctx: Context) -> int:
        """The recorded time from which to play."""
        begin = 0 if self.from_s is None else self._start
        late = ctx.clock.now() - ctx.start_ns - LEAD_NS if ctx.live else 0
        if late <= 0:
            return begin
        first = self._start + int(late * self.speed)
        skipped = self._file.count(self._topic, first) - self._file.count(self._topic, begin)
        if skipped:
            ctx.report("recording_skipped", f"{skipped} messages of '{self._topic}' were due before '{ctx.name}' was up")
        return first

    def _at(self, recorded_ns: int, ctx: Context) -> int:
        """A recorded time in run time."""
        if not ctx.live:
            return recorded_ns
        since = recorded_ns - self._start
        return ctx.start_ns + LEAD_NS + (since if self.speed == 1 else int(since / self.speed))

    async def _next(self, messages: Iterator[RecordedMessage], live: bool) -> RecordedMessage | None:
        """The next one; live, decoded off the event loop, while the one before waits for its time."""
        message = await asyncio.to_thread(next, messages, None) if live else next(messages, None)
        return message if message is not None and message.stamp_ns < self._end else None
