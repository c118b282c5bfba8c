"""A part of a recording as a recording of its own, which replays as that part did in the whole.

Messages are copied as they lie in the file, whatever they are. Video that begins between two key frames keeps its pixels: of a
camera's own packets those since the last one come along (record/packets.py), and what was encoded here is encoded anew up to
the next one, without loss (record/key_frames.py).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
from mcap.records import Channel, Message
from mcap.writer import CompressionType, Writer

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import SECOND
from omnistream.record import foxglove
from omnistream.record.codec import PackedFrame, decode_record, encode_record
from omnistream.record.delta import DeltaDecoder, DeltaEncoder
from omnistream.record.identity import RUN_ID
from omnistream.record.key_frames import begun_anew
from omnistream.record.packets import BETWEEN, PACKETS, Groups, decode, messages
from omnistream.record.reader import Recording
from omnistream.record.scribe import REPEATED
from omnistream.record.writer import CHUNK_BYTES, HEAD, JOURNAL, RUN, TRUTH, is_of_stream

__all__ = ["CUT", "cut", "remove"]

#: The metadata that says which part of which recording a file is.
CUT = "cut"
_VIDEO = ((foxglove.VIDEO, "protobuf"), ("omnistream.VideoFrame", "msgpack"))


def cut(file: Recording, out: str | Path, from_ns: int = 0, to_ns: int | None = None, only: Sequence[str] = ()) -> int:
    """Write [from_ns, to_ns) of a recording, counted from its start, into a file; `only` names streams. The number of messages.

    A part from the very beginning with all its streams keeps the journal of its firings, for a replay as recorded; any
    other has none. Raises RecordingError where there is nothing in it, and where `out` is there already.
    """
    path = Path(out)
    start = file.start_ns + from_ns
    end = 1 << 62 if to_ns is None else file.start_ns + to_ns
    if from_ns < 0 or end <= start:
        raise RecordingError(f"from {from_ns / SECOND:g} s to {(end - file.start_ns) / SECOND:g} s is no part of a recording")
    if start > file.end_ns:
        raise RecordingError(
            f"{file.path} ends {(file.end_ns - file.start_ns) / SECOND:.3f} s after its start; cut before that, "
            f"not from {from_ns / SECOND:g} s"
        )
    topics = _topics(file, only)
    if path.exists():
        raise RecordingError(f"{path} is there already; move it, or name another file")
    from_the_start = from_ns == 0 and not only
    try:
        with path.open("xb") as target:
            count = _write(target, file, start, end, topics, keep_journal=from_the_start)
    except OSError as e:
        remove(path)
        raise RecordingError(f"{path} cannot be written ({e.strerror}); name a file in a folder with room") from None
    except BaseException:
        remove(path)  # half a cut would pass for all of it
        raise
    return count


def remove(path: Path) -> None:
    """Take away what could not be made whole; what cannot be removed, as on a disk that is read only, was not made either."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _topics(file: Recording, only: Sequence[str]) -> frozenset[str] | None:
    """The topics to keep; None is all, also those that hold nothing for a graph."""
    if not only:
        return None
    there = file.streams()
    found = {TRUTH}
    for name in only:
        topic = next((t for t in (name, f"{name}.out") if t in there), None)
        if topic is None:
            raise RecordingError(f"{file.path} has no stream '{name}'; it has {', '.join(sorted(there)) or 'none'}")
        found.add(topic)
    return frozenset(found)


