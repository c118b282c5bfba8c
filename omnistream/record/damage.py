"""Whether every byte of an MCAP file that matters is right, and if not, where that ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcap.records import Channel, Chunk, Schema
from mcap.summary import Summary

from omnistream.errors import RecordingError
from omnistream.message import SECOND
from omnistream.record.index import BROKEN, MAGIC, Walk
from omnistream.record.unpack import summary_of

__all__ = ["Damage", "find_damage"]


@dataclass(frozen=True, slots=True)
class Damage:
    """What is whole of a file of `size` bytes ends `at` a byte. `until_ns` is the last stamp before it, `end_ns` the last there
    was, as far as the file's index can say (else None)."""

    at: int
    size: int
    why: str
    start_ns: int
    until_ns: int
    end_ns: int | None
    messages: int

    def told(self, file: str) -> str:
        """What is wrong, and what is not in a copy up to there."""
        if not self.at:
            return f"the index of {file} is damaged ({self.why}); no message is missing"
        last = (self.until_ns - self.start_ns) / SECOND
        to = f" to {(self.end_ns - self.start_ns) / SECOND:.3f} s" if self.end_ns and self.end_ns > self.until_ns else ""
        return (
            f"{file} {self.why} at byte {self.at} of {self.size}: what comes behind was left out, {self.size - self.at} bytes, "
            f"from {last:.3f} s{to} after its first message"
        )


def find_damage(path: Path) -> Damage | None:
    """None where every chunk, every record and the index are right. Raises RecordingError for what is no MCAP file."""
    try:
        with path.open("rb") as file:
            return _look(file, path)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}); name a recording (.mcap)") from None


def _look(file: IO[bytes], path: Path) -> Damage | None:
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise RecordingError(f"{path} {'is empty' if not size else 'is not an MCAP recording'}, and cannot be recovered")
    walk = Walk(file, size)
    chunks: dict[int, frozenset[int]] = {}
    heads: dict[int, Channel] = {}
    schemas: dict[int, Schema] = {}
    first, last, messages = 1 << 62, 0, 0
    for part in walk:
        if isinstance(part.record, Chunk) and part.seen:
            chunks[part.at] = frozenset(part.seen)
            first, last = min(first, part.record.message_start_time), max(last, part.record.message_end_time)
            messages += sum(map(len, part.seen.values()))
        heads |= part.channels
        schemas |= part.schemas
    if walk.is_loose:
        raise RecordingError(f"{path} holds messages outside chunks; run 'mcap recover' on it")
    try:
        summary, fault = summary_of(file, size), ""
    except BROKEN as error:
        summary, fault = None, (str(error) or type(error).__name__)[:120]
    first = min(first, last)
    end = summary.statistics.message_end_time if summary is not None and summary.statistics is not None else None
    if not walk.has_ended:
        why = f"is damaged ({walk.why})" if walk.why else "breaks off"
        return Damage(walk.at, size, why, first, last, end, messages)
    if summary is None or not _agrees(summary, chunks, heads, schemas, messages):
        return Damage(0, size, fault or "it is not that of the file", first, last, last, messages)
    return None


def _agrees(
    summary: Summary, chunks: dict[int, frozenset[int]], heads: dict[int, Channel], schemas: dict[int, Schema], messages: int
) -> bool:
    """Whether an index is that of the file; messages of chunks whose own indexes were never written count as there."""
    found = {c.chunk_start_offset: frozenset(c.message_index_offsets) for c in summary.chunk_indexes}
    return (
        all(found.get(at) in (channels, frozenset()) for at, channels in chunks.items())
        and summary.channels | heads == summary.channels
        and summary.schemas | schemas == summary.schemas
        and summary.statistics is not None
        and summary.statistics.message_count == messages
    )
