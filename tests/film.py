"""A camera without a device: pictures that move, encoded, and decoded again as the camera driver does."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import av
import numpy as np

from omnistream.coded import CODECS, Coded, Decoder, Group, Look, Pixels
from omnistream.message import VideoFrame

_OPTIONS = {
    "h264": {"x264-params": "repeat-headers=1:keyint=1000:scenecut=0:sliced-threads=0"},
    "h265": {"x265-params": "repeat-headers=1:bframes=0:keyint=1000:log-level=none:pools=none:frame-threads=1"},
    "jpeg": {},
}
_ENCODERS = {"h264": "libx264", "h265": "libx265", "jpeg": "mjpeg"}


class Film:
    """`packet` is the camera; `shot` what of it a node is given. A key frame comes after one to `most` frames."""

    def __init__(self, codec: str = "h264", seed: int = 0, size: tuple[int, int] = (64, 48), most: int = 12) -> None:
        self.codec, self.size = codec, size
        self._random, self._most = random.Random(seed), most
        self._image = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        full = 2 if codec == "jpeg" else 1
        self._format, self._range = ("yuvj420p" if full == 2 else "yuv420p"), full
        context: Any = av.CodecContext.create(_ENCODERS[codec], "w")
        context.width, context.height, context.pix_fmt, context.color_range = *size, self._format, full
        context.time_base, context.framerate, context.thread_count = Fraction(1, 20), 20, 1
        context.options = _OPTIONS[codec] | (
            {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"} if full == 1 else {}
        )
        self._encoder = context
        self._count = self._until_key = 0
        self._groups = -1
        self._pixels = Pixels()
        self.group = Group(codec, 0)

    def packet(self) -> tuple[bool, bytes]:
        """The next one, and whether it is a key frame."""
        key = self._until_key == 0 or self.codec == "jpeg"
        self._until_key = self._random.randrange(self._most) if key else self._until_key - 1
        self._image = np.roll(self._image, 1, axis=1)
        self._image[self._count % self.size[1]] ^= 90
        frame = av.VideoFrame.from_ndarray(self._image, format="rgb24")
        frame = frame.reformat(format=self._format, dst_color_range=self._range)
        frame.pts, frame.pict_type = self._count, 1 if key else 0
        self._count += 1
        (packet,) = self._encoder.encode(frame)
        return key, bytes(packet)

    def shot(self, look: Look | None = None) -> tuple[VideoFrame, Coded]:
        key, data = self.packet()
        if key:
            self._groups += 1
            self.group, self._decoder = Group(self.codec, self._groups), Decoder(self.codec)
        self.group.packets.append(data)
        (frame,) = self._decoder.decode(data)
        look = look or Look(*self.size)
        return VideoFrame(self._pixels.of(frame, look)), Coded(look, self.group, len(self.group.packets) - 1)


assert set(_ENCODERS) == set(CODECS)
