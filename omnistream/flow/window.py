"""Window arithmetic (rule 8): [a, a + size) at multiples of `hop` since the epoch, and audio cut to the sample."""

from __future__ import annotations

from typing import Any

from omnistream.message import SECOND, AudioChunk, Message

__all__ = ["cut_audio", "first_end", "last_end_at", "window_ends"]


def first_end(x: int, size: int, hop: int) -> int:
    """The end of the earliest window that contains the stamp `x`, or that could still get it."""
    first_start = (x - size) // hop * hop + hop
    return first_start + size


def window_ends(first: int, last: int, size: int, hop: int) -> range:
    """The ends of every window that meets the closed span [first, last]."""
    return range(first_end(first, size, hop), last // hop * hop + size + 1, hop)


def last_end_at(t: int, size: int, hop: int) -> int:
    """The end of the newest window that ends at or before t + 1."""
    return (t + 1 - size) // hop * hop + size


def cut_audio(message: Message[AudioChunk], start_ns: int, end_ns: int) -> Message[AudioChunk]:
    """The part of a chunk whose samples begin in [start_ns, end_ns); the message itself where that is all of it."""
    chunk = message.payload
    count, rate = len(chunk.samples), chunk.rate_hz
    begin = message.stamp_ns - count * SECOND // rate
    low = min(count, max(0, -((begin - start_ns) * rate // SECOND)))
    high = min(count, max(0, -((begin - end_ns) * rate // SECOND)))
    if low == 0 and high == count:
        return message
    stamp = min(message.stamp_ns, end_ns - 1)
    part: Any = AudioChunk(chunk.samples[low:high], rate)
    first = begin + low * SECOND // rate
    return Message(
        message.stream, message.epoch, message.seq, message.origin, stamp,
        message.cause_ns, message.deadline_ns, message.lineage, part, first,
    )  # fmt: skip
