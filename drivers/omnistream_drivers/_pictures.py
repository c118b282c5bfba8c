"""What one connection to a camera brings, as frames that say what they were decoded from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from omnistream.coded import CODECS, Coded, Decoder, Group, Look, is_key_packet

__all__ = ["Picture", "Pictures"]

#: Of a group of pictures so much is held; what follows up to the next key frame is not to be had as packets.
_MOST_BYTES = 16 << 20
_FILTERS = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}
_B_FRAMES = "it sends B-frames"
_NOT_EACH = "its packets do not hold a frame each"
_TOO_MUCH = "it sends too much between two key frames"
#: What a decoder makes up then may depend on the processor.
_DAMAGED = "packets of it were damaged"
#: What compresses nothing: nobody expects packets of it.
_RAW = ("rawvideo", "bmp", "wrapped_avframe")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded frame; `turns` quarters to the left make it upright. `coded` says what it came of."""

    frame: Any
    turns: int
    group: Group | None = None
    at: int = 0
    why: str = ""

    @property
    def is_corrupt(self) -> bool:
        return self.frame.is_corrupt

    def coded(self, look: Look) -> Coded | None:
        """For a recording; None where the camera compresses nothing."""
        return Coded(look, self.group, self.at, self.why) if self.group is not None or self.why else None


class Pictures:
    """Packets -> pictures, with as little delay as can be: H.264, H.265 and JPEG group by group (omnistream/coded.py), as long
    as there are no B-frames; all else by FFmpeg's own decoder for the stream, with so many threads.

    `numbers` counts the groups of all connections.
    """

    def __init__(self, stream: Any, threads: int, numbers: Iterator[int]) -> None:
        context = stream.codec_context
        stream.thread_type = "SLICE"  # frame threads would each hold back a frame
        context.thread_count = max(1, threads)
        self._numbers = numbers
        self._codec = next((name for name, codec in CODECS.items() if codec == context.name), "")
        self._sets, self._filter = context.extradata or b"", None
        self._why = "" if self._codec or context.name in _RAW else f"a recording has no place for {context.name}"
        if self._codec and context.has_b_frames:
            self._codec, self._why = "", _B_FRAMES
        elif self._codec == "jpeg" and self._sets:
            self._codec, self._why = "", "its JPEGs are not whole ones"
        elif self._codec in _FILTERS:
            from av.bitstream import BitStreamFilterContext

            self._filter = BitStreamFilterContext(_FILTERS[self._codec], in_stream=stream)
            self._sets = self._sets if self._sets.startswith((b"\0\0\1", b"\0\0\0\1")) else b""
        self._turns: int | None = None
        self._group: Group | None = None
        self._lost, self._size = "it has sent no key frame", 0
        self._decoder: Decoder | None = None

    def decode(self, packet: Any) -> list[Picture]:
        """Raises av.error.FFmpegError for a packet that does not decode."""
        if not self._codec:
            return [Picture(f, _turns(f), why=self._why) for f in packet.decode()]
        if not packet.size:  # the end: nothing is held back
            return []
        if self._turns is None:
            self._turns = _turns_told(packet)
        shown = not packet.is_discard
        found: list[Picture] = []
        for one in [packet] if self._filter is None else self._filter.filter(packet):
            found += self._decoded(bytes(one), one.pts, one.time_base)
        return found if shown else []

    def _decoded(self, data: bytes, pts: int | None, time_base: Any) -> list[Picture]:
        from av.error import FFmpegError

        key, sets = is_key_packet(self._codec, data)
        begins = key and not self._why
        if begins:
            self._group, self._size, self._lost = Group(self._codec, next(self._numbers)), 0, ""
        if begins or self._decoder is None:
            self._decoder = Decoder(self._codec)
            data = data if sets else self._sets + data
        group, at = self._group, 0
        if group is not None:
            at, self._size = len(group.packets), self._size + len(data)
            group.packets.append(data)
            if self._size > _MOST_BYTES:
                self._lose(_TOO_MUCH)
        try:
            frames = self._decoder.decode(data, pts, time_base)
        except FFmpegError:
            self._lose(_DAMAGED)
            raise
        if self._decoder.reorders:  # from now on; the decoder that has begun goes on
            self._group, self._why = None, _B_FRAMES
        elif len(frames) > 1:
            self._lose(_NOT_EACH)
        if any(f.is_corrupt for f in frames):
            self._lose(_DAMAGED)
        if self._group is None:
            return [Picture(f, self._turns or 0, why=self._why or self._lost) for f in frames]
        return [Picture(f, self._turns or 0, group, at) for f in frames]

    def _lose(self, why: str) -> None:
        """Up to the next key frame there is nothing to be had as packets."""
        self._group, self._lost = None, why


def _turns(frame: Any) -> int:
    return round(frame.rotation / 90) % 4


def _turns_told(packet: Any) -> int:
    """What the container says of it, which only the stream's own decoder tells."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        return next((_turns(f) for f in packet.decode()), 0)
    return 0
