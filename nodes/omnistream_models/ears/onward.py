"""Sentences that hold a phrase and are none, made by a small grammar of English: the phrase goes on, or was led up to.

What tells "go home" from "go home and ..." has to be learned for every phrase, and from more ways of going on than a list
holds. None is a sentence of the commands' grammar, nor one that is kept for tests; and none has a word of manner behind the
phrase ("slowly", "again"): such are other ways to say a command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from omnistream_models.ears.kept import Kept, listed
from omnistream_nodes.grammar import Grammar, Phrase

__all__ = ["Onward"]

T = TypeVar("T")

_PREPOSITIONS = listed("""
    at, in, on, to, by, with, for, from, near, under, behind, over, through, along, past, after, before, during, without,
    into, across, towards, against, between, beside, above, below, inside, outside, about, around, of, like, than, next to,
    because of, instead of, out of, in front of, at the end of, on top of, as far as
""")
_DETERMINERS = listed("the, the, the, a, your, our, my, his, her, this, that, every, some, another, no, both, these, any")
_ADJECTIVES = listed("""
    old, new, big, little, long, short, tall, dark, bright, cold, warm, empty, heavy, broken, quiet, noisy, narrow, wide,
    dirty, clean, wooden, green, white, black, yellow, best, last, first, second, next, same, other, wrong, famous, strange
""")
_NOUNS = listed("""
    house, street, corner, bridge, river, market, office, school, garden, kitchen, table, window, stairs, hall, village,
    city, train, bus, car, truck, boat, airport, doctor, teacher, neighbour, uncle, mother, brother, sister, friends,
    children, people, crowd, captain, waiter, police, dog, horse, bird, story, film, song, letter, paper, book, page,
    question, answer, meeting, lesson, game, match, party, dinner, breakfast, lunch, coffee, soup, apple, bread, fire, rain,
    snow, wind, summer, winter, morning, evening, weekend, year, moment, minute, hour, price, money, work, job, engine,
    machine, tool, hammer, ladder, rope, bag, bottle, coat, shoes, hat, glasses, phone, radio, lamp, key, lock, wall, floor,
    roof, fence, field, hill, forest, lake, island, sea, sky, star, signal, sign, line, circle, square, number, name, word
""")
_ACTIONS = listed("""
    sit, stand, read, write, sing, dance, eat, drink, rest, wash, pay, smile, laugh, cry, listen, talk, call, ask, answer,
    watch, look, run, walk, swim, play, work, cook, clean, wake, change, turn, bend, wait, stay, leave, fetch, carry, bring,
    buy, sell, find, keep, lose, break, fix, paint, count, throw, catch, hold, push, pull, open, shut, check, try, hurry
""")
_SUBJECTS = listed("""
    I, you, we, they, he, she, it, everybody, nobody, somebody, the others, the teacher, my father, your sister, our
    neighbours, the children, the man next door, a friend of mine, the whole family, the driver, that woman, the boys
""")
_HELPERS = listed("""
    will, would, can, could, should, must, may, might, never, always, often, sometimes, rarely, did not, cannot, won't,
    wouldn't, shouldn't, want to, used to, tried to, had to, like to, have to, need to, decided to, forgot to, refused to,
    were told to, are going to, just, usually, only, also
""")
_DENIALS = listed("""
    do not, don't, please do not, please don't, never, never ever, you must not, we will not, I would not, try not to, it is
    better not to, there is no need to, be careful not to, I told you not to, let us not, nobody may, not everybody can, why
    not, no reason to, instead of that we, no don't, you can't just, it was wrong to, I said don't
""")
_LEADS = listed("""
    when you, if they, because we, before you, unless they, whenever I, the day we, the way to, how to, time to, a chance
    to, it is easy to, it is too late to, she asked me to, he told us to, the driver said, the sign says, the song is called,
    we heard him say, somebody shouted, what does it mean to, the first who, those who, I thought we, let me, maybe they
""")
_TIMES = listed("""
    sometimes, every day, all day long, for ever, twice a week, in general, most of the time, on Sundays, as usual, too often,
    these days, some day, as always, at night, in the end, last week, tonight, this evening, all year round, at six o'clock
