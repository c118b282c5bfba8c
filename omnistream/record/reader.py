"""Reads recordings in MCAP: a run's own, Foxglove video and audio, ROS 2 messages, and files that broke off."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack
import numpy as np
from mcap.records import Channel, Message, Schema

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import INFINITY, PAYLOADS, AudioChunk, VideoFrame
from omnistream.record import foxglove
from omnistream.record.codec import CodedFrame, PackedFrame, RecordedMessage, decode_coded, decode_fields, decode_record
from omnistream.record.delta import DeltaDecoder
from omnistream.record.foreign import ros2
from omnistream.record.foreign.images import decode_image
from omnistream.record.h264 import H264Decoder
from omnistream.record.index import BROKEN, Index, read_attachment, read_index, records_of
from omnistream.record.packets import BETWEEN, PACKETS, PacketReader
from omnistream.record.playable import Playable, check_file
from omnistream.record.writer import HEAD, JOURNAL, KEPT, TAP, TRUTH

__all__ = ["Recording"]

_FOXGLOVE: dict[str, type] = {foxglove.VIDEO: VideoFrame, foxglove.IMAGE: VideoFrame, foxglove.AUDIO: AudioChunk}
#: Schemas whose messages may depend on those before them.
_IN_ORDER = (foxglove.VIDEO, "omnistream.VideoFrame")
_PICTURES = (foxglove.VIDEO, foxglove.IMAGE)


class Recording(Playable):
    """An MCAP file opened for reading; its messages are decoded as they are asked for.

    `start_ns` and `end_ns`: from when to when it was recorded. `notice`: a sentence where the file broke off and only what
    is whole is read, else empty. Raises RecordingError where the file is missing, is no recording, or holds nothing whole.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        check_file(self.path)
        try:
            self._file = self.path.open("rb")
            self._size = self.path.stat().st_size
        except OSError as e:
            raise RecordingError(f"{self.path} cannot be opened ({e.strerror}); name a recording (.mcap)") from None
        try:
            self._index: Index = read_index(self._file, str(self.path))
            self._types = self._topic_types()
        except BaseException:
            self._file.close()
            raise
        self.notice = "; ".join([self._index.notice, *self._misfits()]).strip("; ")
        self.metadata: Mapping[str, Mapping[str, str]] = self._index.metadata
        first = self._index.first_ns or 0
        head = self.metadata.get(HEAD, {}).get("start_ns", "")
        self.start_ns = int(head) if head.isdecimal() else first
        self.end_ns = self._index.end_ns or self.start_ns

    def streams(self) -> dict[str, frozenset[type]]:
        """Each topic that holds payloads, with their types; a recorded stream has one type, or a few."""
        return dict(self._types)

    def others(self) -> dict[str, str]:
        held = {c.topic: self.schema_of(c) for c in self._index.channels.values() if c.topic not in self._types}
        return {t: s.name if s else "" for t, s in sorted(held.items()) if t != TRUTH and not t.startswith(JOURNAL)}

    def is_foreign(self, topic: str) -> bool:
        return any(c.message_encoding == "cdr" for c in self._channels(topic))

    def named(self, topic: str) -> str:
        return super().named(topic) if self.is_foreign(topic) else str(self.path)

    def is_lossless(self, topic: str) -> bool:
        """Whether every message is just as it was received: bounds, origins and all."""
        return all(c.message_encoding == "msgpack" or c.metadata.get(KEPT) == "exact" for c in self._channels(topic))

    def kept(self, topic: str) -> str:
        if self.is_foreign(topic):
            return ""
        if VideoFrame not in self._types[topic]:
            return "as received" if self.is_lossless(topic) else "lossy"
        return ", ".join(sorted({_kept(c) for c in self._channels(topic)}))

    def is_tap(self, topic: str) -> bool:
        """Whether it is what a node gave of itself, recorded to be looked at, and not something that came from outside."""
        return any(TAP in c.metadata for c in self._channels(topic))

    def messages(self, topic: str, since_ns: int = 0) -> Iterator[RecordedMessage]:
        """The topic's messages stamped `since_ns` or later, in order; stamps rise.

        What lies before is not decoded, but for video since the last key frame. Raises RecordingError at damage, and for a
        topic that is not here.
        """
        self._known(topic, self._types)
        names = {c.id: self._index.schemas[c.schema_id].name for c in self._channels(topic)}
        if not ros2.TYPES.keys().isdisjoint(names.values()):
            yield from self._ros2(topic, names, since_ns)
            return
        between = {c.id for c in self._channels(topic) if BETWEEN in c.metadata}
        video = _Video(f"{self.path}: '{topic}'")
        last = -1
        for count, record in enumerate(self._records(topic, between=True)):
            stamp, name = record.log_time, names[record.channel_id]
            is_message = record.channel_id not in between
            if is_message and stamp <= last:
                raise RecordingError(f"{self.path}: stamps of '{topic}' do not rise: {stamp} ns comes after {last} ns")
            if stamp >= INFINITY:
                raise RecordingError(f"{self.path}: message {count} of '{topic}' is stamped {stamp} ns, which is no time")
            last = stamp if is_message else last
            if stamp < since_ns and name not in _IN_ORDER:
                continue
            try:
                if not is_message:
                    video.between(_decode(record, name))
                    continue
                message = video.shown(_decode(record, name), wanted=stamp >= since_ns)
            except PayloadError as e:
                raise RecordingError(f"{self.path}: message {count} of '{topic}' cannot be read: {e}") from None
            if stamp >= since_ns:
                yield message

    def stamps(self, topic: str) -> Iterator[int]:
        if any(c.message_encoding == "cdr" for c in self._channels(topic)):
            return super().stamps(topic)
        return (record.log_time for record in self._records(topic))

    def count(self, topic: str, before_ns: int) -> int:
        """How many of the topic's messages are stamped before that time."""
        return sum(r.log_time < before_ns for r in self._records(topic))

    def records(self, topics: Collection[str] | None = None) -> Iterator[tuple[Channel, Message]]:
        """Every record of the topics (None: of all, also those that hold no payload), as it is and in the file's order."""
        channels = {c.id: c for c in self._index.channels.values() if topics is None or c.topic in topics}
        for chunk in self._index.chunks:
            if channels.keys() & chunk.channels:
                for record in self._chunk(chunk.offset):
                    if record.channel_id in channels:
                        yield channels[record.channel_id], record

    def channels(self) -> list[Channel]:
        """All channels, also those that hold no payload."""
        return list(self._index.channels.values())

    def schema_of(self, channel: Channel) -> Schema | None:
        """What the file says of a channel's messages."""
        return self._index.schemas.get(channel.schema_id)

    def journals(self) -> dict[str, list[bytes]]:
        """The journals' rows, by life of a worker ("mind.0"). Raises RecordingError where they are damaged."""
        found: dict[str, list[bytes]] = {}
        for topic in sorted({c.topic for c in self._index.channels.values() if c.topic.startswith(JOURNAL)}):
            name = topic.removeprefix(JOURNAL)
            for record in self._records(topic):
                try:
                    rows: Any = msgpack.unpackb(record.data)
                    if not isinstance(rows, list) or not all(type(r) is bytes for r in rows):
                        raise ValueError("it is no list of rows")
                except (ValueError, msgpack.UnpackException) as error:
                    raise RecordingError(f"{self.path}: the journal of {name} is damaged ({error})") from None
                found.setdefault(name, []).extend(rows)
        return found

    def truth(self) -> list[dict[str, Any]]:
        """What really happened, in the order recorded: maps with "start_ns" and "end_ns". Empty where nobody wrote it down."""
        entries: list[dict[str, Any]] = []
        for record in self._records(TRUTH):
            try:
                entry = json.loads(record.data)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise RecordingError(f"{self.path}: the truth at {record.log_time} ns is not a JSON map")
            entries.append(entry)
        return entries

    @property
    def attachments(self) -> dict[str, bytes]:
        """The files inside the file by name: the graph, the ledger, journals."""
        try:
            return {name: read_attachment(self._file, at, self._size) for name, at in self._index.attachments.items()}
        except BROKEN as e:
            raise RecordingError(f"{self.path}: an attachment is damaged ({_say(e)})") from None

    def close(self) -> None:
        self._file.close()

    # -- inside ------------------------------------------------------------------------------------

    def _topic_types(self) -> dict[str, frozenset[type]]:
        types: dict[str, frozenset[type]] = {}
        for channel in self._index.channels.values():
            schema = self._index.schemas.get(channel.schema_id)
            kind = _payload_type(channel, schema)
            if kind is not None:
                types[channel.topic] = types.get(channel.topic, frozenset()) | {kind}
        return types

    def _misfits(self) -> Iterator[str]:
        """A sentence for each topic of ROS 2 that is left out, because its messages are not what their name says."""
        for channel in self._index.channels.values():
            schema = self._index.schemas.get(channel.schema_id)
            if schema is not None and channel.message_encoding == "cdr" and schema.name in ros2.TYPES:
                why = ros2.misfit(schema.name, schema.encoding, schema.data)
                if why:
                    yield f"{self.path}: '{channel.topic}' is left out: {why}"

    def _ros2(self, topic: str, names: Mapping[int, str], since_ns: int) -> Iterator[RecordedMessage]:
        """As `messages`. ROS promises no order: a stamp that does not rise is raised."""
        last = -1
        for count, record in enumerate(self._records(topic)):
            name = names[record.channel_id]
            try:
                stamp, clock = ros2.stamp_of(record.log_time, ros2.taken_ns(name, record.data))
                last = stamp = max(stamp, last + 1)
                if since_ns <= stamp < INFINITY:
                    payload = ros2.decode(name, record.data, stamp)
                    yield RecordedMessage(stamp, None, payload, seq=record.sequence, clock_source=clock)
            except PayloadError as e:
                raise RecordingError(f"{self.path}: message {count} of '{topic}' cannot be read: {e}") from None

    def _channels(self, topic: str) -> list[Channel]:
        known = self._index.schemas
        return [
            c
            for c in self._index.channels.values()
            if c.topic == topic and (topic == TRUTH or topic.startswith(JOURNAL) or _payload_type(c, known.get(c.schema_id)))
        ]

    def _records(self, topic: str, *, between: bool = False) -> Iterator[Message]:
        """Those of the stream; with `between` also the packets that they depend on."""
        wanted = {c.id for c in self._channels(topic) if between or BETWEEN not in c.metadata}
        for chunk in self._index.chunks:
            if not wanted & chunk.channels:
                continue
            yield from (r for r in self._chunk(chunk.offset) if r.channel_id in wanted)

    def _chunk(self, offset: int) -> list[Message]:
        try:
            return [r for r in records_of(self._file, offset, self._size) if isinstance(r, Message)]
        except BROKEN as e:
            raise RecordingError(f"{self.path} is damaged at byte {offset} ({_say(e)})") from None


