"""Where the chunks of an MCAP file lie: from its index, or by walking it where the index is missing or damaged.

Every length in the file is checked against the file's size before it is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any
from zlib import crc32

import zstandard
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, DataEnd, Header, Message, MessageIndex, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from omnistream.errors import RecordingError
from omnistream.record.unpack import summary_of, unpacked

__all__ = [
    "BROKEN", "MAGIC", "ChunkAt", "Index", "Part", "Walk",
    "read_attachment", "read_index", "record_at", "records_of",
]  # fmt: skip

#: What reading damaged bytes may raise: mcap's own errors, and those of struct, zstd, LZ4 and UTF-8 beneath it.
BROKEN = (
    McapError,
    OSError,
    ValueError,
    struct.error,
    zstandard.ZstdError,
    RuntimeError,
    OverflowError,
    MemoryError,
    KeyError,
    IndexError,
)

#: The first and last bytes of an MCAP file.
MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<BQHIQQ")
#: What may stand in the data of a file, outside its chunks.
_KINDS: dict[int, type[Any]] = {
    Opcode.HEADER: Header, Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel, Opcode.CHUNK: Chunk,
    Opcode.MESSAGE_INDEX: MessageIndex, Opcode.ATTACHMENT: Attachment, Opcode.METADATA: Metadata, Opcode.DATA_END: DataEnd,
}  # fmt: skip
#: From here on kinds are anybody's own.
_PRIVATE = 0x80


@dataclass(frozen=True, slots=True)
class ChunkAt:
    """A chunk's place in the file and the channels that have messages in it."""

    offset: int
    channels: frozenset[int]


@dataclass(slots=True)
class Index:
    """A file's contents without its messages. `notice` says in a sentence that its end is missing, else it is empty."""

    chunks: list[ChunkAt] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)
    schemas: dict[int, Schema] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    attachments: dict[str, int] = field(default_factory=dict)
    first_ns: int | None = None
    end_ns: int | None = None
    notice: str = ""

    def see(self, start_ns: int, end_ns: int) -> None:
        self.first_ns = start_ns if self.first_ns is None else min(self.first_ns, start_ns)
        self.end_ns = end_ns if self.end_ns is None else max(self.end_ns, end_ns)