def _write(target: Any, file: Recording, start: int, end: int, topics: frozenset[str] | None, *, keep_journal: bool) -> int:
    writer = Writer(target, chunk_size=CHUNK_BYTES, compression=CompressionType.LZ4)
    writer.start(profile="", library="omnistream")
    head = {"version": "1"} | dict(file.metadata.get(HEAD, {})) | {"start_ns": str(start)}
    head.pop(RUN_ID, None)  # it is no file of the run
    writer.add_metadata(HEAD, head)
    ids: dict[tuple[str, int], int] = {}
    count = 0
    journals = _Journals(end, str(file.path)) if keep_journal else None
    for channel, message in _kept(file, start, end, topics, journals):
        schema = file.schema_of(channel)
        schema_key = ("schema", channel.schema_id)
        if schema is not None and schema_key not in ids:
            ids[schema_key] = writer.register_schema(schema.name, schema.encoding, schema.data)
        key = ("channel", channel.id)
        if key not in ids:
            ids[key] = writer.register_channel(
                channel.topic, channel.message_encoding, ids.get(schema_key, 0), dict(channel.metadata)
            )
        writer.add_message(ids[key], message.log_time, message.data, message.publish_time, message.sequence)
        count += is_of_stream(channel)
    if not count:
        since = ((start - file.start_ns) / SECOND, (min(end, file.end_ns) - file.start_ns) / SECOND)
        raise RecordingError(f"{file.path} has no message from {since[0]:g} s to {since[1]:g} s; look at it with record info")
    attachments = _attachments(file, end, keep_journal=keep_journal)
    for name, (media, data) in attachments.items():
        writer.add_attachment(0, 0, name, media, data)
    if RUN in file.metadata:
        gone = ["digest", "sinks", "last", "next", "next_from_ns"]  # which are of the whole run
        gone += ["number", "of"] if file.metadata[RUN].get("number") == "1" else []  # nothing is missing before it
        writer.add_metadata(RUN, {k: v for k, v in file.metadata[RUN].items() if k not in gone})
    before = file.metadata.get(CUT, {})
    said = {
        "file": before.get("file") or file.path.name,  # a cut of a cut names the whole
        "from_ns": str(start),
        "to_ns": str(min(end, file.end_ns + 1)),
        "start_ns": before.get("start_ns") or str(file.start_ns),
        "streams": json.dumps(sorted(topics - {TRUTH}) if topics else []),
    }
    writer.add_metadata(CUT, said)
    writer.finish()
    return count


def _kept(
    file: Recording, start: int, end: int, topics: frozenset[str] | None, journals: _Journals | None
) -> Iterator[tuple[Channel, Message]]:
    """The records of the part, in the order of the file."""
    packets: dict[int, list[Message]] = {}  # of video: since its last key frame, while that lies before the start
    kept: dict[int, int] = {}
    begun: set[int] = set()
    received = _Received(file, start)
    for channel, record in file.records(topics):
        if channel.topic.startswith(JOURNAL):
            if journals is not None and journals.until(channel.topic, record):
                yield channel, record
            continue
        if record.log_time >= end:
            continue
        if record.log_time >= start:
            for other in file.channels():  # a stream's messages keep their order, however each is kept
                if other.topic == channel.topic and other.id != channel.id and kept.get(other.id):
                    yield from _begun(file, other, packets[other.id], kept.pop(other.id))
        if PACKETS in channel.metadata:
            yield from received.kept(channel, record)
            continue
        frame = _frame_of(file, channel, record)
        if frame is None or channel.id in begun:
            if record.log_time >= start:
                yield channel, record
            continue
        if frame.is_key:
            yield from _begun(file, channel, packets.pop(channel.id, []), kept.pop(channel.id, 0))
            if record.log_time >= start:
                begun.add(channel.id)
                yield channel, record
                continue
        packets.setdefault(channel.id, []).append(record)
        kept[channel.id] = kept.get(channel.id, 0) + (record.log_time >= start)
    for channel in file.channels():
        yield from _begun(file, channel, packets.get(channel.id, []), kept.get(channel.id, 0))


def _begun(file: Recording, channel: Channel, records: Sequence[Message], kept: int) -> Iterator[tuple[Channel, Message]]:
    """Video that begins between key frames, up to the next one."""
    if not kept:
        return
    where = f"{file.path}: the video of '{channel.topic}' at {records[-kept].log_time} ns"
    if channel.message_encoding == "msgpack":
        yield from ((channel, record) for record in _images_begun(records, kept, where))
        return
    data = begun_anew([foxglove.decode_video(r.data)[1] for r in records], kept, where)
    for record, packet in zip(records[-kept:], data, strict=True):
        fields = foxglove.decode_video(record.data)[2]
        yield channel, replace(record, data=foxglove.encode_video(record.log_time, channel.topic, packet, fields))


