"""A camera: v4l2, RTSP, HTTP or a video file, the newest frame first."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from omnistream.clock import unix_ns
from omnistream.coded import Look, Pixels
from omnistream.errors import DeviceError, GraphError
from omnistream.message import MS, SECOND, VideoFrame
from omnistream.node import Context, Emit, Source
from omnistream_drivers._pictures import Picture, Pictures
from omnistream_drivers._pyav import Kind, decoded, describe, kind_of, open_media, shown
from omnistream_drivers._reader import Backoff, Reader
from omnistream_drivers._timeline import CaptureClock, Thinner
from omnistream_drivers.devices import camera_list

__all__ = ["Camera"]

#: Files begin so long after the run does; cameras and microphones that play files share this time line.
FILE_START_NS = 500 * MS

_COUNTED = {
    "device_drop": "{n} frames gave way to newer ones while the graph had no room",
    "recording_skipped": "{n} frames of the file were due before the camera was up",
    "corrupt": "{n} packets did not decode and were skipped",
    "clock_skew": "{n} stamps of the camera were not within 1 s before their arrival; the arrival time was used",
}


@dataclass(kw_only=True)
class Camera(Source):
    """Frames of a camera as (H, W, 3) uint8 RGB, stamped when they were taken, by the best clock there is.

    `device`: a v4l2 device (``/dev/video0``), an address (``rtsp://user:password@host/path``, over TCP; ``http://host/stream``,
    MJPEG or another live stream), or a video file, which plays in real time from 0.5 s after the start of the run.
    `fps`: at most about so many frames a second, asked of a v4l2 device and left out of all others; it declares a period, so
    that others need not wait for a frame that cannot come yet. 0 takes what comes. `width`: in pixels, likewise; 0 keeps the
    shape. `height`: in pixels, likewise. `delay_ms`: how long after it was taken a frame may still arrive; 0 is 40 for a file,
    100 for v4l2 and 500 for a network.

    While the graph has no room only the newest frame is kept; the others are counted as ``device_drop``. `clock_source`
    says where a stamp is from: "rtcp" (the sender reports of an RTSP camera), "device" (v4l2), "file", or "arrival". A camera
    that ends or fails is connected anew after 0.25 s up to 8 s (``reconnect``); a file's end is the end of the stream.

    H.264 and H.265 without B-frames and JPEG are decoded by one thread, group by group, so that a recording can hold what was
    received in the place of pixels (docs/recordings.md); all else by the worker's threads.

    Raises DeviceError at launch for a v4l2 device or a file that cannot be opened; an address is tried until it answers.

    ```yaml
    graph: watch
    nodes:
      camera: {use: camera, with: {device: "http://127.0.0.1:8080/stream.mjpg", fps: 15}}
      show:   {use: console, inputs: {message: camera}}
    ```
    """

    device: str
    fps: float = 0
    width: int = 0
    height: int = 0
    delay_ms: int = 0

    def __post_init__(self) -> None:
        for name, most in {"fps": 1000, "width": 16384, "height": 16384, "delay_ms": 60_000}.items():
            if not 0 <= (given := getattr(self, name)) <= most:
                raise GraphError(f"camera: {name} is {given}; write a number up to {most}, or 0 for the usual")
        self.period_ns = round(SECOND / self.fps) if self.fps else 0
        kind = "file" if not self.device else kind_of(self.device)
        self.delay_ns = (self.delay_ms or {"file": 40, "v4l2": 100}.get(kind, 500)) * MS
        self._reader: Reader[Emit[VideoFrame]] | None = None
        self._groups = itertools.count()

    async def open(self, ctx: Context) -> None:
        kind = kind_of(self.device)
        if kind != "file" and not ctx.live:
            raise DeviceError(f"{ctx.name}: a replay opens no camera, and '{shown(self.device)}' is one")
        if kind in ("file", "v4l2"):
            await asyncio.to_thread(self._try, kind)

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    async def run(self, ctx: Context) -> AsyncIterator[Emit[VideoFrame]]:
        kind = kind_of(self.device)

        def work(reader: Reader[Emit[VideoFrame]]) -> None:
            if kind == "file":
                self._play(reader, ctx)
            else:
                self._film(reader, ctx, kind)

        self._reader = Reader(ctx, work, room=1, wait=not ctx.live, counted=_COUNTED)
        try:
            while (emit := await self._reader.next()) is not None:
                yield emit
        finally:
            self._reader.stop()

    def _try(self, kind: Kind) -> None:
        from av.error import FFmpegError

        try:
            with self._open(kind):
                return
        except FFmpegError as error:
            text = describe(error)
        if kind == "v4l2":
            raise DeviceError(f"no camera can be opened at '{self.device}': {text}; cameras here: {camera_list()}")
        ways = "give a video file, /dev/video0, or an rtsp:// or http:// address"
        raise DeviceError(f"no video can be read from '{self.device}': {text}; {ways}")

    def _open(self, kind: Kind) -> Any:
        options: dict[str, str] = {}
        if kind == "v4l2":
            if self.fps:
                options["framerate"] = str(Fraction(self.fps).limit_denominator(1001))
            if self.width and self.height:
                options["video_size"] = f"{self.width}x{self.height}"
        container = open_media(self.device, kind, options)
        if not container.streams.video:
            container.close()
            raise DeviceError(f"'{shown(self.device)}' has no pictures in it; give a video")
        return container

    def _film(self, reader: Reader[Emit[VideoFrame]], ctx: Context, kind: Kind) -> None:
        """A live camera until the reader stops: connect, read, and connect again."""
        from av.error import FFmpegError

        backoff, clock, pixels = Backoff(), CaptureClock(), Pixels()
        thin = Thinner(self.period_ns)
        while not reader.stopping:
            try:
                with self._open(kind) as container:
                    for picture, arrival in self._pictures(container, ctx, reader):
                        backoff.reset()
                        stamp, source = clock.stamp(arrival, *_device_stamps(kind, container, picture.frame, ctx))
                        if clock.skewed:
                            reader.count("clock_skew", clock.skewed)
                            clock.skewed = 0
                        if thin.passes(stamp):
                            reader.put(self._emit(picture, pixels, stamp, None, source))
                why = "the stream ended"
            except (FFmpegError, DeviceError) as error:
                why = describe(error)
            if reader.stopping:
                return
            pause_s = backoff.pause_s()
            reader.report("reconnect", f"{ctx.name}: '{shown(self.device)}': {why}; connecting again in {pause_s:g} s")
            reader.pause(pause_s)

    def _play(self, reader: Reader[Emit[VideoFrame]], ctx: Context) -> None:
        """A file: each frame when it is due (at full speed in a replay), with the next one's stamp as its bound."""
        from av.error import FFmpegError

        held: tuple[int, Picture] | None = None
        pixels = Pixels()
        born = ctx.clock.now() if ctx.live else 0
        try:
            with self._open("file") as container:
                for stamp, picture in self._timed(reader, ctx, container):
                    if stamp < born:
                        reader.count("recording_skipped")
                        continue
                    if held is not None and not self._due(reader, ctx, pixels, *held, stamp):
                        return
                    held = stamp, picture
        except (FFmpegError, DeviceError) as error:
            reader.report("device_failed", f"{ctx.name}: '{self.device}' ends here: {describe(error)}")
        if held is not None:
            self._due(reader, ctx, pixels, *held, None)

    def _pictures(self, container: Any, ctx: Context, reader: Reader[Emit[VideoFrame]]) -> Iterator[tuple[Picture, int]]:
        stream = container.streams.video[0]
        return decoded(container, stream, reader, Pictures(stream, ctx.threads, self._groups).decode)

    def _timed(self, reader: Reader[Emit[VideoFrame]], ctx: Context, container: Any) -> Iterator[tuple[int, Picture]]:
        """A file's pictures with their stamps, as many as `fps` lets through."""
        times, thin = _FileTimes(container, container.streams.video[0]), Thinner(self.period_ns)
        for picture, _ in self._pictures(container, ctx, reader):
            stamp = ctx.start_ns + FILE_START_NS + times.of(picture.frame)
            if thin.passes(stamp):
                yield stamp, picture

    def _due(
        self, reader: Reader[Emit[VideoFrame]], ctx: Context, pixels: Pixels, stamp: int, picture: Picture, after: int | None
    ) -> bool:
        """Hand over a file's picture at its time; False when the reader is to stop."""
        if ctx.live and after is not None and after <= ctx.clock.now():
            reader.count("device_drop")
            reader.flush()
            return not reader.stopping
        emit = self._emit(picture, pixels, stamp, after, "file")
        if ctx.live and not reader.sleep_until(stamp):
            return False
        reader.put(emit)
        return not reader.stopping

    def _emit(self, picture: Picture, pixels: Pixels, stamp: int, after: int | None, source: str) -> Emit[VideoFrame]:
        """RGB in the size that was asked for, upright, with what it was decoded from."""
        frame, turns = picture.frame, picture.turns
        width, height = self._size(*((frame.height, frame.width) if turns % 2 else (frame.width, frame.height)))
        look = Look(*((height, width) if turns % 2 else (width, height)), turns)
        image = VideoFrame(pixels.of(frame, look))
        return Emit(image, stamp_ns=stamp, bound_ns=after, clock_source=source, coded=picture.coded(look))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if not self.width and not self.height:
            return width, height
        wide = self.width or max(1, round(width * self.height / height))
        return wide, self.height or max(1, round(height * self.width / width))


