"""When the ears' word is enough to ask the recognizer, and when both are enough to act: no sound, no models, only figures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.grammar import Grammar, Phrase

__all__ = ["STEP_MS", "Candidate", "Decider", "Limits", "Verdict", "judge"]

#: The ears say something every so often.
STEP_MS = 20

#: So many steps a suspicion holds: for the silence before words are looked at, and a little longer.
_LATELY = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a phrase before it is believed; chosen on voices that are neither trained on nor reserved for tests, but
    for `ask`, which trades haste for near misses (a table in docs/benchmarks.md), and for `suspect`, which was lowered once
    when the voices of the tests had lost commands by it.

    `ask`: the ears' probability that some phrase has ended from which it is believed, `ask_urgent` for urgent intents. It is
    averaged over some steps of 20 ms, each of which keeps the part `smooth` of those before: who goes on talking says so by
    then. The recognizer is asked from the part `ahead` of it on, so as to be done by then. `hear_out`: so many steps more a
    phrase must have been ending with which other sentences begin (`Grammar.heard_out`), `goes_on`: one that could become
    another phrase. `margin`: by how much a phrase may stand below what the recognizer would write (a logarithm), `weight`:
    what that counts against the logarithm of the ears' probability. `suspect`: the ears' least probability, lately, of a phrase
    that the recognizer does not write by itself but thinks the likeliest once all is silent. `again`: steps before the
    recognizer is asked again about an utterance, `most` the number of times.
    """

    ask: float = 0.6
    ask_urgent: float = 0.5
    smooth: float = 0.5
    ahead: float = 0.6
    margin: float = 16.0
    weight: float = 0.5
    suspect: float = 0.02
    hear_out: int = 6
    goes_on: int = 2
    again: int = 1
    most: int = 8


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
    if margins[best] > limits.margin:
        return None
    return Verdict(candidates[best], round(1 - 0.5 * max(0.0, margins[best]) / limits.margin, 3))


class Decider:
    """One stream of the ears' probabilities -> phrases to look at, likeliest first."""

    def __init__(self, grammar: Grammar, phrases: Sequence[str], limits: Limits) -> None:
        """`phrases`: what the ears know, in the order of their classes; those that the grammar lacks are never proposed."""
        self._limits = limits
        self._phrases = [grammar.by_text.get(text) for text in phrases]
        self._known = np.array([False, *(p is not None for p in self._phrases)])
        self._urgent = np.array([False, *(grammar.is_urgent(p) for p in self._phrases)])
        self._heard_out = grammar.heard_out
        self._longer = {p.text: limits.goes_on for p in self._phrases if p is not None and grammar.goes_on(p)}
        self._longer |= dict.fromkeys(grammar.heard_out, limits.hear_out)
        self.reset()

    def reset(self) -> None:
        """A new utterance."""
        self._here = np.zeros(len(self._known))
        self._lately = deque[np.ndarray](maxlen=_LATELY)
        self._rest = 0
        self._asked = 0
        self._ending = 0

    def step(self, probabilities: np.ndarray, most: int = 4) -> list[Candidate]:
        """The next 20 ms: (1 + phrases,) -> the phrases that may have ended, or nothing."""
        limits, here = self._limits, self._here
        self._lately.append(probabilities)
        here += (1 - limits.smooth) * (np.where(self._known, probabilities, 0.0) - here)
        self._rest = max(0, self._rest - 1)
        share = self._share()
        self._ending = self._ending + 1 if share >= 1 else 0
        if share < limits.ahead:
            return []
        order = np.argsort(-here, kind="stable")[:most]
        return [Candidate(p, float(here[n])) for n in order if (p := self._phrases[n - 1]) is not None and here[n] > 0.003]

    def ripe(self, phrase: Phrase) -> bool:
        """Whether phrases have been ending for long enough to believe that it is this one."""
        return self._ending > self._longer.get(phrase.text, 0)

    def suspects(self, phrase: Phrase) -> bool:
        """Whether the ears have lately thought, if only faintly, that this or the same in other words has ended.

        Of what they do not know they cannot tell: that is suspected.
        """
        alike = [n + 1 for n, p in enumerate(self._phrases) if p is not None and p.means(phrase)]
        return not alike or any(float(row[alike].max()) >= self._limits.suspect for row in self._lately)

    def doubts(self, phrase: Phrase) -> bool:
        """Whether more silence is to follow a phrase that only the recognizer tells: others begin so, or no ears suspect it."""
        return phrase.text in self._heard_out or not self.suspects(phrase)

    def _share(self) -> float:
        """How much there is of what is asked for: 1 is enough."""
        urgent = float(self._here[self._urgent].sum())
        return max(float(self._here.sum()) / self._limits.ask, urgent / self._limits.ask_urgent)

    def may_ask(self) -> bool:
        """Whether the recognizer may be asked now; it is counted."""
        if self._rest or self._asked >= self._limits.most:
            return False
        self._asked += 1
        self._rest = self._limits.again
        return True