def read_index(file: IO[bytes], name: str) -> Index:
    """Raises RecordingError where `file` is no MCAP file, or not one whole chunk of it can be read."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        found = "is empty" if size == 0 else "is not an MCAP recording"
        raise RecordingError(f"{name} {found}; record one with 'omnistream run --record FILE.mcap'")
    sealed = False
    try:
        file.seek(max(0, size - len(MAGIC)))
        sealed = size > 2 * len(MAGIC) and file.read() == MAGIC
        if sealed:
            return _from_summary(file, size)
    except BROKEN:
        pass  # the index is damaged: the file itself may be whole, so walk it
    return _walk(file, size, name, "its index is damaged" if sealed else "it breaks off")


def _from_summary(file: IO[bytes], size: int) -> Index:
    summary = summary_of(file, size)
    assert summary.statistics is not None
    if summary.statistics.message_count and not summary.chunk_indexes:
        raise ValueError("no chunks")
    index = Index(channels=dict(summary.channels), schemas=dict(summary.schemas))
    for c in sorted(summary.chunk_indexes, key=lambda c: c.chunk_start_offset):
        index.chunks.append(ChunkAt(c.chunk_start_offset, frozenset(c.message_index_offsets)))
        index.see(c.message_start_time, c.message_end_time)
    for m in summary.metadata_indexes:
        record: Metadata = record_at(file, m.offset, size, Metadata)
        index.metadata[record.name] = record.metadata
    for a in summary.attachment_indexes:
        index.attachments[a.name] = a.offset
    return index


def _walk(file: IO[bytes], size: int, name: str, why: str) -> Index:
    """Read all whole chunks from the head on, up to the end or the first damage."""
    index, walk = Index(), Walk(file, size)
    messages = 0
    for part in walk:
        if isinstance(part.record, Chunk):
            index.channels.update(part.channels)
            index.schemas.update(part.schemas)
            if part.seen:
                index.chunks.append(ChunkAt(part.at, frozenset(part.seen)))
                index.see(part.record.message_start_time, part.record.message_end_time)
            messages += sum(map(len, part.seen.values()))
        elif isinstance(part.record, Metadata):
            index.metadata[part.record.name] = part.record.metadata
        elif isinstance(part.record, Attachment):
            index.attachments[part.record.name] = part.at
    if walk.is_loose and not messages:
        raise RecordingError(f"{name} holds messages outside chunks; run 'mcap recover' on it first")
    if walk.why:
        why = f"it is damaged ({walk.why})"
    if not messages:
        raise RecordingError(f"{name} holds no message that can be read: {why} at byte {walk.at} of {size}")
    index.notice = f"{name}: {why}; what is whole was read, up to byte {walk.at} of {size}"
    return index


def records_of(file: IO[bytes], offset: int, size: int) -> Iterator[Message | Channel | Schema]:
    """The records of the chunk at `offset`, its checksum checked. Raises one of `BROKEN`."""
    chunk: Chunk = record_at(file, offset, size, Chunk)
    data = unpacked(chunk)
    plain = Chunk("", data, chunk.message_end_time, chunk.message_start_time, 0, len(data))
    yield from breakup_chunk(plain)  # type: ignore[misc]


def read_attachment(file: IO[bytes], offset: int, size: int) -> bytes:
    """The bytes of the attachment at `offset`. Raises one of `BROKEN`."""
    found: Attachment = record_at(file, offset, size, Attachment)
    file.seek(offset)
    _, length = _HEAD.unpack(file.read(_HEAD.size))
    body, said = file.read(length - 4), int.from_bytes(file.read(4), "little")
    if said and crc32(body) != said:
        raise ValueError("its checksum is another")
    return found.data


def record_at(file: IO[bytes], offset: int, size: int, kind: type[Any]) -> Any:
    """The record at `offset`, which must be a `kind`."""
    if not 0 <= offset < size:
        raise ValueError("a place outside the file")
    file.seek(offset)
    reader = StreamReader(file, skip_magic=True, emit_chunks=True, record_size_limit=size - offset)
    record = next(reader.records, None)
    if not isinstance(record, kind):
        raise ValueError(f"a {type(record).__name__} where a {kind.__name__} should be")
    return record


@dataclass(frozen=True, slots=True)
class Part:
    """A record that is whole and right, `length` with its head; of a chunk also what is in it: places by channel, heads."""

    at: int
    length: int
    record: Any
    data: bytes = b""
    seen: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    schemas: dict[int, Schema] = field(default_factory=dict)


class Walk:
    """The records of a file's data, up to its end (`has_ended`) or the first that is not whole and right.

    `at` is how far that is. `why` says what is damaged there; it is empty where the file breaks off, or the data ends.
    What is passed over would not be missed by anybody, so a kind that nobody knows is damage, too.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.at, self.why = len(MAGIC), ""
        self.has_ended = self.is_loose = False
        self._is_ours = False
        self._known: set[int] = set()
        self._due: dict[int, list[tuple[int, int]]] = {}  # of the last chunk: whose indexes have not come yet

    def __iter__(self) -> Iterator[Part]:
        try:
            while (part := self._next()) is not None:
                yield part
                self.at = part.at + part.length
        except BROKEN as error:
            self.why = (str(error) or type(error).__name__)[:120]

    def _next(self) -> Part | None:
        at = self.at
        if at + _HEAD.size > self._size:
            return None
        self._file.seek(at)
        opcode, length = _HEAD.unpack(self._file.read(_HEAD.size))
        length += _HEAD.size
        if at == len(MAGIC) and opcode != Opcode.HEADER:
            raise ValueError("it has no head")
        if self._is_ours and self._due and opcode != Opcode.MESSAGE_INDEX:
            raise ValueError("the index of a chunk is missing")
        if opcode not in _KINDS and (opcode < _PRIVATE or self._is_ours):
            self.is_loose = opcode == Opcode.MESSAGE
            raise ValueError("a message outside a chunk" if self.is_loose else f"a record of no known kind, {opcode:#04x}")
        if at + length > self._size:
            return None
        if opcode >= _PRIVATE:
            return Part(at, length, None)
        record = record_at(self._file, at, self._size, _KINDS[opcode])
        if _length_of(record) != length:
            raise ValueError(f"a {type(record).__name__} of another length than it says")
        match record:
            case DataEnd():
                self.has_ended = True
                return None
            case Header():
                if at != len(MAGIC):
                    raise ValueError("a second head")
                self._is_ours = record.library.startswith("omnistream")
            case Channel():
                self._known.add(record.id)
            case Chunk():
                part = self._chunk(at, length, record)
                self._due = dict(part.seen)
                return part
            case MessageIndex():
                if record.records and sorted(record.records) != sorted(self._due.pop(record.channel_id, [])):
                    raise ValueError("the index of a chunk is not that of its messages")
            case Attachment():
                read_attachment(self._file, at, self._size)
            case _:
                pass
        return Part(at, length, record)

    def _chunk(self, at: int, length: int, chunk: Chunk) -> Part:
        data = unpacked(chunk)
        part = Part(at, length, chunk, data)
        place = 0
        while place < len(data):
            opcode, size = _HEAD.unpack_from(data, place)
            end = place + _HEAD.size + size
            if end > len(data):
                raise ValueError("a chunk that breaks off")
            if opcode == Opcode.MESSAGE:
                _, _, channel, _, stamp, _ = _MESSAGE.unpack_from(data, place)
                if channel not in self._known:
                    raise ValueError("a message of no channel")
                part.seen.setdefault(channel, []).append((stamp, place))
            elif opcode in (Opcode.CHANNEL, Opcode.SCHEMA):
                self._head(part, opcode, data[place + _HEAD.size : end])
            elif opcode < _PRIVATE or self._is_ours:
                raise ValueError(f"a record of no known kind in a chunk, {opcode:#04x}")
            place = end
        stamps = [stamp for entries in part.seen.values() for stamp, _ in entries]
        if stamps and (min(stamps), max(stamps)) != (chunk.message_start_time, chunk.message_end_time):
            raise ValueError("a chunk of other times than it says")
        return part

    def _head(self, part: Part, opcode: int, data: bytes) -> None:
        stream = ReadDataStream(BytesIO(data))
        if opcode == Opcode.CHANNEL:
            channel = Channel.read(stream)
            part.channels[channel.id] = channel
            self._known.add(channel.id)
        else:
            schema = Schema.read(stream)
            part.schemas[schema.id] = schema


def _length_of(record: Any) -> int:
    """How long a record with these contents is, with its head."""
    if isinstance(record, (Chunk, Attachment)):  # which are large
        kind = record.compression if isinstance(record, Chunk) else record.name + record.media_type
        fixed = 40 if isinstance(record, Chunk) else 36
        return _HEAD.size + fixed + len(kind.encode()) + len(record.data)
    builder = RecordBuilder()
    record.write(builder)
    return len(builder.end())