def _device_stamps(kind: Kind, container: Any, frame: Any, ctx: Context) -> tuple[list[int], str]:
    """What the camera's stamp may mean in run time, best first, and which clock that is."""
    if frame.pts is None:
        return [], "arrival"
    pts_ns = round(frame.pts * frame.time_base * SECOND)
    unix_to_run = ctx.clock.now() - unix_ns()
    if kind == "rtsp":
        start_us = container.start_time_realtime
        return ([] if start_us is None else [start_us * 1000 + pts_ns + unix_to_run]), "rtcp"
    if kind == "v4l2":  # the monotonic clock, or with some drivers the wall clock
        offset: int | None = getattr(ctx.clock, "offset_ns", None)
        return ([] if offset is None else [pts_ns + offset]) + [pts_ns + unix_to_run], "device"
    return [], "arrival"


class _FileTimes:
    """Times of a file's frames from its beginning, in ns; frames without one, or out of order, follow at the file's rate."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._start_ns = (container.start_time or 0) * 1000
        self._period_ns = round(SECOND / (stream.average_rate or stream.base_rate or 25))
        self._last: int | None = None

    def of(self, frame: Any) -> int:
        at: int | None = None
        if frame.pts is not None:
            at = round(frame.pts * frame.time_base * SECOND) - self._start_ns
        if self._last is not None and (at is None or at <= self._last):
            at = self._last + self._period_ns
        self._last = max(0, at or 0)
        return self._last
