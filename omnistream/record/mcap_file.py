"""An MCAP file as it is written: chunk by chunk, each by one system call, so that whatever dies leaves whole chunks; and
a file that broke off is taken up again where it is whole.

Source: the MCAP specification (mcap.dev/spec). The records are those of the `mcap` package, whose own writer cannot go on
with a file that is there.
"""

from __future__ import annotations

import errno
import fcntl
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

from omnistream.record.index import MAGIC, Part, Walk, records_of

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
        self._path = Path(path)
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
    def end_ns(self) -> int:
        """The last stamp of a chunk that is written, or 0."""
        return max((c.message_end_time for c in self._chunks), default=0)

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

    def hold(self) -> None:
        """Keep the file locked while it is open, for whoever asks; where that cannot be, it is written without."""
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def place(self) -> Path | None:
        """Where the file is by now, if it has not been deleted."""
        there = os.fstat(self._fd)
        with suppress(OSError):
            if os.path.samestat(there, self._path.stat()):
                return self._path
        return Path(f"/proc/self/fd/{self._fd}").readlink() if there.st_nlink else None

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
        last: tuple[ChunkIndex, dict[int, list[tuple[int, int]]]] | None = None
        with open(self._fd, "rb", closefd=False) as file:
            end = min(os.fstat(self._fd).st_size, limit if limit is not None else 1 << 62)
            if file.read(len(MAGIC)) != MAGIC:
                raise OSError(errno.EINVAL, "it is not an MCAP file")
            self.size = len(MAGIC)
            for part in (walk := Walk(file, end)):
                if isinstance(part.record, MessageIndex):
                    if last is not None:
                        last[0].message_index_length += part.length
                        if part.record.records:
                            last[0].message_index_offsets[part.record.channel_id] = part.at
                    continue
                if last is not None and not _is_indexed(*last):
                    break
                self._remember_all(last)
                last = self._take(part)
                self.size = part.at + part.length
            self.size = walk.at if last is None or _is_indexed(*last) else last[0].chunk_start_offset + last[0].chunk_length
        os.ftruncate(self._fd, self.size)
        if last is not None and not _is_indexed(*last):
            last[0].message_index_offsets.clear()
            self._written(b"", *last)
        else:
            self._remember_all(last)

    def _remember_all(self, chunk: tuple[ChunkIndex, dict[int, list[tuple[int, int]]]] | None) -> None:
        if chunk is not None:
            self._remember(*chunk)

    def _take(self, part: Part) -> tuple[ChunkIndex, dict[int, list[tuple[int, int]]]] | None:
        """What a record brings; a chunk with the places of its messages in it."""
        at, length, record = part.at, part.length, part.record
        self.schemas |= part.schemas
        self.channels |= part.channels
        if isinstance(record, Schema):
            self.schemas[record.id] = record
        elif isinstance(record, Channel):
            self.channels[record.id] = record
        elif isinstance(record, Metadata):
            self._metadata.append(MetadataIndex(at, length, record.name))
        elif isinstance(record, Attachment):
            self._attachments.append(
                AttachmentIndex(
                    at, length, record.create_time, record.log_time, len(record.data), record.name, record.media_type
                )
            )
        elif isinstance(record, Chunk):
            first, last = record.message_start_time, record.message_end_time
            packed = len(record.data)
            return ChunkIndex(length, at, record.compression, packed, last, 0, {}, first, record.uncompressed_size), part.seen
        return None


def _is_indexed(index: ChunkIndex, seen: dict[int, list[tuple[int, int]]]) -> bool:
    """Whether the indexes of all of a chunk's messages have come."""
    return index.message_index_offsets.keys() == seen.keys()


def _bytes_of(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()