def _payload_type(channel: Channel, schema: Schema | None) -> type | None:
    if schema is None:
        return None
    if channel.message_encoding == "cdr" and not ros2.misfit(schema.name, schema.encoding, schema.data):
        return ros2.TYPES.get(schema.name)
    if channel.message_encoding == "protobuf":
        return _FOXGLOVE.get(schema.name)
    if channel.message_encoding == "msgpack" and schema.name.startswith("omnistream."):
        return PAYLOADS.get(schema.name.removeprefix("omnistream."))
    return None


def _decode(record: Message, name: str) -> RecordedMessage:
    """A message, its frame still packed if it is video. Raises PayloadError."""
    stamp = record.log_time
    if name == foxglove.AUDIO:
        chunk, start, fields = foxglove.decode_audio(record.data, stamp)
        return decode_fields(fields, stamp, chunk) if fields else RecordedMessage(stamp, start, chunk, seq=record.sequence)
    if name in _PICTURES:
        codec, data, fields = foxglove.decode_video(record.data, name)
        if fields and (coded := decode_coded(fields, stamp, codec, data)):
            return coded
        if name == foxglove.IMAGE:
            return RecordedMessage(stamp, None, decode_image(data), seq=record.sequence)
        if codec != "h264":
            raise PayloadError(f"video in the format '{codec[:20]}' cannot be read; use h264")
        frame = PackedFrame(data)
        return decode_fields(fields, stamp, frame) if fields else RecordedMessage(stamp, None, frame, seq=record.sequence)
    message = decode_record(record.data, stamp)
    kind = "VideoFrame" if isinstance(message.payload, PackedFrame) else type(message.payload).__name__
    if kind != name.removeprefix("omnistream."):
        raise PayloadError(f"a {kind} on a channel of {name}")
    return message


