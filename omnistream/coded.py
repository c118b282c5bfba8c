"""What a camera sent, and the pixels that nodes are given of it: the same pixels from the same packets, on every machine.

The law: the packets of a group of pictures, given one after another to a `Decoder` of their own, and its frames to `Pixels`,
are what the nodes saw. The camera decodes by nothing else, and so does whoever reads a recording that holds the packets.
Measured with FFmpeg 8 with and without its code for special processors (tests/test_coded.py): its own choice of conversion
to RGB differs between them, this one does not, and costs 0.6 ms for a 640x480 frame in the place of 0.25.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["CODECS", "MOST_PIXELS", "Coded", "Decoder", "Group", "Look", "Pixels", "is_key_packet"]

#: How Foxglove calls what a recording can keep as packets, and how FFmpeg does.
CODECS = {"h264": "h264", "h265": "hevc", "jpeg": "mjpeg"}
#: A picture with more is refused before there is any memory for it.
MOST_PIXELS = 64 << 20


@dataclass(slots=True)
class Group:
    """A group of pictures as it came: a key frame and what depends on it. Packets are only ever added.

    `codec` is one of `CODECS`; `number` is the group's own in one life of a source.
    """

    codec: str
    number: int
    packets: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Look:
    """How pixels are made of a decoded frame: its size, and by how many quarters it is turned left then."""

    width: int
    height: int
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Coded:
    """What a frame was made of: packet `at` of a group, after all before it.

    Without a group, `why` says why a recording can have no packets of it.
    """

    look: Look
    group: Group | None = None
    at: int = 0
    why: str = ""


class Decoder:
    """The packets of one group -> frames (PyAV's). One thread, and no state from before the group."""

    def __init__(self, codec: str) -> None:
        import av

        self._av = av
        context: Any = av.CodecContext.create(CODECS[codec], "r")
        context.thread_count = 1
        context.options = {"flags": "+bitexact", "idct": "simple", "max_pixels": str(MOST_PIXELS)}
        self._context = context

    def decode(self, data: bytes, pts: int | None = None, time_base: Any = None) -> list[Any]:
        """What comes out when this packet goes in: one frame, or none of a packet that holds no picture.

        Raises av.error.FFmpegError where it is damaged; the next ones may be given all the same.
        """
        packet = self._av.Packet(data)
        if time_base is not None:
            packet.pts, packet.time_base = pts, time_base
        return self._context.decode(packet)

    @property
    def reorders(self) -> bool:
        """Whether frames come out later than they went in: there are B-frames."""
        return self._context.has_b_frames


class Pixels:
    """Decoded frames -> (H, W, 3) uint8 RGB, read-only."""

    def __init__(self) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._scaler = VideoReformatter()
        self._how = int(Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT)

    def of(self, frame: Any, look: Look) -> np.ndarray:
        """Raises ValueError where it cannot be."""
        rgb = self._scaler.reformat(frame, look.width, look.height, "rgb24", interpolation=self._how, threads=1)
        image = np.ascontiguousarray(np.rot90(rgb.to_ndarray(), look.turns))  # rows may be padded
        image.flags.writeable = False
        return image


def is_key_packet(codec: str, data: bytes) -> tuple[bool, bool]:
    """Whether a packet begins a group, and whether it brings its parameter sets: by its units up to the first slice.

    Source: H.264 7.4.1, H.265 7.4.2.2. A JPEG is both.
    """
    if codec == "jpeg":
        return True, True
    sets, at = False, data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        unit = data[at + 3] & 31 if codec == "h264" else data[at + 3] >> 1 & 63
        sets = sets or unit == (7 if codec == "h264" else 33)
        if codec == "h264" and 1 <= unit <= 5:
            return unit == 5, sets
        if codec == "h265" and unit < 32:
            return 16 <= unit <= 21, sets
        at = data.find(b"\0\0\1", at + 3)
    return False, sets
