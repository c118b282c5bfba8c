"""A sentence -> the phrase of the grammar that it means, or why none: exact, then but for a slip, then by its sense.

Each step is looser than the one before and is held on a shorter line. No step may change a number or a word that fills
a slot, or overhear a "don't".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from omnistream_nodes.closeness import slips
from omnistream_nodes.grammar import Grammar, Phrase
from omnistream_nodes.sentence import SentenceModel

__all__ = ["Interpreter", "Reading"]

#: Slips forgiven: in a short word a vowel or a voiced for an unvoiced sound; in a long one any sound; in all one.
_SLIP_SHORT, _SLIP_LONG, _SLIPS_ALL = 0.5, 1.0, 1.0
_LONG_WORD = 6
#: By which the nearest phrase must be nearer than one of another meaning.
_SLIP_LEAD = 0.5
#: A text may have so many words more than the phrase that has its sense.
_MORE_WORDS = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """`phrase` with how sure it is (1 for the very words), or None with the reason."""

    phrase: Phrase | None
    confidence: float = 1.0
    rejected: str = ""


class Interpreter:
    """Reads sentences by one grammar. `model` None leaves the last step out."""

    def __init__(self, grammar: Grammar, model: SentenceModel | None, threshold: float, margin: float) -> None:
        self._grammar = grammar
        self._model = model
        self._threshold = threshold
        self._margin = margin

    def read(self, text: str) -> Reading:
        """What `text` asks for."""
        grammar = self._grammar
        words = grammar.unfilled(grammar.words(text))
        if not words:
            return Reading(None, rejected="nothing was understood")
        if " ".join(grammar.words(text)) in self._confusable:
            return Reading(None, rejected="this sentence is no command")
        phrase = grammar.find(text)
        if phrase is not None:
            return Reading(phrase)
        slip = self._slip(words)
        if slip.phrase is not None or self._model is None:
            return slip
        sense = self._sense(words, self._model)
        return sense if sense.phrase is not None or not slip.rejected else slip

    @cached_property
    def _confusable(self) -> frozenset[str]:
        return frozenset(" ".join(self._grammar.words(text)) for text in self._grammar.confusable)

    def _slip(self, words: list[str]) -> Reading:
        """The one phrase that differs from `words` by slips of the ear or of the fingers only."""
        near: list[tuple[float, Phrase]] = []
        for phrase in self._grammar.phrases:
            cost = self._slips(words, phrase.text.split())
            if cost is not None:
                near.append((cost, phrase))
        near.sort(key=lambda n: (n[0], n[1].text))
        if not near or near[0][0] > _SLIPS_ALL:
            return Reading(None, rejected="no command is like this")
        cost, phrase = near[0]
        rival = next((p for c, p in near[1:] if c - cost < _SLIP_LEAD and not p.means(phrase)), None)
        if rival is not None:
            return Reading(None, rejected=f"it could be '{phrase.text}' or '{rival.text}'")
        if self._grammar.is_told(words, phrase):
            return Reading(None, rejected=f"it only resembles '{phrase.text}'")
        return Reading(phrase, round(1 - 0.5 * cost, 3))

    def _slips(self, words: list[str], phrase: list[str]) -> float | None:
        """The cost of all slips, or None where one is too large."""
        if len(words) != len(phrase):
            return 0.25 if "".join(words) == "".join(phrase) else None  # a space too many or too few
        total = 0.0
        for word, meant in zip(words, phrase, strict=True):
            if word == meant:
                continue
            limit = 0.0 if meant in self._grammar.counting else _SLIP_LONG if len(meant) >= _LONG_WORD else _SLIP_SHORT
            if not limit or word in self._grammar.slot_words or abs(len(word) - len(meant)) > 1 + limit:
                return None
            cost = max(0.25, slips(word, meant))
            if cost > limit:
                return None
            total += cost
        return total

    @cached_property
    def _vectors(self) -> tuple[tuple[Phrase, ...], np.ndarray, np.ndarray]:
        """The phrases without numbers and their embeddings, and those of the sentences that are no commands."""
        assert self._model is not None
        phrases = tuple(p for p in self._grammar.phrases if not self._numbers & set(p.text.split()))
        size = self._model.embed("").shape[0]
        none = np.zeros((0, size), np.float32)
        known = np.stack([self._model.embed(p.text) for p in phrases]) if phrases else none
        others = np.stack([self._model.embed(text) for text in self._grammar.confusable]) if self._grammar.confusable else none
        return phrases, known, others

    def warm_up(self) -> None:
        """Embed the grammar now, not at the first sentence that needs it."""
        if self._model is not None:
            _ = self._vectors

    @cached_property
    def _numbers(self) -> frozenset[str]:
        """Words of the slots that count things: a sentence with one is never read by its sense."""
        slots = self._grammar.slots.values()
        return frozenset(w for values in slots if all(n is not None and n >= 0 for n in values.values()) for w in values)

    def _sense(self, words: list[str], model: SentenceModel) -> Reading:
        """The phrase with the same slot words that has the sense of `words`."""
        if any(w in self._numbers or w.lstrip("-")[:1].isdigit() for w in words):
            return Reading(None, rejected="no command has this number in these words")
        phrases, known, others = self._vectors
        filled = self._slot_words(words)
        fit = [i for i, p in enumerate(phrases) if self._slot_words(p.text.split()) == filled]
        if not fit or len(words) == len(filled):
            return Reading(None, rejected="no command is like this")
        vector = model.embed(" ".join(words))
        # Rounded, because the last bits of a product are the machine's own.
        near = sorted(((round(float(known[i] @ vector), 4), phrases[i]) for i in fit), key=lambda n: (-n[0], n[1].text))
        similarity, phrase = near[0]
        rival = max((s for s, p in near[1:] if not p.means(phrase)), default=0.0)
        other = round(float((others @ vector).max()), 4) if len(others) else 0.0
        if similarity < self._threshold or len(words) > len(phrase.text.split()) + _MORE_WORDS:
            return Reading(None, rejected=f"no command is like this; '{phrase.text}' is nearest")
        more = f" {phrase.text} " in f" {' '.join(words)} "  # its very words and others: "go backward in time"
        if more or similarity - max(rival, other) < self._margin or self._grammar.is_told(words, phrase):
            return Reading(None, rejected=f"it may not mean '{phrase.text}'")
        return Reading(phrase, round(similarity, 3))

    def _slot_words(self, words: list[str]) -> frozenset[str]:
        return frozenset(words) & self._grammar.slot_words
