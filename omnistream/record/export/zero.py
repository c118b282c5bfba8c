"""Which moment of a recording is the beginning of what is made of it."""

from __future__ import annotations

from collections.abc import Sequence

from omnistream.errors import RecordingError
from omnistream.message import SECOND, AudioChunk, VideoFrame
from omnistream.record.playable import Playable

__all__ = ["check_length", "chosen", "first_of", "zero_ns"]

#: A recording that is longer has a stamp that is wrong, or fills the disk.
_LONGEST_NS = 24 * 3600 * SECOND


def zero_ns(file: Playable) -> int:
    """The first moment of picture or sound, so that a film and its captions, made one after the other, go together."""
    found: list[int] = []
    for topic, kinds in file.streams().items():
        if kinds & {VideoFrame, AudioChunk}:
            first = first_of(file, topic)
            if first is not None:
                found.append(first)
    return min(found, default=file.start_ns)


def first_of(file: Playable, topic: str) -> int | None:
    """When a stream begins: with the first sample of its first chunk, or its first frame."""
    first = next(file.messages(topic), None)
    if first is None:
        return None
    payload = first.payload
    return first.stamp_ns - payload.duration_ns if isinstance(payload, AudioChunk) else first.stamp_ns


def chosen(file: Playable, only: Sequence[str], kind: type) -> str | None:
    """The stream of a kind among those that were named, else the only one there is. Raises RecordingError for a choice."""
    held = file.streams()
    for name in only:
        if name not in held and f"{name}.out" not in held:
            raise RecordingError(f"{file.path} has no stream '{name}'; it has {', '.join(sorted(held)) or 'none'}")
    fitting = [t for t, kinds in sorted(held.items()) if kinds <= frozenset([kind])]
    if only:
        fitting = [t for t in fitting if t in only or t.removesuffix(".out") in only]
    if len(fitting) > 1:
        raise RecordingError(f"{file.path} has several streams of {kind.__name__}: name one with --only: {', '.join(fitting)}")
    return fitting[0] if fitting else None


def check_length(file: Playable, since_ns: int, until_ns: int) -> None:
    """Raises RecordingError where no film or sound can be so long."""
    if until_ns - since_ns > _LONGEST_NS:
        hours = (until_ns - since_ns) / SECOND / 3600
        raise RecordingError(f"{file.path} spans {hours:.0f} hours; cut a part of it first ('omnistream record cut')")
