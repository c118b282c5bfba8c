"""Video as a camera sent it, in a recording: each packet once, as it came, and each frame by the packet that it is of.

A packet whose frame was seen is that frame's message. One whose frame was not (the graph had no room) lies beside it, on a
channel of its own that is marked `BETWEEN`, before the next one that was: only with it that one decodes. Every file of a run
begins with all packets since the last key frame, so that it can be read alone. The CRC-32 of its pixels is with each frame:
they are decoded again by what decoded them for the nodes (omnistream/coded.py), or there is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import msgpack

from omnistream.coded import Decoder, Pixels
from omnistream.errors import PayloadError, RecordingError
from omnistream.message import VideoFrame
from omnistream.record import foxglove
from omnistream.record.codec import VERSION, CodedFrame, RecordedMessage, decode_coded, encode_fields
from omnistream.record.mcap_file import McapFile

__all__ = ["BETWEEN", "PACKETS", "Groups", "PacketReader", "decode", "messages"]

#: In a channel's metadata: its messages are packets as received, of this codec.
PACKETS = "packets"
#: In a channel's metadata: what it holds are no messages of the stream, but what others depend on.
BETWEEN = "between"


def messages(topic: str, record: RecordedMessage) -> Iterator[tuple[bool, int, bytes]]:
    """Its packets as Foxglove's messages: whether it is one of the stream (a frame's last is), its time, and its bytes."""
    frame: CodedFrame = record.payload
    for at, data in enumerate(frame.packets, frame.first):
        time, is_message = record.stamp_ns - (frame.at - at), at == frame.at and frame.look is not None
        beside: Any = {"v": VERSION, "epoch": record.epoch, "coded": (frame.group, at)}
        fields: Any = encode_fields(record) if is_message else msgpack.packb(beside)
        yield is_message, time, foxglove.encode_video(time, topic, data, fields, frame.codec)


def decode(codec: str, data: bytes, time_ns: int) -> RecordedMessage:
    """One of these messages back; `codec` as its channel says it. Raises RecordingError where it is damaged."""
    try:
        _, packet, fields = foxglove.decode_video(data, foxglove.schema_of(codec))
        record = decode_coded(fields, time_ns, codec, packet)
    except PayloadError as error:
        raise RecordingError(f"the packet at {time_ns} ns is damaged: {error}") from None
    if record is None:
        raise RecordingError(f"the packet at {time_ns} ns is not one that was received")
    return record


@dataclass(slots=True)
class _Open:
    codec: str
    key: tuple[int, int]
    packets: list[bytes]


class Groups:
    """Of each stream the packets since its last key frame, as they are taken."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def take(self, topic: str, record: RecordedMessage) -> bool:
        """Add a frame's packets. False where some before them are missing: it cannot be decoded then."""
        frame: CodedFrame = record.payload
        key, found = (record.epoch, frame.group), self._open.get(topic)
        if found is None or found.key != key:
            found = self._open[topic] = _Open(frame.codec, key, [])
        if frame.first > len(found.packets):
            return False
        found.packets += frame.packets[len(found.packets) - frame.first :]
        return True

    def has(self, topic: str, record: RecordedMessage) -> bool:
        """Whether a frame's packets were taken already."""
        frame, found = record.payload, self._open.get(topic)
        return found is not None and found.key == (record.epoch, frame.group) and frame.at < len(found.packets)

    def find(self, file: McapFile) -> None:
        """Take what a file has of each stream since its last key frame."""
        missing = {c.topic for c in file.channels.values() if PACKETS in c.metadata}
        found: list[tuple[str, RecordedMessage]] = []
        for channel, message in file.backwards():
            if not missing:
                break
            if channel.topic in missing and PACKETS in channel.metadata:
                record = decode(channel.metadata[PACKETS], message.data, message.log_time)
                found.append((channel.topic, record))
                if record.payload.first == 0:
                    missing.remove(channel.topic)
        for topic, record in reversed(found):
            self.take(topic, record)

    def whole(self, topic: str, record: RecordedMessage) -> RecordedMessage:
        """The message that was taken last, with all packets of its group."""
        return replace(record, payload=replace(record.payload, packets=tuple(self._open[topic].packets)))

    def heads(self, now_ns: int) -> Iterator[tuple[str, RecordedMessage]]:
        """What the next frame of each stream may depend on."""
        for topic, found in self._open.items():
            if found.packets and found.codec != "jpeg":
                epoch, group = found.key
                frame = CodedFrame(found.codec, group, len(found.packets) - 1, tuple(found.packets))
                yield topic, RecordedMessage(now_ns, None, frame, epoch=epoch)


class PacketReader:
    """A stream's packets, in order, back to frames."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._key: tuple[int, int] | None = None
        self._count = 0
        self._waiting: list[bytes] = []  # to be decoded
        self._decoder: Decoder | None = None
        self._pixels: Pixels | None = None

    def add(self, record: RecordedMessage) -> None:
        """Packets that are here already are passed over; they are decoded when a frame needs them."""
        frame: CodedFrame = record.payload
        if (record.epoch, frame.group) != self._key:
            self._key, self._count, self._waiting = (record.epoch, frame.group), 0, []
            self._decoder = Decoder(frame.codec)
        if frame.first > self._count:
            self._decoder = None  # some are missing, up to the next key frame
        self._waiting += frame.packets[max(0, self._count - frame.first) :]
        self._count = max(self._count, frame.at + 1)

    def shown(self, record: RecordedMessage) -> RecordedMessage:
        """A frame as the nodes saw it. Raises RecordingError where it is not to be had."""
        from av.error import FFmpegError

        self.add(record)
        frame: CodedFrame = record.payload
        where = f"{self._where}: the video frame at {record.stamp_ns} ns"
        if self._decoder is None or frame.look is None:
            raise RecordingError(f"{where} is damaged: packets before it are missing")
        waiting, self._waiting = self._waiting, []
        self._pixels = self._pixels or Pixels()
        frames: list[Any] = []
        with suppress(FFmpegError, ValueError, MemoryError):
            for data in waiting:
                frames = self._decoder.decode(data)
            if len(frames) == 1 and crc32((image := self._pixels.of(frames[0], frame.look)).data) == frame.crc:
                return replace(record, payload=VideoFrame(image))
        raise RecordingError(
            f"{where} does not decode to the pixels that the nodes were given: the file is damaged, or this machine's PyAV "
            "decodes otherwise than that which recorded it"
        )
