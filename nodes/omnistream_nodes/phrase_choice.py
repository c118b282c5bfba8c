"""Which phrase of the grammar was said, if one was: what the recognizer writes freely, else what it thinks likeliest.

Free recognition writes 40 % of commands in synthetic voices without a mistake; among the grammar's phrases the likeliest is
the right one 97 % of the time. It would be one of them whatever was said, so it must stand near the free choice, well
above the next phrase, and be as long as the sound. The limits below are from nine synthetic voices and
241 sentences that are no commands (`launch/measure_speech.py` prints what they do on other voices).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.grammar import Grammar, Phrase
from omnistream_nodes.moonshine import Free, Match, Moonshine, Trie
from omnistream_nodes.voice_model import RATE_HZ

__all__ = ["Choice", "PhraseChooser"]

#: Logarithms of probability by which a phrase may stand below the free choice: in all, and for each of its tokens.
#: The end is counted without a full stop, which the free choice has: about 3 of the first.
_MARGIN, _MARGIN_PER_TOKEN = 10.0, 1.7
#: By which it must stand above every phrase of another meaning.
_LEAD = 0.7
#: Speech of synthetic voices lasts 75 ms a letter; a phrase that leaves more than this unexplained, or so many tokens of
#: the free choice, is not all that was said.
_SECONDS_PER_LETTER = 0.075
_UNEXPLAINED_SECONDS, _UNEXPLAINED_TOKENS = 0.25, 4
#: More room for a phrase that stands alone, and for one that is nearly as likely as the free choice.
_ALONE, _ALONE_PER_TOKEN, _ALONE_UNEXPLAINED_SECONDS = 5.0, 2.3, 0.3
_NEAR_PER_TOKEN, _NEAR_UNEXPLAINED_SECONDS = 0.6, 0.5
#: Nearer to the line of rejection than half way, a phrase waits for more silence.
_DOUBT = 0.5
#: No command lasts longer than this: slow speech with a pause.
_SLOW_SECONDS_PER_LETTER = 0.15
_PAUSE_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Choice:
    """What was said. `heard` is the free text; `text` that of `phrase`, where there is one.

    `confidence` of a phrase is 1 for the recognizer's own first choice, falling to 0.5 at the line of rejection.
    `unsure`: more sound may show that it was something else, or more than this.
    """

    heard: str
    confidence: float
    phrase: Phrase | None = None
    unsure: bool = False
    urgent: bool = False

    @property
    def text(self) -> str:
        return self.phrase.text if self.phrase else self.heard


class PhraseChooser:
    """A recognizer with the phrases it should listen for; without a grammar it writes what it hears."""

    def __init__(
        self, model: Moonshine, grammar: Grammar | None, suspected: Callable[[Phrase], bool] = lambda _: True
    ) -> None:  # fmt: skip
        """`suspected`: what somebody else says of a phrase that the recognizer does not write by itself."""
        self._model = model
        self._suspected = suspected
        self._grammar = grammar
        self._trie = model.trie(grammar.variants(p) for p in grammar.phrases) if grammar else Trie()
        letters = max((len(p.text) for p in grammar.phrases), default=0) if grammar else 0
        self._longest = round((letters * _SLOW_SECONDS_PER_LETTER + _PAUSE_SECONDS) * RATE_HZ) if grammar else 0

    def hopeful(self, samples: int) -> bool:
        """Whether an utterance of this length can still be a phrase."""
        return samples <= self._longest

    def free(self, audio: np.ndarray) -> Free:
        """What the recognizer writes by itself."""
        return self._model.recognize(audio).free()

    def choose(self, audio: np.ndarray, voiced: int) -> Choice:
        """What was said in `audio`, (N,) float32 of which `voiced` samples are voice."""
        utterance = self._model.recognize(audio)
        free = utterance.free()
        plain = Choice(free.text, round(math.exp(free.log_p / (len(free.tokens) + 1)), 3))
        grammar = self._grammar
        if grammar is None or not self.hopeful(voiced):
            return plain
        doubt = -free.log_p / (len(free.tokens) + 1) / _MARGIN_PER_TOKEN
        phrase = grammar.find(free.text)
        if phrase is None:
            found = utterance.match(self._trie, free.log_p - _MARGIN)
            phrase, doubt = self._best(grammar, found, free, voiced)
            phrase = phrase if phrase is not None and self._suspected(phrase) else None
        if phrase is None or doubt > 1:
            return plain
        confidence = round(1 - 0.5 * max(0.0, doubt), 3)
        unsure = grammar.goes_on(phrase) or doubt > _DOUBT
        return Choice(free.text, confidence, phrase, unsure, grammar.is_urgent(phrase))

    def _best(self, grammar: Grammar, found: list[Match], free: Free, voiced: int) -> tuple[Phrase | None, float]:
        """The likeliest phrase, if it is likely enough, and how near it is to the line of rejection (1)."""
        if not found or grammar.begins(free.text):
            return None, 0.0
        best = found[0]
        phrase = grammar.phrases[best.phrase]
        rival = next((m.log_p for m in found[1:] if not grammar.phrases[m.phrase].means(phrase)), -math.inf)
        alone = best.log_p - rival >= _ALONE
        margin = free.log_p - best.log_p
        near = margin / (best.tokens + 1) <= _NEAR_PER_TOKEN
        per_token = _ALONE_PER_TOKEN if alone else _MARGIN_PER_TOKEN
        room = _NEAR_UNEXPLAINED_SECONDS if near else _ALONE_UNEXPLAINED_SECONDS if alone else _UNEXPLAINED_SECONDS
        unexplained = voiced / RATE_HZ - _SECONDS_PER_LETTER * len(phrase.text.replace(" ", ""))
        longer = len(free.tokens) - best.tokens
        if best.log_p - rival < _LEAD or unexplained > room or (longer > _UNEXPLAINED_TOKENS and not near):
            return None, 0.0
        return phrase, max(margin / _MARGIN, margin / (best.tokens + 1) / per_token)
