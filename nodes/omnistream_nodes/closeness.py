"""How far a written word is from another, as slips of an ear or of fingers go."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["slips"]

_VOWELS = frozenset("aeiouy")
_PAIRS = frozenset(frozenset(pair) for pair in ("bp", "dt", "gk", "vf", "zs", "mn"))
#: One sound, several spellings.
_SPELLINGS = [("ph", "f"), ("ck", "k"), ("c(?=[eiy])", "s"), ("c", "k"), ("q", "k"), ("x", "ks"), ("wh", "w")]
_SOUNDS = [(re.compile(spelling), sound) for spelling, sound in _SPELLINGS]


def _sound(word: str) -> str:
    for pattern, sound in _SOUNDS:
        word = pattern.sub(sound, word)
    return re.sub(r"(.)\1", r"\1", word)


def _swap(a: str, b: str) -> float:
    if a == b:
        return 0.0
    near = (a in _VOWELS and b in _VOWELS) or frozenset((a, b)) in _PAIRS
    return 0.5 if near else 1.0


def _drop(a: str) -> float:
    return 0.5 if a in _VOWELS or a == "h" else 1.0


@lru_cache(maxsize=4096)
def slips(one: str, other: str) -> float:
    """A Damerau-Levenshtein distance over sounds: 0.5 for a vowel, a voiced for an unvoiced sound or two letters that
    changed places; 1 for anything else."""
    a, b = _sound(one), _sound(other)
    rows: list[list[float]] = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            ways: list[float] = []
            if i:
                ways.append(rows[i - 1][j] + _drop(a[i - 1]))
            if j:
                ways.append(rows[i][j - 1] + _drop(b[j - 1]))
            if i and j:
                ways.append(rows[i - 1][j - 1] + _swap(a[i - 1], b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                ways.append(rows[i - 2][j - 2] + 0.5)
            rows[i][j] = min(ways, default=0.0)
    return rows[-1][-1]
