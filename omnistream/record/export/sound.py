"""The chunks of a stream of sound as one sound, its samples where their stamps say; and as a WAV file."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND, AudioChunk
from omnistream.record.export.zero import check_length, chosen, zero_ns
from omnistream.record.playable import Playable

__all__ = ["export_wav", "rate_of", "samples"]

#: Chunks whose stamps are so near to where counting puts them follow without a seam.
_SEAM_NS = 5 * MS
_MOST_BYTES = (1 << 32) - 1024


def rate_of(file: Playable, topic: str) -> int:
    first = next(file.messages(topic), None)
    if first is None or not isinstance(first.payload, AudioChunk):
        raise RecordingError(f"{file.path}: '{topic}' holds no sound")
    return first.payload.rate_hz


def samples(file: Playable, topic: str, zero: int, rate_hz: int) -> Iterator[np.ndarray]:
    """int16 samples from `zero` on without a gap: silence where there is no sound, and nothing twice.

    A chunk is stamped at its end. Raises RecordingError where the rate changes.
    """
    done = 0  # samples so far
    for message in file.messages(topic):
        chunk = message.payload
        assert isinstance(chunk, AudioChunk)
        if chunk.rate_hz != rate_hz:
            raise RecordingError(f"{file.path}: '{topic}' changes its rate from {rate_hz} to {chunk.rate_hz} Hz; cut it there")
        start = message.stamp_ns - chunk.duration_ns - zero
        check_length(file, 0, start)
        heard = chunk.samples
        apart = start - done * SECOND // rate_hz
        if apart > _SEAM_NS:
            missing = round(apart * rate_hz / SECOND)
            done += missing
            while missing > 0:
                yield np.zeros(min(missing, rate_hz), np.int16)
                missing -= rate_hz
        elif apart < -_SEAM_NS:
            heard = heard[round(-apart * rate_hz / SECOND) :]
        done += len(heard)
        if len(heard):
            yield heard


def export_wav(file: Playable, out: Path, only: tuple[str, ...] = ()) -> float:
    """A stream of sound as a WAV file that begins where a film of the recording would; its length in seconds."""
    topic = chosen(file, only, AudioChunk)
    if topic is None:
        raise RecordingError(f"{file.path} has no sound; it has {', '.join(sorted(file.streams())) or 'no streams'}")
    rate, zero, written = rate_of(file, topic), zero_ns(file), 0
    with out.open("xb") as target, wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        for block in samples(file, topic, zero, rate):
            written += len(block)
            if 2 * written > _MOST_BYTES:
                raise RecordingError(f"{file.path} is too long for a WAV file (4 GiB); cut it first ('omnistream record cut')")
            sound.writeframesraw(np.ascontiguousarray(block, "<i2").tobytes())
    return written / rate
