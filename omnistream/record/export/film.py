"""Picture and sound of a recording as an MP4 file, in step by their stamps; each frame is shown from its own time on."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import SECOND, AudioChunk, VideoFrame
from omnistream.record.export.sound import rate_of, samples
from omnistream.record.export.zero import check_length, chosen, zero_ns
from omnistream.record.playable import Playable

__all__ = ["export_mp4"]

#: Frames are timed to the 90,000th part of a second, the usual one of video.
_TICKS = 90_000
_BLOCK = 1024


def export_mp4(file: Playable, out: Path, only: tuple[str, ...] = ()) -> tuple[int, float]:
    """H.264 with AAC; the number of frames, and the seconds of sound. Raises RecordingError where there is no picture."""
    import av
    import av.error

    pictures, sound = chosen(file, only, VideoFrame), chosen(file, only, AudioChunk)
    if pictures is None:
        raise RecordingError(f"{file.path} has no picture; write its sound with --to wav, or its words with --to vtt")
    zero = zero_ns(file)
    check_length(file, zero, file.end_ns)
    film = _Pictures(file, pictures, zero)
    heard = _Sound(file, sound, zero) if sound is not None else None
    out.open("xb").close()  # where it cannot be, that is told before an hour's work
    try:
        with av.open(f"file:{out}", "w", format="mp4", options={"movflags": "faststart"}) as container:
            film.open(container)
            if heard is not None:
                heard.open(container)
            while film.at is not None or (heard is not None and heard.at is not None):
                if heard is None or heard.at is None or (film.at is not None and film.at <= heard.at):
                    film.step(container)
                else:
                    heard.step(container)
    except av.error.FFmpegError as e:
        raise RecordingError(f"{out} cannot be written ({e.strerror or e}); name a file in a folder with room") from None
    return film.count, 0.0 if heard is None else heard.done / heard.rate


class _Pictures:
    """Frames, one after another; `at` is the next one's time in ns from the beginning, None at the end."""

    def __init__(self, file: Playable, topic: str, zero: int) -> None:
        self._where = f"{file.path}: '{topic}'"
        self._frames: Iterator[tuple[int, np.ndarray]] = (
            (m.stamp_ns - zero, _drawn(m.payload)) for m in file.messages(topic) if isinstance(m.payload, VideoFrame)
        )
        self._next = next(self._frames, None)
        if self._next is None:
            raise RecordingError(f"{self._where} holds no frame")
        self.at: int | None = self._next[0]
        self._last, self.count = -1, 0
        self._lasting = _TICKS // 30
        self._held: Any = None

    def open(self, container: Any) -> None:
        assert self._next is not None
        height, width = self._next[1].shape[:2]
        self._stream = container.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.gop_size, context.max_b_frames = Fraction(1, _TICKS), 60, 0
        context.options = {"crf": "20", "preset": "fast"}

    def step(self, container: Any) -> None:
        import av

        assert self._next is not None
        at, image = self._next
        if image.shape[:2] != (self._stream.height, self._stream.width):
            raise RecordingError(f"{self._where} changes its size; cut it there ('omnistream record cut')")
        frame: Any = av.VideoFrame.from_ndarray(image, format="rgb24" if image.ndim == 3 else "gray")
        frame.pts = max(self._last + 1, round(Fraction(at * _TICKS, SECOND)))
        frame.time_base = Fraction(1, _TICKS)
        self._last = frame.pts
        self._put(container, self._stream.encode(frame))
        self.count += 1
        self._next = next(self._frames, None)
        self.at = None if self._next is None else self._next[0]
        if self._next is None:
            self._put(container, self._stream.encode(None))
            self._last_one(container)

    def _put(self, container: Any, packets: list[Any]) -> None:
        """Each packet lasts until the next one: the file's length is made of that."""
        for packet in packets:
            if self._held is not None:
                self._lasting = packet.pts - self._held.pts
                self._last_one(container)
            self._held = packet

    def _last_one(self, container: Any) -> None:
        self._held.duration = self._lasting
        container.mux(self._held)


class _Sound:
    """Samples, in blocks; `at` is the next block's time in ns from the beginning, None at the end."""

    def __init__(self, file: Playable, topic: str, zero: int) -> None:
        self.rate = rate_of(file, topic)
        self._samples = samples(file, topic, zero, self.rate)
        self._rest = np.empty(0, np.int16)
        self.done = 0
        self.at: int | None = 0

    def open(self, container: Any) -> None:
        self._stream = container.add_stream("aac", rate=self.rate, layout="mono")
        self._stream.bit_rate = 96_000

    def step(self, container: Any) -> None:
        import av

        while len(self._rest) < _BLOCK and (more := next(self._samples, None)) is not None:
            self._rest = np.concatenate([self._rest, more])
        block, self._rest = self._rest[:_BLOCK], self._rest[_BLOCK:]
        if len(block):
            frame: Any = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.done, Fraction(1, self.rate)
            container.mux(self._stream.encode(frame))
            self.done += len(block)
            self.at = self.done * SECOND // self.rate
        if len(block) < _BLOCK:
            container.mux(self._stream.encode(None))
            self.at = None


def _drawn(frame: VideoFrame) -> np.ndarray:
    """As can be shown: depth as greys, near bright, up to 8 m."""
    image = frame.image
    if image.dtype == np.uint16:
        near = 255 - np.clip(image.astype(np.int32) * 255 // 8000, 0, 255)
        return np.where(image == 0, 0, near).astype(np.uint8)
    return np.ascontiguousarray(image)