""")
_JOINS = listed("and, and, and, and then, then, or, but, so")
_CLAUSES = listed(
    "because, while, if, when, until, unless, as soon as, before, after, since, where, though, that, which, as if"
)
_INSTEAD = listed("""
    along, across, ahead, aside, apart, indoors, outside, upstairs, downstairs, abroad, fishing, shopping, first, last,
    faster, further, together, nowhere, everywhere, round, through, by, past, at, under, with, us, them, her, him, it all,
    yourself, nothing, everything, anything, somebody, some, more, most, none, two, three, off, on, in, out, away, under it
""")


class Onward:
    """Random sentences around the phrases of `grammar`."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._kept = Kept(grammar)
        alike: dict[str, list[Phrase]] = {}
        for p in grammar.phrases:
            alike.setdefault(p.intent, []).append(p)
        self._alike = list(alike.values())

    def any(self, rng: np.random.Generator) -> str:
        """One around any phrase; a phrase is as likely as in training, so that short ones of few words are not rare."""
        make = _one(rng, (self.after, self.after, self.before, self.instead))
        return make(self.phrase(rng).text, rng)

    def phrase(self, rng: np.random.Generator) -> Phrase:
        """Half the time every phrase is as likely as another, half the time every intent."""
        return _one(rng, self._grammar.phrases if rng.random() < 0.5 else _one(rng, self._alike))

    def after(self, phrase: str, rng: np.random.Generator) -> str:
        """One that begins with a phrase and goes on without a pause."""
        return self._other(lambda r: f"{phrase} {_flow(r)}", rng)

    def before(self, phrase: str, rng: np.random.Generator) -> str:
        """One with the phrase at its end, or in its middle, which denies, tells or asks it."""

        def make(r: np.random.Generator) -> str:
            text = f"{_lead(r)} {phrase}"
            return f"{text} {_flow(r)}" if r.random() < 0.35 else text

        return self._other(make, rng)

    def instead(self, phrase: str, rng: np.random.Generator) -> str:
        """One that begins like a phrase and has another last word; of a phrase of one word, one that goes on."""
        words = phrase.split()
        if len(words) < 2:
            return self.after(phrase, rng)
        return self._other(lambda r: " ".join([*words[:-1], _one(r, (_one(r, _INSTEAD), _one(r, _NOUNS)))]), rng)

    def _other(self, make: Callable[[np.random.Generator], str], rng: np.random.Generator) -> str:
        """One that is no phrase and not kept for tests."""
        for _ in range(50):
            text = make(rng)
            if self._grammar.find(text) is None and text not in self._kept:
                return text
        return f"{_one(rng, _SUBJECTS)} {_one(rng, _HELPERS)} {_one(rng, _ACTIONS)}"


def _things(rng: np.random.Generator) -> str:
    middle = f"{_one(rng, _ADJECTIVES)} " if rng.random() < 0.35 else ""
    return f"{_one(rng, _DETERMINERS)} {middle}{_one(rng, _NOUNS)}"


def _place(rng: np.random.Generator) -> str:
    return f"{_one(rng, _PREPOSITIONS)} {_things(rng)}"


def _act(rng: np.random.Generator) -> str:
    return f"{_one(rng, _ACTIONS)} {_one(rng, (_things, _place, lambda r: _one(r, _TIMES)))(rng)}"


def _told(rng: np.random.Generator) -> str:
    return f"{_one(rng, _SUBJECTS)} {_one(rng, _HELPERS)} {_act(rng)}"


def _flow(rng: np.random.Generator) -> str:
    """How a sentence goes on: most often with a word that joins, or a place; one time in four with another piece of it."""
    pieces: Sequence[Callable[[np.random.Generator], str]] = (
        _place, _place, _place,
        lambda r: f"{_one(r, _JOINS)} {_act(r)}",
        lambda r: f"{_one(r, _JOINS)} {_one(r, _ACTIONS)}",
        lambda r: f"{_one(r, (_JOINS, _CLAUSES)[int(r.integers(2))])} {_told(r)}",
        lambda r: _one(r, _TIMES),
        _things,
        lambda r: f"{_one(r, _NOUNS)} {_one(r, _NOUNS)}",
    )  # fmt: skip
    text = _one(rng, pieces)(rng)
    return f"{text} {_place(rng)}" if rng.random() < 0.25 else text


def _lead(rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < 0.4:
        return f"{_one(rng, _SUBJECTS)} {_one(rng, _HELPERS)}"
    return _one(rng, _DENIALS if chance < 0.75 else _LEADS)


def _one(rng: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]
