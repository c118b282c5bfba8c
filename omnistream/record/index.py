"""Where the chunks of an MCAP file lie: from its index, or by walking it where the index is missing or damaged.

Every length in the file is checked against the file's size before it is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any
from zlib import crc32

import zstandard
from mcap.exceptions import McapError
from mcap.records import Attachment, Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from omnistream.errors import RecordingError
from omnistream.record.unpack import summary_of, unpacked

__all__ = ["BROKEN", "MAGIC", "ChunkAt", "Index", "read_attachment", "read_index", "record_at", "records_of"]

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
    if summary is None or summary.statistics is None:
        raise ValueError("no index")
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
    index = Index()
    at = len(MAGIC)
    messages = 0
    try:
        while at + _HEAD.size <= size:
            file.seek(at)
            opcode, length = _HEAD.unpack(file.read(_HEAD.size))
            if at + _HEAD.size + length > size:
                break
            if opcode == 0x0F:  # DataEnd: what follows is the index
                break
            if opcode == 0x06:
                found = _scan_chunk(file, at, size, index)
                messages += found
            elif opcode == 0x0C:
                record: Metadata = record_at(file, at, size, Metadata)
                index.metadata[record.name] = record.metadata
            elif opcode == 0x09:
                index.attachments[record_at(file, at, size, Attachment).name] = at
            elif opcode == 0x05:
                raise RecordingError(f"{name} holds messages outside chunks; run 'mcap recover' on it first")
            at += _HEAD.size + length
    except BROKEN:
        pass  # what came before is whole, and `notice` says where it ends
    if not messages:
        raise RecordingError(f"{name} holds no message that can be read: {why} at byte {at} of {size}")
    index.notice = f"{name}: {why}; what is whole was read, up to byte {at} of {size}"
    return index


def _scan_chunk(file: IO[bytes], at: int, size: int, index: Index) -> int:
    channels: set[int] = set()
    stamps: list[int] = []
    new_channels: dict[int, Channel] = {}
    new_schemas: dict[int, Schema] = {}
    for record in records_of(file, at, size):
        if isinstance(record, Message):
            channels.add(record.channel_id)
            stamps.append(record.log_time)
        elif isinstance(record, Channel):
            new_channels[record.id] = record
        else:
            new_schemas[record.id] = record
    index.channels.update(new_channels)
    index.schemas.update(new_schemas)
    if stamps:
        index.chunks.append(ChunkAt(at, frozenset(channels)))
        index.see(min(stamps), max(stamps))
    return len(stamps)


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
