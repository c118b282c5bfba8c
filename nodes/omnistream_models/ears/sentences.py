"""Sentences that are no commands: near misses made of the grammar's own words, and everyday ones.

Near misses are what a listener for commands stumbles over: a phrase that goes on, a phrase that something came before, its
beginning alone, one of its words exchanged. None is a sentence of the grammar, nor one that its file keeps for tests. They are
put together from `vocabulary`, so that what follows a phrase differs from clip to clip: with some forty continuations a network
learns those, and takes every other one for silence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnistream_models.ears import vocabulary as v
from omnistream_models.ears.chance import one_of
from omnistream_nodes.grammar import Grammar

__all__ = ["Sentences"]


class Sentences:
    """Random sentences that mean nothing to `grammar`."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._kept = {" ".join(grammar.words(t)) for t in grammar.confusable}
        self._kinds: list[Callable[[np.random.Generator], str]] = [
            self._goes_on, self._goes_on, self._begun, self._cut, self._cut, self._exchanged, self._exchanged, self._exchanged,
            self._shuffled,
        ]  # fmt: skip

    def near(self, rng: np.random.Generator) -> str:
        """A near miss."""
        return self._other(self._kinds[rng.integers(len(self._kinds))], rng)

    def everyday(self, rng: np.random.Generator) -> str:
        """A sentence that has little to do with the grammar."""
        return self._other(_everyday, rng)

    def going_on(self, phrase: str, rng: np.random.Generator) -> str:
        """A sentence that begins with a phrase."""
        return self._other(lambda r: f"{phrase} {_after(r)}", rng)

    def led_up_to(self, phrase: str, rng: np.random.Generator) -> str:
        """A sentence that ends with a phrase."""
        return self._other(lambda r: f"{_before(r) if r.random() < 0.8 else _everyday(r)} {phrase}", rng)

    def phrase(self, rng: np.random.Generator) -> str:
        """A phrase, each intent as likely as another."""
        intents: dict[str, list[str]] = {}
        for p in self._grammar.phrases:
            intents.setdefault(p.intent, []).append(p.text)
        return one_of(rng, one_of(rng, list(intents.values())))

    def _other(self, make: Callable[[np.random.Generator], str], rng: np.random.Generator) -> str:
        """One that is no phrase, does not end in an urgent one said alone, and is not kept for tests."""
        for _ in range(50):
            text = make(rng)
            words = " ".join(self._grammar.words(text))
            if words and self._grammar.find(text) is None and words not in self._kept:
                return text
        return _everyday(rng)

    def _goes_on(self, rng: np.random.Generator) -> str:
        return f"{self.phrase(rng)} {_after(rng)}"

    def _begun(self, rng: np.random.Generator) -> str:
        text = f"{_before(rng)} {self.phrase(rng)}"
        return f"{text} {_after(rng)}" if rng.random() < 0.4 else text

    def _cut(self, rng: np.random.Generator) -> str:
        """The beginning or the end of a phrase."""
        words = self.phrase(rng).split()
        n = int(rng.integers(1, max(2, len(words))))
        return " ".join(words[:n] if rng.random() < 0.7 else words[-n:])

    def _exchanged(self, rng: np.random.Generator) -> str:
        words = self.phrase(rng).split()
        words[int(rng.integers(len(words)))] = one_of(rng, v.SWAPS if rng.random() < 0.7 else v.NOUNS)
        return " ".join(words)

    def _shuffled(self, rng: np.random.Generator) -> str:
        """Words of two phrases."""
        words = [*self.phrase(rng).split(), *self.phrase(rng).split()]
        return " ".join(one_of(rng, words) for _ in range(rng.integers(2, 6)))


def _thing(rng: np.random.Generator) -> str:
    adjective = f"{one_of(rng, v.ADJECTIVES)} " if rng.random() < 0.35 else ""
    return f"{one_of(rng, v.DETERMINERS)} {adjective}{one_of(rng, v.NOUNS)}"


def _where(rng: np.random.Generator) -> str:
    return f"{one_of(rng, v.PREPOSITIONS)} {_thing(rng)}"


def _who(rng: np.random.Generator) -> str:
    return one_of(rng, v.PEOPLE) if rng.random() < 0.6 else _thing(rng)


def _clause(rng: np.random.Generator) -> str:
    verb = one_of(rng, v.PAST) if rng.random() < 0.6 else f"{one_of(rng, v.MODALS)} {one_of(rng, v.PLAIN)}"
    ends: list[Callable[[np.random.Generator], str]] = [
        _thing,
        _where,
        lambda r: one_of(r, v.ADVERBS),
        lambda r: one_of(r, v.TIMES),
    ]
    return f"{_who(rng)} {verb} {one_of(rng, ends)(rng)}"


def _joined(rng: np.random.Generator) -> str:
    return f"{one_of(rng, v.CONJUNCTIONS)} {_clause(rng)}"


def _do(rng: np.random.Generator) -> str:
    return f"{one_of(rng, v.PLAIN)} {_thing(rng)}"


def _after(rng: np.random.Generator) -> str:
    """How a sentence may go on where a phrase has ended."""
    ways: list[Callable[[np.random.Generator], str]] = [
        _where, _where, _where, _thing, lambda r: one_of(r, v.ADVERBS), lambda r: one_of(r, v.TIMES), _joined, _joined,
        lambda r: f"{one_of(r, v.CONJUNCTIONS)} {_do(r)}", lambda r: f"to {_do(r)}", _clause,
    ]  # fmt: skip
    text = one_of(rng, ways)(rng)
    return f"{text} {one_of(rng, v.TIMES)}" if rng.random() < 0.15 else text


def _before(rng: np.random.Generator) -> str:
    """What may come before a phrase so that it is no command."""
    if rng.random() < 0.4:
        return one_of(rng, v.ASKED)
    return f"{_who(rng)} {one_of(rng, v.MODALS)}"


def _everyday(rng: np.random.Generator) -> str:
    return one_of(rng, v.EVERYDAY) if rng.random() < 0.4 else _clause(rng)