class _Video:
    """Frames that are video, unpacked in order; those that are not wanted only as far as the next ones depend on them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._h264: H264Decoder | None = None
        self._deltas = DeltaDecoder()
        self._skipped: list[PackedFrame] = []  # since the last key frame
        self._packets = PacketReader(where)

    def between(self, message: RecordedMessage) -> None:
        """A packet that the next frames may depend on. Raises PayloadError where it is none."""
        if not isinstance(message.payload, CodedFrame):
            raise PayloadError("a frame where only packets should be")
        self._packets.add(message)

    def shown(self, message: RecordedMessage, *, wanted: bool) -> RecordedMessage:
        """Raises RecordingError where the frame is damaged."""
        frame, stamp = message.payload, message.stamp_ns
        if isinstance(frame, CodedFrame) and wanted:
            return self._packets.shown(message)
        if isinstance(frame, CodedFrame):
            self._packets.add(message)
        if not isinstance(frame, PackedFrame):
            return message
        if not wanted:
            self._skipped = [frame] if frame.is_key else [*self._skipped, frame]
            return message
        for earlier in self._skipped:
            self._image(earlier, stamp)
        self._skipped = []
        image = self._image(frame, stamp)
        if frame.crc is not None and crc32(image.data) != frame.crc:
            raise RecordingError(
                f"{self._where}: the video frame at {stamp} ns does not decode to the pixels that were recorded"
            )
        return replace(message, payload=VideoFrame(image, frame.encoding))

    def _image(self, frame: PackedFrame, stamp: int) -> np.ndarray:
        if frame.crc is not None:
            return self._deltas.decode(frame.data)
        self._h264 = self._h264 or H264Decoder(self._where)
        return self._h264.decode(frame.data, stamp).image


def _kept(channel: Channel) -> str:
    """How a channel's frames are kept."""
    if codec := channel.metadata.get(PACKETS):
        return f"{codec} as received"
    return "lossless" if channel.message_encoding == "msgpack" else "compact"


def _say(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:120]
