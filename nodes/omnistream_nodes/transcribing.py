"""Chunks of sound -> transcripts in event time, through whatever listens hop by hop; gaps are patched or begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from omnistream.message import AudioChunk, Transcript
from omnistream.node import Context
from omnistream_nodes.audio_time import Frames, Intake
from omnistream_nodes.endpointing import HOP
from omnistream_nodes.listening import Heard
from omnistream_nodes.voice_model import RATE_HZ

__all__ = ["PATCH_SAMPLES", "Transcriber"]

#: Sound lost in a stretch as short as this is stood in for by silence.
PATCH_SAMPLES = RATE_HZ * 40 // 1000


class _Listening(Protocol):
    def hear(self, hop: np.ndarray, *, partials: bool = True) -> Iterator[Heard]: ...

    def lost(self, sample: int) -> Iterator[Heard]: ...


class Transcriber:
    """The way into a node that listens, and out of it: only the samples and their times decide, however they are cut."""

    def __init__(self, ctx: Context, listener: _Listening, lang: str) -> None:
        self._listener = listener
        self._lang = lang
        self._intake = Intake(ctx, RATE_HZ)
        self._hops = Frames(HOP)

    def hear(self, audio: AudioChunk, *, partials: bool = True) -> Iterator[Transcript]:
        """What is known with this chunk, which ends at `ctx.now`."""
        missing = self._intake.missing(audio)
        if missing is None:
            return
        if missing:
            for heard in self._gap(missing, partials):
                yield self._transcript(heard)
        self._intake.take(audio, anew=bool(missing))
        for hop in self._hops.push(audio.samples):
            for heard in self._listener.hear(hop, partials=partials):
                yield self._transcript(heard)

    def _gap(self, missing: int, partials: bool) -> Iterator[Heard]:
        """Fill a short gap with silence; begin anew behind a long one."""
        if 0 < missing <= PATCH_SAMPLES:
            self._intake.timeline.skip(missing)
            for hop in self._hops.push(np.zeros(missing, np.int16)):
                yield from self._listener.hear(hop, partials=partials)
        else:
            self._hops.clear()
            yield from self._listener.lost(self._intake.timeline.count)

    def _transcript(self, heard: Heard) -> Transcript:
        return Transcript(
            text=heard.text,
            final=heard.final,
            utterance=heard.utterance,
            rev=heard.rev,
            start_ns=self._intake.timeline.time_ns(heard.start),
            end_ns=self._intake.timeline.time_ns(heard.end),
            confidence=heard.confidence,
            lang=self._lang,
        )
