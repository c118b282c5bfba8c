"""Sentences that are no commands: near misses made of the grammar's own words, and everyday ones.

Near misses are what a listener for commands stumbles over: a phrase that goes on, a phrase that something came before, its
beginning alone, one of its words exchanged. None is a sentence of the grammar, nor one that its file keeps for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from omnistream_nodes.grammar import Grammar

__all__ = ["Sentences"]

T = TypeVar("T")


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",")]


_BEFORE = _list("""
    we, they, she, he, I, you should, we often, they never, she said, did he, why did you, I want to, please do not,
    do not, don't, never, if you, when we, he told me to, nobody wants to, you can, let us, I could, the boys, my
    sister will, who will, tomorrow we, sometimes I, it is hard to, remember to, we used to, the old man would, he
    asked them to, how do I
""")
_AFTER = _list("""
    at the shop, in the morning, for a while, with your friends, of the house, and then some, by the river, when it
    rains, to the station, over there tomorrow, from the garden, on the table yesterday, because he is late, before
    dinner, after school, under the bridge, with me to the party, and wait, or not, again next week, every single day,
    like that, near the window, as soon as you can, if you like, until Monday, for the children, on your way, into the
    kitchen, of course, about it, the music, the engine, this week, all the time, than before, around the corner,
    without him, in the film, during the night
""")
_SUBJECTS = _list("""
    the teacher, my brother, a tall woman, the weather, that car, our neighbour, the little dog, the train, this book,
    the old house, his friend, the captain, the children, your answer, the doctor, a young man, the market, her
    letter, the engine, nobody
""")
_VERBS = _list("""
    was waiting, arrived late, looked at the sea, told us a story, is quite old, fell asleep, needs some paint, went
    to the city, has a broken wheel, bought three apples, never called back, seems very happy, opened the window, will
    be here soon, made a lot of noise, left the room, should read more, came back alone, played football, cost too
    much, sang a song, was closed on Sunday, ran down the hill, forgot the keys, found an old map, stood by the door,
    talked about money, likes green tea
""")
_EVERYDAY = _list("""
    good morning, thank you very much, how are you today, what time is it, see you later, I am not sure, that is fine,
    yes, no, maybe tomorrow, can you hear me, well done, excuse me, what is your name, where is the station, it is
    raining again, the coffee is cold, I think so, never mind, happy birthday, who is there, not now, ten past four, a
    hundred and twenty, turn the page, top, shop, stock, step, store, hold, half, hat, salt, drop it, spot, hop,
    stuff, stars, start, stay, still, stand up, hello, hey you, okay, all right, right, left, forward, backward, one
    two three, seven, eleven o'clock, left or right, red and blue, the green one, my red bottle, yellow, a blue ball,
    big boxes, the bottle is empty, blocks of wood, this cup of tea, meters, five meters high, two meters long, up,
    down, up and down, back, there, here, home, sweet home, home again, hand, your hand, see, do you see, what, what
    do you mean, what do you want, what did he do, waiting, wake up, walk on, water, wave, waves at sea, open, close,
    closed, opening hours, the gripper, grip, look, looks good, looking for it, book, took, cook, come, coming, some
    here, follow, followed, fellow, hollow me, give, given, live it to me, gave it to him, slow, slowly, low down,
    snow, go, goes, going, gone, goat, no forward
""")
_SWAPS = _list("""
    orange, purple, small, hat, door, lamp, chair, over, away, under, around, forty, twenty, hundred, feet, miles,
    him, her, them, it, this, those, out, off, bring, leave, find, hear, want, walk, run, keep, sit, every, my, their,
    slowly, again, window, pencil, fast
""")


class Sentences:
    """Random sentences that mean nothing to `grammar`."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._phrases = [p.text for p in grammar.phrases]
        self._kept = {" ".join(grammar.words(t)) for t in grammar.confusable}
        self._kinds: list[Callable[[np.random.Generator], str]] = [
            self._goes_on, self._goes_on, self._begun, self._cut, self._cut, self._exchanged, self._exchanged, self._shuffled,
        ]  # fmt: skip

    def near(self, rng: np.random.Generator) -> str:
        """A near miss."""
        return self._other(self._kinds[rng.integers(len(self._kinds))], rng)

    def everyday(self, rng: np.random.Generator) -> str:
        """A sentence that has little to do with the grammar."""
        return self._other(_everyday, rng)

    def going_on(self, phrase: str, rng: np.random.Generator) -> str:
        """A sentence that begins with a phrase."""
        return self._other(lambda r: f"{phrase} {_one(r, _AFTER) if r.random() < 0.5 else _joined(r)}", rng)

    def led_up_to(self, phrase: str, rng: np.random.Generator) -> str:
        """A sentence that ends with a phrase."""
        return self._other(lambda r: f"{_one(r, _BEFORE) if r.random() < 0.7 else _everyday(r)} {phrase}", rng)

    def _other(self, make: Callable[[np.random.Generator], str], rng: np.random.Generator) -> str:
        """One that is no phrase, does not end in an urgent one said alone, and is not kept for tests."""
        for _ in range(50):
            text = make(rng)
            words = " ".join(self._grammar.words(text))
            if words and self._grammar.find(text) is None and words not in self._kept:
                return text
        return _everyday(rng)

    def _phrase(self, rng: np.random.Generator) -> str:
        """A phrase, each intent as likely as another."""
        intents: dict[str, list[str]] = {}
        for p in self._grammar.phrases:
            intents.setdefault(p.intent, []).append(p.text)
        return _one(rng, _one(rng, list(intents.values())))

    def _goes_on(self, rng: np.random.Generator) -> str:
        return f"{self._phrase(rng)} {_one(rng, _AFTER)}"

    def _begun(self, rng: np.random.Generator) -> str:
        text = f"{_one(rng, _BEFORE)} {self._phrase(rng)}"
        return f"{text} {_one(rng, _AFTER)}" if rng.random() < 0.4 else text

    def _cut(self, rng: np.random.Generator) -> str:
        """The beginning or the end of a phrase."""
        words = self._phrase(rng).split()
        n = int(rng.integers(1, max(2, len(words))))
        return " ".join(words[:n] if rng.random() < 0.7 else words[-n:])

    def _exchanged(self, rng: np.random.Generator) -> str:
        words = self._phrase(rng).split()
        words[int(rng.integers(len(words)))] = _one(rng, _SWAPS)
        return " ".join(words)

    def _shuffled(self, rng: np.random.Generator) -> str:
        """Words of two phrases."""
        words = [*self._phrase(rng).split(), *self._phrase(rng).split()]
        return " ".join(_one(rng, words) for _ in range(rng.integers(2, 6)))


def _everyday(rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return _one(rng, _EVERYDAY)
    text = f"{_one(rng, _SUBJECTS)} {_one(rng, _VERBS)}"
    return f"{text} {_one(rng, _AFTER)}" if rng.random() < 0.4 else text


def _joined(rng: np.random.Generator) -> str:
    join = _one(rng, ["and", "but", "so", "then", "because", "if", "when", "or", "while", ""])
    return f"{join} {_everyday(rng)}".strip()


def _one(rng: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]
