"""Writes a run's messages into an MCAP file that Foxglove opens, and that loses little when the process dies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from mcap.writer import CompressionType, Writer

from omnistream.errors import RecordingError
from omnistream.message import MS, AudioChunk, Message, Payload, VideoFrame
from omnistream.record import foxglove
from omnistream.record.codec import RecordedMessage, encode_record
from omnistream.record.h264 import H264Encoder

__all__ = ["HEAD", "TRUTH", "RecordingWriter"]

#: Topic of what really happened: JSON maps with ``start_ns`` and ``end_ns``.
TRUTH = "truth"
#: Name of the metadata record at the head of the file.
HEAD = "omnistream"
#: A chunk closes at this size or, seen in stamps, at this age: a crash loses what its last chunk held.
CHUNK_BYTES = 64 << 10
CHUNK_NS = 250 * MS


class RecordingWriter:
    """One MCAP file. A topic is a stream ("mic.out"), its log time the stamp.

    `video` and `audio`: "lossless" keeps every message whole (msgpack), as a replay that must be exact needs; "foxglove"
    writes CompressedVideo (H.264) and RawAudio, which keep no bounds, origins or clock sources. All else is msgpack.
    Not thread-safe. Raises RecordingError where the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_ns: int,
        video: Literal["lossless", "foxglove"] = "lossless",
        audio: Literal["lossless", "foxglove"] = "lossless",
        fps: int = 30,
        crf: int = 23,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.fps, self.crf = fps, crf
        self._plain: dict[type, bool] = {VideoFrame: video == "lossless", AudioChunk: audio == "lossless"}
        self._channels: dict[tuple[str, str], int] = {}
        self._schemas: dict[str, int] = {}
        self._encoders: dict[str, H264Encoder] = {}
        self._chunk_since: int | None = None
        try:
            self._file = self.path.open("wb")
        except OSError as e:
            raise RecordingError(f"{self.path} cannot be written ({e.strerror}); name a file in a folder that exists") from None
        # LZ4: raw video at zstd's speed would take a core.
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.LZ4)
        self._writer.start(profile="", library="omnistream")
        self.metadata(HEAD, {"version": "1", "start_ns": str(start_ns)} | dict(metadata or {}))
        self.flush()

    # -- messages ----------------------------------------------------------------------------------

    def write_message(self, message: Message[Any], bound_ns: int | None = None, clock_source: str = "host") -> None:
        """A message as its source sent it; its stream is the topic."""
        m = message
        record = RecordedMessage(m.stamp_ns, m.start_ns, m.payload, bound_ns, m.epoch, m.seq, clock_source, m.origin)
        self.write(m.stream, record)

    def write(self, topic: str, record: RecordedMessage) -> None:
        """Stamps rise within a topic. Raises RecordingError where the disk is full or a video frame has another size."""
        payload = record.payload
        if self._plain.get(type(payload), True):
            channel = self._channel(topic, f"omnistream.{type(payload).__name__}", "msgpack")
            data = encode_record(record)
        elif isinstance(payload, AudioChunk):
            channel = self._channel(topic, foxglove.AUDIO, "protobuf")
            data = foxglove.encode_audio(record.stamp_ns - payload.duration_ns, payload)
        else:
            channel = self._channel(topic, foxglove.VIDEO, "protobuf")
            data = foxglove.encode_video(record.stamp_ns, topic, self._h264(topic, payload))
        self._add(channel, record.stamp_ns, data, record.seq)

    def truth(self, stamp_ns: int, entry: Mapping[str, Any]) -> None:
        """What really happened, for measuring: a plain map with "start_ns" and "end_ns"."""
        channel = self._channel(TRUTH, "omnistream.Truth", "json")
        self._add(channel, stamp_ns, json.dumps(entry, sort_keys=True).encode(), 0)

    def _h264(self, topic: str, frame: Payload) -> bytes:
        assert isinstance(frame, VideoFrame)
        if topic not in self._encoders:
            height, width = frame.image.shape[:2]
            self._encoders[topic] = H264Encoder(width, height, self.fps, gop=2 * self.fps, crf=self.crf)
        return self._encoders[topic].encode(frame)

    def _channel(self, topic: str, schema: str, encoding: Literal["msgpack", "protobuf", "json"]) -> int:
        key = (topic, schema)
        if key not in self._channels:
            if schema not in self._schemas:
                described = {
                    "protobuf": lambda: ("protobuf", foxglove.schema_bytes(schema)),
                    "json": lambda: ("jsonschema", b'{"type":"object"}'),
                    "msgpack": lambda: ("", b""),
                }[encoding]()
                self._schemas[schema] = self._writer.register_schema(schema, *described)
            self._channels[key] = self._writer.register_channel(topic, encoding, self._schemas[schema])
        return self._channels[key]

    def _add(self, channel: int, stamp_ns: int, data: bytes, seq: int) -> None:
        try:
            self._writer.add_message(channel, stamp_ns, data, stamp_ns, seq & 0xFFFFFFFF)
            if self._chunk_since is None:
                self._chunk_since = stamp_ns
            elif abs(stamp_ns - self._chunk_since) >= CHUNK_NS:
                self.flush()
        except OSError as e:
            raise RecordingError(f"{self.path} cannot be written any more ({e.strerror}); what is in it can be read") from e

    # -- the rest ----------------------------------------------------------------------------------

    def attach(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """A file inside the file: the graph, the ledger, a journal."""
        self.flush()
        self._writer.add_attachment(0, 0, name, media_type, data)
        self.flush()

    def metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Words about the run: versions, overrides, model digests."""
        self.flush()
        self._writer.add_metadata(name, {k: str(v) for k, v in values.items()})

    def flush(self) -> None:
        """Everything so far is with the operating system. To be called twice a second while nothing is written."""
        self._chunk_since = None
        try:
            self._writer.flush()
        except OSError as e:
            raise RecordingError(f"{self.path} cannot be written any more ({e.strerror}); what is in it can be read") from e

    def close(self) -> None:
        """Write the index. Without it the file is still read, as one that broke off. Idempotent."""
        if self._file.closed:
            return
        try:
            self._writer.finish()
        except OSError as e:
            raise RecordingError(f"{self.path} could not be finished ({e.strerror}); what is in it can be read") from e
        finally:
            with suppress(OSError):  # the disk is still full, and that has been said
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
