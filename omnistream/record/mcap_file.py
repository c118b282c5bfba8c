"""An MCAP file as it is written: chunk by chunk, each by one system call, so that whatever dies leaves whole chunks; and
a file that broke off is taken up again where it is whole.

Source: the MCAP specification (mcap.dev/spec). The records are those of the `mcap` package, whose own writer cannot go on
with a file that is there.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import lz4.frame
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.stream_reader import breakup_chunk

from omnistream.record.index import BROKEN, MAGIC, read_attachment, record_at, records_of
from omnistream.record.unpack import unpacked

__all__ = ["McapFile"]

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<BQHIQQ")
#: A file with fewer bytes than this is not worth taking up: it has no header.
_SMALLEST = len(MAGIC) + _RECORD.size


class McapFile:
    """`flush` gives what there is to the operating system; `finish` writes the index.

    With `resume` a file that is there is read up to its first damage, or to `size`; what follows is cut off, and writing
    goes on there. Raises OSError where the disk is full; the file then ends with its last whole chunk.
    """

    def __init__(self, path: str | Path, *, resume: bool = False, size: int | None = None) -> None:
        self.channels: dict[int, Channel] = {}
        self.schemas: dict[int, Schema] = {}
        self.messages = 0
        self._chunks: list[ChunkIndex] = []
        self._attachments: list[AttachmentIndex] = []
        self._metadata: list[MetadataIndex] = []
        self.counts: dict[int, int] = {}
        self._pieces: list[bytes] = []
        self._pending = 0
        self._seen: dict[int, list[tuple[int, int]]] = {}
        self.closed = False
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if resume else os.O_TRUNC)
        self._fd = os.open(path, flags, 0o644)
        self.size = 0
        try:
            if resume and os.fstat(self._fd).st_size >= _SMALLEST:
                self._take_up(size)
            else:
                os.ftruncate(self._fd, 0)
                self._put(MAGIC, _bytes_of(Header("", "omnistream")))
        except BaseException:
            os.close(self._fd)
            raise

    # -- writing -----------------------------------------------------------------------------------

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        """The number of a schema, which is written if it is new."""
        for known in self.schemas.values():
            if known.name == name:
                return known.id
        found = self.schemas[len(self.schemas) + 1] = Schema(len(self.schemas) + 1, data, encoding, name)
        self._hold(_bytes_of(found))
        return found.id

    def channel(self, topic: str, encoding: str, schema: int, metadata: dict[str, str]) -> int:
        """The number of a channel, which is written if it is new."""
        found = Channel(len(self.channels) + 1, topic, encoding, metadata, schema)
        for known in self.channels.values():
            if (known.topic, known.message_encoding, known.schema_id, known.metadata) == (topic, encoding, schema, metadata):
                return known.id
        self.channels[found.id] = found
        self._hold(_bytes_of(found))
        return found.id

    def add(self, channel: int, log_time: int, data: bytes, sequence: int) -> None:
        """A message; it is written with its chunk."""
        self._seen.setdefault(channel, []).append((log_time, self._pending))
        self._hold(_MESSAGE.pack(Opcode.MESSAGE, 22 + len(data), channel, sequence & 0xFFFFFFFF, log_time, log_time))
        self._hold(data)

    @property
    def pending(self) -> int:
        """Bytes that wait for their chunk to end."""
        return self._pending

    def attach(self, name: str, media_type: str, data: bytes) -> None:
        self.flush()
        written = _bytes_of(Attachment(create_time=0, log_time=0, name=name, media_type=media_type, data=data))
        at = self._put(written)
        self._attachments.append(AttachmentIndex(at, len(written), 0, 0, len(data), name, media_type))

    def metadata(self, name: str, values: dict[str, str]) -> None:
        self.flush()
        written = _bytes_of(Metadata(name=name, metadata=values))
        at = self._put(written)
        self._metadata.append(MetadataIndex(at, len(written), name))

    def flush(self) -> None:
        """End the chunk, if one has begun."""
        if not self._pieces:
            return
        data = b"".join(self._pieces)
        times = [t for entries in self._seen.values() for t, _ in entries]
        first, last = min(times, default=0), max(times, default=0)
        packed = lz4.frame.compress(data)
        chunk = _bytes_of(Chunk("lz4", packed, last, first, crc32(data), len(data)))
        self._written(chunk, ChunkIndex(len(chunk), 0, "lz4", len(packed), last, 0, {}, first, len(data)), self._seen)
        self._pieces, self._pending, self._seen = [], 0, {}

    def _written(self, chunk: bytes, index: ChunkIndex, seen: dict[int, list[tuple[int, int]]]) -> None:
        """Write a chunk and what is in it, and remember both. `chunk` is empty where it is in the file already."""
        entries = {channel: _bytes_of(MessageIndex(channel, records)) for channel, records in seen.items()}
        index.message_index_length = sum(map(len, entries.values()))
        at = self._put(chunk, *entries.values()) + len(chunk)
        if chunk:
            index.chunk_start_offset = at - len(chunk)
        for channel, entry in entries.items():
            index.message_index_offsets[channel] = at
            at += len(entry)
        self._remember(index, seen)

    def _remember(self, index: ChunkIndex, seen: dict[int, list[tuple[int, int]]]) -> None:
        if not seen:  # schemas and channels alone are found again in the summary
            return
        self._chunks.append(index)
        for channel, records in seen.items():
            self.counts[channel] = self.counts.get(channel, 0) + len(records)
            self.messages += len(records)

    def _hold(self, data: bytes) -> None:
        self._pieces.append(data)
        self._pending += len(data)

    def _put(self, *data: bytes) -> int:
        """Append all of it or nothing; the place."""
        at, wanted = self.size, sum(map(len, data))
        try:
            if os.writev(self._fd, data) != wanted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, at)
            raise
        self.size += wanted
        return at

    def backwards(self) -> Iterator[tuple[Channel, Message]]:
        """The messages that were written, the last one first."""
        with os.fdopen(os.dup(self._fd), "rb") as file:
            for chunk in reversed(self._chunks):
                for record in reversed([*records_of(file, chunk.chunk_start_offset, self.size)]):
                    if isinstance(record, Message):
                        yield self.channels[record.channel_id], record

    # -- the end -----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the index, and close the file. Raises OSError where it cannot be written; the file is closed then, too."""
        if self.closed:
            return
        try:
            self.flush()
            self._put(_bytes_of(DataEnd(0)), *self._summary(self.size + len(_bytes_of(DataEnd(0)))), MAGIC)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without an index. Idempotent."""
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def _summary(self, start: int) -> tuple[bytes, bytes]:
        times = [(c.message_start_time, c.message_end_time) for c in self._chunks]
        first, last = min((t for t, _ in times), default=0), max((t for _, t in times), default=0)
        statistics = Statistics(
            len(self._attachments), len(self.channels), self.counts, len(self._chunks), self.messages,
            last, first, len(self._metadata), len(self.schemas),
        )  # fmt: skip
        groups: list[tuple[Opcode, list[Any]]] = [
            (Opcode.SCHEMA, list(self.schemas.values())),
            (Opcode.CHANNEL, list(self.channels.values())),
            (Opcode.STATISTICS, [statistics]),
            (Opcode.CHUNK_INDEX, self._chunks),
            (Opcode.ATTACHMENT_INDEX, self._attachments),
            (Opcode.METADATA_INDEX, self._metadata),
        ]
        body, offsets = b"", b""
        for opcode, records in groups:
            group = b"".join(map(_bytes_of, records))
            offsets += _bytes_of(SummaryOffset(opcode, start + len(body), len(group)))
            body += group
        head = _RECORD.pack(Opcode.FOOTER, 20) + struct.pack("<QQ", start, start + len(body))
        return body + offsets, _bytes_of(Footer(start, start + len(body), crc32(head, crc32(body + offsets))))

    # -- taking up ---------------------------------------------------------------------------------

    def _take_up(self, limit: int | None) -> None:
        """Find what is whole, and cut off the rest."""
        with open(self._fd, "rb", closefd=False) as file:
            end = min(os.fstat(self._fd).st_size, limit if limit is not None else 1 << 62)
            if file.read(len(MAGIC)) != MAGIC:
                raise OSError(errno.EINVAL, "it is not an MCAP file")
            self.size = len(MAGIC)
            redo: tuple[ChunkIndex, dict[int, list[tuple[int, int]]]] | None = None
            with suppress(*BROKEN):
                for opcode, at, length in _records(file, self.size, end):
                    if opcode == Opcode.DATA_END:
                        break
                    if opcode == Opcode.MESSAGE_INDEX:
                        continue
                    redo = None
                    if opcode == Opcode.CHUNK:
                        redo = self._take_chunk(file, at, length, end)
                        if redo[0].message_index_length or not redo[1]:
                            self._remember(*redo)
                            length, redo = length + redo[0].message_index_length, None
                    else:
                        self._take_record(file, opcode, at, length, end)
                    self.size = at + length
                    if redo is not None:
                        break
        os.ftruncate(self._fd, self.size)
        if redo is not None:
            self._written(b"", *redo)

    def _take_record(self, file: Any, opcode: int, at: int, length: int, end: int) -> None:
        if opcode == Opcode.METADATA:
            self._metadata.append(MetadataIndex(at, length, record_at(file, at, end, Metadata).name))
        elif opcode == Opcode.ATTACHMENT:
            data = read_attachment(file, at, end)
            a: Attachment = record_at(file, at, end, Attachment)
            self._attachments.append(AttachmentIndex(at, length, 0, 0, len(data), a.name, a.media_type))

    def _take_chunk(self, file: Any, at: int, length: int, end: int) -> tuple[ChunkIndex, dict[int, list[tuple[int, int]]]]:
        """A chunk and the places of its messages in it; `message_index_length` is 0 where its index has to be written anew."""
        chunk: Chunk = record_at(file, at, end, Chunk)
        data = unpacked(chunk)
        seen: dict[int, list[tuple[int, int]]] = {}
        place = 0
        while place < len(data):
            opcode, size = _RECORD.unpack_from(data, place)
            if opcode == Opcode.MESSAGE:
                _, _, channel, _, stamp, _ = _MESSAGE.unpack_from(data, place)
                seen.setdefault(channel, []).append((stamp, place))
            place += _RECORD.size + size
        for record in _heads(chunk, data):
            (self.schemas if isinstance(record, Schema) else self.channels)[record.id] = record  # type: ignore[assignment]
        index = ChunkIndex(
            length, at, chunk.compression, len(chunk.data), chunk.message_end_time, 0, {}, chunk.message_start_time, len(data)
        )
        for opcode, place, size in _records(file, at + length, end):
            if opcode != Opcode.MESSAGE_INDEX:
                break
            entry: MessageIndex = record_at(file, place, end, MessageIndex)
            if sorted(entry.records) != sorted(seen.get(entry.channel_id, [])):
                break
            if entry.records:
                index.message_index_offsets[entry.channel_id] = place
            index.message_index_length += size
        if index.message_index_offsets.keys() != seen.keys():
            index.message_index_offsets, index.message_index_length = {}, 0
        return index, seen


def _records(file: Any, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(opcode, place, length with its head) of the records that are whole by their length."""
    while at + _RECORD.size <= end:
        file.seek(at)
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        length += _RECORD.size
        if at + length > end:
            return
        yield opcode, at, length
        at += length


def _heads(chunk: Chunk, data: bytes) -> Iterator[Schema | Channel]:
    """The schemas and channels in a chunk's `data`."""
    for record in breakup_chunk(Chunk("", data, chunk.message_end_time, chunk.message_start_time, 0, len(data))):
        if isinstance(record, (Schema, Channel)):
            yield record


def _bytes_of(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()
