"""A grammar of commands: which sentences it holds, what each means, and whether a text is one of them.

The grammar is data (see `grammar_file`); nothing here knows a word of it. Matching is exact, after the text is
brought to a normal form: lower case, no punctuation, numbers as words, known spellings, no fillers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

__all__ = ["Grammar", "Phrase"]

_WORD = re.compile(r"-?\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
#: At most so many ways to respell one text are tried.
_MAX_SPELLINGS = 64


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence of the grammar, in normal form, and what it means. `values` are SI, with units in their names."""

    text: str
    intent: str
    slots: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Mapping[str, float] = field(default_factory=dict[str, float])

    def means(self, other: Phrase) -> bool:
        """Whether both ask for the same."""
        return (self.intent, dict(self.slots), dict(self.values)) == (other.intent, dict(other.slots), dict(other.values))


@dataclass(frozen=True)
class Grammar:
    """Phrases by their text, and the words that the grammar gives a role to."""

    phrases: tuple[Phrase, ...]
    slots: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict[str, Mapping[str, float | None]])
    confusable: tuple[str, ...] = ()
    urgent: frozenset[str] = frozenset()
    #: Texts of phrases with which other sentences begin: what follows is waited for.
    heard_out: frozenset[str] = frozenset()
    fillers: tuple[tuple[str, ...], ...] = ()
    spelling: Mapping[str, str] = field(default_factory=dict[str, str])
    telltale: frozenset[str] = frozenset()
    #: Voices that no training may use, by what kind of voice they are.
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    lang: str = "en"
    file: str = ""

    @cached_property
    def by_text(self) -> Mapping[str, Phrase]:
        return {p.text: p for p in self.phrases}

    @cached_property
    def slot_words(self) -> frozenset[str]:
        """Every word that is a value of a slot: two texts that differ in one of these never mean the same."""
        return frozenset(word for values in self.slots.values() for value in values for word in value.split())

    @cached_property
    def counting(self) -> frozenset[str]:
        """The words that stand for a number."""
        return frozenset(word for values in self.slots.values() for word, n in values.items() if n is not None)

    @cached_property
    def _digits(self) -> Mapping[str, str]:
        """Digits to words, by the slots that count: those whose every value is a whole number from 0 up."""
        counting = (v for v in self.slots.values() if all(n is not None and n >= 0 and n == int(n) for n in v.values()))
        return {f"{n:.0f}": word for values in counting for word, n in values.items()}

    @cached_property
    def _starts(self) -> Mapping[str, tuple[Phrase, ...]]:
        """For each proper beginning of a phrase, the phrases that go on from it."""
        starts: dict[str, list[Phrase]] = {}
        for phrase in self.phrases:
            words = phrase.text.split()
            for n in range(1, len(words)):
                starts.setdefault(" ".join(words[:n]), []).append(phrase)
        return {text: tuple(found) for text, found in starts.items()}

    def words(self, text: str) -> list[str]:
        """The text's words in lower case; digits that stand for a slot's value become that value ("10" -> "ten")."""
        plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("‘", "'")
        return [self._digits.get(word, word) for word in _WORD.findall(plain)]

    def find(self, text: str) -> Phrase | None:
        """The phrase that `text` is, or None.

        Spelling and fillers are changed only as far as needed: a word that fits as it is stays.
        """
        words = self.words(text)
        return next((p for w in (words, self.unfilled(words)) for s in self._spellings(w) if (p := self.by_text.get(s))), None)

    def goes_on(self, phrase: Phrase) -> bool:
        """Whether more words could turn `phrase` into something else: "go forward", of "go forward ten meters"."""
        return any(not longer.means(phrase) for longer in self._starts.get(phrase.text, ()))

    def begins(self, text: str) -> bool:
        """Whether `text` is the beginning of a phrase and not yet the whole of one: "pick up"."""
        words = " ".join(self.words(text))
        return words in self._starts and words not in self.by_text

    def is_urgent(self, phrase: Phrase | None) -> bool:
        """Whether `phrase` is of an intent that acts at once, on a first hypothesis."""
        return phrase is not None and phrase.intent in self.urgent

    def is_told(self, words: list[str], phrase: Phrase) -> bool:
        """Whether `words` deny, tell or ask something that `phrase` does not."""
        return bool(self.telltale & set(words) - set(phrase.text.split()))

    def unfilled(self, words: list[str]) -> list[str]:
        """The words without fillers."""
        kept: list[str] = []
        i = 0
        while i < len(words):
            filler = next((f for f in self.fillers if tuple(words[i : i + len(f)]) == f), ())
            if not filler:
                kept.append(words[i])
            i += len(filler) or 1
        return kept

    def _spellings(self, words: list[str]) -> Iterator[str]:
        """The text as it is first, then with words respelled."""
        options = [(w, self.spelling[w]) if w in self.spelling else (w,) for w in words]
        for n, choice in enumerate(product(*options)):
            if n == _MAX_SPELLINGS:
                return
            yield " ".join(choice)

    def variants(self, phrase: Phrase) -> list[str]:
        """`phrase` in each of the spellings that sound the same (metres, meters), the grammar's own first."""
        back: dict[str, list[str]] = {}
        for written, meant in self.spelling.items():
            if len(written) > 1 and _alike(written, meant):
                back.setdefault(meant, []).append(written)
        options = [(w, *back.get(w, ())) for w in phrase.text.split()]
        return [" ".join(choice) for choice in product(*options)][:_MAX_SPELLINGS]


def _alike(one: str, other: str) -> bool:
    """Whether two spellings are of one word (metres, meters) and not two words of one sound (ate, eight)."""
    return sorted(one) == sorted(other)
