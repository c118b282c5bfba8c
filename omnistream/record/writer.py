"""Writes a run's messages into an MCAP file that Foxglove opens, and that loses little when the process dies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from zlib import crc32

import numpy as np
from mcap.records import Channel, Schema
from mcap.records import Message as McapMessage

from omnistream.errors import RecordingError
from omnistream.message import MS, AudioChunk, Message, VideoFrame
from omnistream.record import foxglove, packets
from omnistream.record.codec import CodedFrame, PackedFrame, RecordedMessage, encode_fields, encode_record
from omnistream.record.delta import DeltaEncoder
from omnistream.record.h264 import H264Encoder
from omnistream.record.mcap_file import McapFile
from omnistream.record.schemas import schema_of

__all__ = ["HEAD", "JOURNAL", "KEPT", "RUN", "TAP", "TRUTH", "Audio", "RecordingWriter", "Video", "is_of_stream"]

#: Topic of what really happened: JSON maps with ``start_ns`` and ``end_ns``.
TRUTH = "truth"
#: Topics that hold journals are called "journal/WORKER.INCARNATION"; a message is a msgpack list of rows.
JOURNAL = "journal/"
#: Name of the metadata record of the run as a whole.
RUN = "run"
#: Name of the metadata record at the head of the file.
HEAD = "omnistream"
#: A chunk closes at this size or, seen in stamps, at this age: a crash loses what its last chunk held.
CHUNK_BYTES = 64 << 10
CHUNK_NS = 250 * MS


def is_of_stream(channel: Channel) -> bool:
    """Whether what a channel holds are messages of a stream."""
    return packets.BETWEEN not in channel.metadata and channel.topic != TRUTH and not channel.topic.startswith(JOURNAL)


Video = Literal["lossless", "exact", "foxglove"]
Audio = Literal["lossless", "foxglove"]
#: How the payloads of a channel are kept, in its metadata: "exact" where every message can be had again as it was.
KEPT = "kept"
#: In a channel's metadata: its messages are what a node gave, not what came from outside.
TAP = "tap"


class RecordingWriter:
    """One MCAP file. A topic is a stream ("mic.out"), its log time the stamp.

    `video`: "lossless" keeps every frame whole; "exact" does so, too, by their differences (record/delta.py), in a
    fraction of the space; "foxglove" writes CompressedVideo, which is small, plays, and is not what was received.
    A CodedFrame is kept as it was received, in any of them (record/packets.py).
    `audio`: "lossless", or "foxglove": RawAudio, which is exact and plays. All else is msgpack. Every form keeps what a
    message's stream knew of it: bounds, origins, clock sources.
    With `resume` a file that is there goes on after its last whole chunk, or `size`. Not thread-safe. Raises RecordingError
    where the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_ns: int,
        video: Video = "lossless",
        audio: Audio = "lossless",
        fps: int = 30,
        crf: int = 23,
        preset: str = "slow",
        metadata: Mapping[str, str] | None = None,
        resume: bool = False,
        size: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.fps, self.crf, self.preset = fps, crf, preset
        self._video: Video = video
        self._audio: Audio = audio
        self._encoders: dict[str, H264Encoder] = {}
        self._deltas: dict[str, DeltaEncoder] = {}
        self._channels: dict[tuple[Any, ...], int] = {}
        self._chunk_since: int | None = None
        try:
            self._file = McapFile(self.path, resume=resume, size=size)
        except OSError as e:
            raise RecordingError(f"{self.path} cannot be written ({e.strerror}); name a file in a folder that exists") from None
        if not resume:
            self.metadata(HEAD, {"version": "1", "start_ns": str(start_ns)} | dict(metadata or {}))

    @property
    def size(self) -> int:
        """Bytes of the file that are with the operating system."""
        return self._file.size

    @property
    def end_ns(self) -> int:
        """The last stamp that is with the operating system, or 0."""
        return self._file.end_ns

    def hold(self) -> None:
        """Lock the file for as long as it is open, so that no other run records into it."""
        self._file.hold()

    def place(self) -> Path | None:
        """Where the file, which was made at `path`, is by now; None: it was deleted."""
        return self._file.place()

    def find(self, groups: packets.Groups) -> None:
        """Let it know the packets that the file has since each stream's last key frame."""
        groups.find(self._file)

    # -- messages ----------------------------------------------------------------------------------

    def write_message(self, message: Message[Any], bound_ns: int | None = None, clock_source: str = "host") -> None:
        """A message as its source sent it; its stream is the topic."""
        m = message
        record = RecordedMessage(m.stamp_ns, m.start_ns, m.payload, bound_ns, m.epoch, m.seq, clock_source, m.origin)
        self.write(m.stream, record)

    def encodes(self, kind: str) -> bool:
        """Whether payloads of that name are written in another form than their record's: if not, `write_record` will do."""
        return (kind == "VideoFrame" and self._video != "lossless") or (kind == "AudioChunk" and self._audio != "lossless")

    def write(self, topic: str, record: RecordedMessage, about: Mapping[str, str] | None = None) -> None:
        """Stamps rise within a topic. `about` goes into the metadata of its channel. Raises RecordingError where the disk is
        full."""
        payload, about = record.payload, dict(about or {})
        if isinstance(payload, AudioChunk) and self._audio == "foxglove":
            channel = self._channel(topic, foxglove.AUDIO, "protobuf", about | {KEPT: "exact"})
            start = record.stamp_ns - payload.duration_ns
            self._add(channel, record.stamp_ns, foxglove.encode_audio(start, payload, encode_fields(record)), record.seq)
        elif isinstance(payload, CodedFrame):
            about |= {KEPT: "exact", packets.PACKETS: payload.codec}
            schema = foxglove.schema_of(payload.codec)
            for is_message, time, data in packets.messages(topic, record):
                mark = {} if is_message else {packets.BETWEEN: "yes"}
                self._add(self._channel(topic, schema, "protobuf", about | mark), time, data, record.seq if is_message else 0)
        elif isinstance(payload, VideoFrame) and self._video == "foxglove" and _is_compact(payload):
            channel = self._channel(topic, foxglove.VIDEO, "protobuf", about | {KEPT: "lossy"})
            coded = foxglove.encode_video(record.stamp_ns, topic, self._h264(topic, payload), encode_fields(record))
            self._add(channel, record.stamp_ns, coded, record.seq)
        elif isinstance(payload, VideoFrame) and self._video != "lossless":
            data = self._deltas.setdefault(topic, DeltaEncoder()).encode(payload.image)
            frame = PackedFrame(data, payload.encoding, crc32(np.ascontiguousarray(payload.image).data))
            packed = encode_record(replace(record, payload=frame))
            self.write_record(topic, "VideoFrame", record.stamp_ns, record.seq, packed, about)
        else:
            name = type(payload).__name__
            self.write_record(topic, name, record.stamp_ns, record.seq, encode_record(record), about)

    def write_record(
        self, topic: str, kind: str, stamp_ns: int, seq: int, data: bytes, about: Mapping[str, str] | None = None
    ) -> None:
        """A message that is encoded already (record/codec.py); `kind` is the name of its payload's type."""
        self._add(self._channel(topic, f"omnistream.{kind}", "msgpack", dict(about or {})), stamp_ns, data, seq)

    def copy(self, schema: Schema | None, channel: Channel, message: McapMessage) -> None:
        """A record of another file, as it is."""
        number = self._file.schema(schema.name, schema.encoding, schema.data) if schema is not None else 0
        known = self._file.channel(channel.topic, channel.message_encoding, number, dict(channel.metadata))
        self._add(known, message.log_time, message.data, message.sequence)

    def truth(self, stamp_ns: int, entry: Mapping[str, Any]) -> None:
        """What really happened, for measuring: a plain map with "start_ns" and "end_ns"."""
        channel = self._channel(TRUTH, "omnistream.Truth", "json", {})
        self._add(channel, stamp_ns, json.dumps(entry, sort_keys=True).encode(), 0)

    def _h264(self, topic: str, frame: VideoFrame) -> bytes:
        """By the topic's encoder; another size begins another."""
        height, width = frame.image.shape[:2]
        found = self._encoders.get(topic)
        if found is None or found.size != (width, height):
            found = self._encoders[topic] = H264Encoder(width, height, self.fps, 2 * self.fps, self.crf, self.preset)
        return found.encode(frame)

    def _channel(self, topic: str, schema: str, encoding: Literal["msgpack", "protobuf", "json"], about: dict[str, str]) -> int:
        key = (topic, schema, *about.items())
        if key not in self._channels:
            described = ("protobuf", foxglove.schema_bytes(schema)) if encoding == "protobuf" else schema_of(schema)
            self._channels[key] = self._file.channel(topic, encoding, self._file.schema(schema, *described), about)
        return self._channels[key]

    def _add(self, channel: int, stamp_ns: int, data: bytes, seq: int) -> None:
        self._file.add(channel, stamp_ns, data, seq)
        if self._chunk_since is None:
            self._chunk_since = stamp_ns
        if self._file.pending > CHUNK_BYTES or abs(stamp_ns - self._chunk_since) >= CHUNK_NS:
            self.flush()

    # -- the rest ----------------------------------------------------------------------------------

    def attach(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """A file inside the file: the graph, the ledger."""
        try:
            self._file.attach(name, media_type, data)
        except OSError as e:
            raise self._full(e) from e

    def metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Words about the run: versions, overrides, model digests. The last of a name counts."""
        try:
            self._file.metadata(name, {k: str(v) for k, v in values.items()})
        except OSError as e:
            raise self._full(e) from e

    def flush(self) -> None:
        """Everything so far is with the operating system. To be called twice a second while nothing is written."""
        self._chunk_since = None
        try:
            self._file.flush()
        except OSError as e:
            raise self._full(e) from e

    def _full(self, error: OSError) -> RecordingError:
        return RecordingError(f"{self.path} cannot be written any more ({error.strerror}); what is in it can be read")

    def close(self) -> None:
        """Write the index. Without it the file is still read, as one that broke off. Idempotent."""
        try:
            self._file.finish()
        except OSError as e:
            raise RecordingError(f"{self.path} could not be finished ({e.strerror}); what is in it can be read") from e

    def abandon(self) -> None:
        """Close the file without an index, as it is. Idempotent."""
        self._file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _is_compact(frame: VideoFrame) -> bool:
    """Whether it can be 4:2:0: depth cannot, nor what has an odd side."""
    image = frame.image
    return image.dtype == np.uint8 and not (image.shape[0] % 2 or image.shape[1] % 2) and min(image.shape) > 0