def _images_begun(records: Sequence[Message], kept: int, where: str) -> Iterator[Message]:
    """The same of images that were kept without loss."""
    decoder, encoder = DeltaDecoder(), DeltaEncoder()
    for number, record in enumerate(records):
        try:
            message = decode_record(record.data, record.log_time)
            image = decoder.decode(message.payload.data)
        except PayloadError as error:
            raise RecordingError(f"{where} is damaged: {error}") from None
        if number >= len(records) - kept:
            data = encode_record(replace(message, payload=replace(message.payload, data=encoder.encode(image))))
            yield replace(record, data=data)


class _Received:
    """Video as a camera sent it: what lies before the start comes along as far as the first frame depends on it."""

    def __init__(self, file: Recording, start: int) -> None:
        self._file, self._start = file, start
        self._groups = Groups()
        self._begun: set[str] = set()

    def kept(self, channel: Channel, record: Message) -> Iterator[tuple[Channel, Message]]:
        topic, codec = channel.topic, channel.metadata[PACKETS]
        if topic in self._begun:
            yield channel, record
            return
        message = decode(codec, record.data, record.log_time)
        whole = self._groups.take(topic, message)
        if BETWEEN in channel.metadata or record.log_time < self._start:
            return
        self._begun.add(topic)
        if whole:
            beside = self._beside(channel)
            *before, _ = messages(topic, self._groups.whole(topic, message))
            for _, time, data in before:
                yield beside, replace(record, log_time=time, publish_time=time, data=data, sequence=0, channel_id=beside.id)
        yield channel, record

    def _beside(self, channel: Channel) -> Channel:
        """The channel for packets whose frames are not in the part."""
        metadata = dict(channel.metadata) | {BETWEEN: "yes"}
        there = (c for c in self._file.channels() if (c.topic, c.metadata) == (channel.topic, metadata))
        return next(there, None) or replace(channel, id=-1 - channel.id, metadata=metadata)


def _frame_of(file: Recording, channel: Channel, record: Message) -> PackedFrame | None:
    """A frame, of video whose frames depend on those before them."""
    schema = file.schema_of(channel)
    if schema is None or (schema.name, channel.message_encoding) not in _VIDEO:
        return None
    try:
        if channel.message_encoding == "protobuf":
            return PackedFrame(foxglove.decode_video(record.data)[1])
        frame = decode_record(record.data, record.log_time).payload
        return frame if isinstance(frame, PackedFrame) else None
    except PayloadError:  # of another kind: it is copied as it is
        return None


def _attachments(file: Recording, end: int, *, keep_journal: bool) -> Mapping[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    for name, data in file.attachments.items():
        if name.startswith(REPEATED):
            if keep_journal and msgpack.unpackb(data)[1] < end:
                found[name] = ("application/msgpack", data)
        else:
            found[name] = ("application/yaml" if name.endswith(".yaml") else "application/json", data)
    return found


class _Journals:
    """The journals' rows of all firings before a time: of each node, up to its first one that is not."""

    def __init__(self, end: int, where: str) -> None:
        self._end, self._where = end, where
        self._over: dict[str, set[str]] = {}

    def until(self, topic: str, record: Message) -> bool:
        """Leave out of a record's rows what is not before the end. Whether any is left."""
        kept: list[bytes] = []
        over = self._over.setdefault(topic, set())
        try:
            for row in msgpack.unpackb(record.data):
                fields: Any = (*msgpack.unpackb(row, use_list=False), None, None)
                kind, node, t = fields[:3]
                if kind in ("f", "s") and t >= self._end:
                    over.add(node)
                if node not in over:
                    kept.append(row)
        except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
            raise RecordingError(f"{self._where}: the journal of {topic.removeprefix(JOURNAL)} is damaged ({error})") from None
        record.data = msgpack.packb(kept)  # type: ignore[assignment]
        record.log_time = record.publish_time = min(record.log_time, self._end - 1)
        return bool(kept)
