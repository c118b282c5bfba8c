"""Listening that does not wait for silence: the ears propose a phrase as it ends, the recognizer weighs it, and it is said.

What the ears do not propose, or the recognizer does not agree with, is left to the listener beneath, which waits for silence
and reads the words: so a phrase that no ears were trained for is understood all the same, only later.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_nodes.audio_time import Frames
from omnistream_nodes.early_choice import Candidate, Decider, Limits, Verdict, judge
from omnistream_nodes.listening import Heard, Listener
from omnistream_nodes.moonshine import Moonshine
from omnistream_nodes.voice_model import RATE_HZ

__all__ = ["EarlyListener"]

#: A phrase is told before its last sound has died away: what is heard so soon behind it and is so short is the rest of it.
_REST_WITHIN, _REST_LENGTH = (RATE_HZ * ms // 1000 for ms in (160, 400))


class EarlyListener:
    """One stream of hops -> what was said. A function of the samples alone."""

    def __init__(self, listener: Listener, ears: EarlyEars, decider: Decider, model: Moonshine | None, limits: Limits) -> None:
        """Without `model` the ears are believed alone."""
        self._listener = listener
        self._ears = ears
        self._decider = decider
        self._model = model
        self._limits = limits
        self._steps = Frames(STEP)
        self._closed = -_REST_WITHIN
        self._begin()

    def hear(self, hop: np.ndarray, *, partials: bool = True) -> Iterator[Heard]:
        """One more hop of (128,) int16; as `Listener.hear`."""
        heard = self._listener.hear(hop, partials=partials, told=self._verdict is not None)
        yield from (h for h in heard if not self._is_rest(h))
        if self._listener.now.began:
            self._begin()
        for step in self._steps.push(hop):
            probabilities = self._ears.step(step)
            if not self._listener.speaking:
                continue
            self._verdict = self._think(self._decider.step(probabilities))
            if self._verdict is not None and self._decider.ripe(self._verdict.candidate.phrase):
                self._closed = self._listener.now.end
                yield self._listener.close(self._verdict.candidate.phrase.text, self._verdict.confidence)
                self._begin()
                break

    def lost(self, sample: int) -> Iterator[Heard]:
        """Sound was lost; as `Listener.lost`."""
        self._steps.clear()
        self._ears.reset()
        self._begin()
        yield from self._listener.lost(sample)

    def _begin(self) -> None:
        """A new utterance."""
        self._decider.reset()
        self._verdict: Verdict | None = None

    def _is_rest(self, heard: Heard) -> bool:
        """Whether this is but the end of what has been told already."""
        return heard.start - self._closed < _REST_WITHIN and heard.end - heard.start < _REST_LENGTH

    def _think(self, candidates: list[Candidate]) -> Verdict | None:
        """The recognizer is asked at once, so as to be done when the ears have heard enough; its word on a phrase holds for as
        long as that is the likeliest."""
        if not candidates:
            return None
        if self._verdict is not None and self._verdict.candidate.phrase is candidates[0].phrase:
            return self._verdict
        return self._weigh(candidates) if self._decider.may_ask() else None

    def _weigh(self, candidates: list[Candidate]) -> Verdict | None:
        if self._model is None:
            best = candidates[0]
            return Verdict(best, round(0.5 + 0.5 * min(1.0, best.probability), 3))
        margins = self._model.weigh(self._listener.sound(), [c.phrase.text for c in candidates])
        return judge(candidates, margins, self._limits)
