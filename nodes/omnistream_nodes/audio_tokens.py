"""Sound -> what the ears make of it, as features for a reasoner that reads sound itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import MS, AudioChunk, Features
from omnistream.node import Context, Node
from omnistream_nodes.audio_time import Frames, Intake
from omnistream_nodes.transcribing import PATCH_SAMPLES
from omnistream_nodes.voice_model import RATE_HZ

if TYPE_CHECKING:
    from omnistream_models.ears.runtime import EarlyEars

__all__ = ["AudioTokens"]

_STEP_MS = 20


@dataclass(kw_only=True)
class AudioTokens(Node):
    """16 kHz mono chunks -> features, (every_ms / 20, D) float32: a row for each 20 ms, of the ears of `spoken_commands`.

    A tensor is told with the chunk that fills it, so its last row ends at the message's stamp or less than a chunk before. Rows
    depend on the samples alone, however they are cut into chunks, and on nothing after them. A gap of 40 ms or less is stood
    in for by silence; behind a longer one the ears begin anew, and rows that fill no tensor are left out (``audio_gap``).

    `every_ms`: a multiple of 20. `ears`: a folder of trained ears, or ``shipped``: convolutions or a conformer. D is 192 for
    those that `omnistream train ears` makes.

    ```yaml
    graph: hears
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap, stream: mic}}
      tokens: {use: audio_tokens, inputs: {audio: mic}}
      show: {use: console, inputs: {message: tokens}}
    ```
    """

    blocking: ClassVar[bool] = True
    inexact = {"data": 5e-3}

    ears: str = "shipped"
    every_ms: int = 200

    def __post_init__(self) -> None:
        if self.every_ms % _STEP_MS or not _STEP_MS <= self.every_ms <= 2000:
            raise GraphError(f"audio_tokens: every_ms is {self.every_ms}; write a multiple of 20 from 20 to 2000, such as 200")

    async def open(self, ctx: Context) -> None:
        from omnistream_models.ears.runtime import STEP, EarlyEars

        self._ears: EarlyEars = EarlyEars(self.ears, ctx.threads)
        self._intake = Intake(ctx, RATE_HZ)
        self._steps = Frames(STEP)
        self._rows: list[np.ndarray] = []

    async def step(self, audio: AudioChunk) -> AsyncIterator[Features]:
        missing = self._intake.missing(audio)
        if missing is None:
            return
        if missing:
            for features in self._gap(missing):
                yield features
        self._intake.take(audio, anew=bool(missing))
        for features in self._hear(audio.samples):
            yield features

    def _hear(self, samples: np.ndarray) -> Iterator[Features]:
        for step in self._steps.push(samples):
            self._rows.append(self._ears.hear(step)[1])
            if len(self._rows) * _STEP_MS == self.every_ms:
                yield Features(np.concatenate(self._rows), _STEP_MS * MS)
                self._rows = []

    def _gap(self, missing: int) -> Iterator[Features]:
        if 0 < missing <= PATCH_SAMPLES:
            self._intake.timeline.skip(missing)
            yield from self._hear(np.zeros(missing, np.int16))
        else:
            self._ears.reset()
            self._steps.clear()
            self._rows = []
