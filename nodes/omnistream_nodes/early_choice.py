"""When the ears' word is enough to ask the recognizer, and when both are enough to act: no sound, no models, only figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.grammar import Grammar, Phrase

__all__ = ["Candidate", "Decider", "Limits", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a phrase before it is believed; chosen on voices that are neither trained on nor reserved for tests.

    `ask`: the ears' probability that some phrase has ended from which the recognizer is asked, `ask_urgent` for urgent intents,
    for `steps` of 20 ms in a row. By how much a phrase may stand below what the recognizer would write (a logarithm):
    `margin_least` where the ears' probability is no more than `doubtful`, up to `margin` where it is `sure`. `weight`: what
    that counts against the logarithm of the ears' probability. `again`: steps before the recognizer is asked again about an
    utterance, `most` the number of times. From a probability of `alone` on the ears are believed without the recognizer.
    """

    ask: float = 0.5
    ask_urgent: float = 0.4
    steps: int = 1
    margin_least: float = 2.0
    margin: float = 12.0
    doubtful: float = 0.5
    sure: float = 0.95
    weight: float = 0.5
    again: int = 1
    most: int = 8
    alone: float = 1.0

    def margin_at(self, probability: float) -> float:
        """The margin that is allowed where the ears say that a phrase has ended with this probability."""
        part = min(1.0, max(0.0, (probability - self.doubtful) / (self.sure - self.doubtful)))
        return self.margin_least + part * (self.margin - self.margin_least)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A phrase that may just have ended, with the ears' probability of it."""

    phrase: Phrase
    probability: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The candidate that both agree on, and how sure they are, from 0.5 to 1."""

    candidate: Candidate
    confidence: float


def judge(candidates: Sequence[Candidate], margins: Sequence[float], limits: Limits) -> Verdict | None:
    """What the ears and the recognizer make of it together: the likeliest by both, if the recognizer can believe it."""
    scores = [math.log(c.probability) - limits.weight * m for c, m in zip(candidates, margins, strict=True)]
    best = int(np.argmax(scores))
    if margins[best] > limits.margin_at(sum(c.probability for c in candidates)):
        return None
    return Verdict(candidates[best], round(1 - 0.5 * max(0.0, margins[best]) / limits.margin, 3))


class Decider:
    """One stream of the ears' probabilities -> phrases to look at, likeliest first."""

    def __init__(self, grammar: Grammar, phrases: Sequence[str], limits: Limits) -> None:
        """`phrases`: what the ears know, in the order of their classes; those that the grammar lacks are never proposed."""
        self._limits = limits
        self._grammar = grammar
        self._phrases = [grammar.by_text.get(text) for text in phrases]
        self._known = np.array([False, *(p is not None for p in self._phrases)])
        self._urgent = np.array([False, *(grammar.is_urgent(p) for p in self._phrases)])
        self.reset()

    def reset(self) -> None:
        """A new utterance."""
        self._run = 0
        self._rest = 0
        self._asked = 0

    def step(self, probabilities: np.ndarray, most: int = 4) -> list[Candidate]:
        """The next 20 ms: (1 + phrases,) -> what to ask the recognizer about now, or nothing."""
        limits = self._limits
        here = np.where(self._known, probabilities, 0.0)
        ended, urgent = float(here.sum()), float(here[self._urgent].sum())
        self._run = self._run + 1 if ended >= limits.ask or urgent >= limits.ask_urgent else 0
        self._rest = max(0, self._rest - 1)
        if self._run < limits.steps or self._rest or self._asked >= limits.most:
            return []
        self._asked += 1
        self._rest = limits.again
        order = np.argsort(-here, kind="stable")[:most]
        return [Candidate(p, float(here[n])) for n in order if (p := self._phrases[n - 1]) is not None and here[n] > 0.003]
