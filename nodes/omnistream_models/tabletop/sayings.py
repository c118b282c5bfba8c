"""What training says of things and tables. The sentences of tests are those of `omnistream_models.fused.captions`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnistream_models.fused.grams import GRAMS, grams, split_words
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.tabletop.crops import RELATIONS

__all__ = ["ALSO", "WORDS", "name_of", "named", "sentence", "words_of"]

WORDS = 16
#: Other names of the same, as detectors have them.
ALSO = {
    "cup": ("mug",), "ball": ("sphere", "sports ball"), "box": ("carton",), "block": ("cube",), "bottle": ("flask",),
    "plate": ("dish",), "bowl": ("basin",), "can": ("tin",),
}  # fmt: skip
_NAMED = ("{n}", "a {n}", "the {n}", "this is a {n}", "one {n}", "a photo of a {n}")
_SAID = {
    "": ("a {a} and a {b}", "there is a {a} and a {b}", "i see a {a} and a {b}", "a {a} with a {b}", "the {a} and the {b}"),
    "left_of": ("a {a} left of a {b}", "a {a} to the left of a {b}", "the {a} is left of the {b}",
                "i see a {a} at the left of the {b}", "left of the {b} stands a {a}"),
    "right_of": ("a {a} right of a {b}", "a {a} to the right of a {b}", "the {a} is right of the {b}",
                 "i see a {a} at the right of the {b}", "right of the {b} stands a {a}"),
    "front_of": ("a {a} in front of a {b}", "a {a} that is in front of a {b}", "the {a} is in front of the {b}",
                 "i see a {a} before the {b}", "in front of the {b} stands a {a}"),
    "behind": ("a {a} behind a {b}", "a {a} that is behind a {b}", "the {a} is behind the {b}",
               "i see a {a} in back of the {b}", "behind the {b} stands a {a}"),
}  # fmt: skip
_ALSO_SHARE = 0.15


def words_of(texts: Sequence[str]) -> np.ndarray:
    """(B, WORDS, GRAMS) int32 rows of letter groups, 0 for none."""
    out = np.zeros((len(texts), WORDS, GRAMS), np.int32)
    for b, text in enumerate(texts):
        for w, word in enumerate(split_words(text)[:WORDS]):
            out[b, w] = grams(word)
    return out


def name_of(kind: int, colour: int, rng: np.random.Generator | None = None) -> str:
    """Colour and kind as words; with `rng`, at times another name of the kind. A colour without a word is left out."""
    word = KINDS[kind]
    if rng is not None and word in ALSO and rng.random() < _ALSO_SHARE:
        word = ALSO[word][int(rng.integers(len(ALSO[word])))]
    return f"{COLOURS[colour]} {word}".strip()


def named(rng: np.random.Generator, kind: int, colour: int) -> tuple[str, int, int]:
    """Words for a thing, and the kind and colour that they name, 0 for none: both, the kind alone, or the colour alone."""
    u = rng.random()
    if u < 0.15:
        return f"something {COLOURS[colour]}", 0, colour
    colour = 0 if u < 0.3 else colour
    return _NAMED[int(rng.integers(len(_NAMED)))].format(n=name_of(kind, colour, rng)), kind, colour


def sentence(rng: np.random.Generator, one: tuple[int, int], relation: int, other: tuple[int, int]) -> str:
    """That a thing of the one kind and colour stands so to one of the other."""
    options = _SAID[RELATIONS[relation]]
    return options[int(rng.integers(len(options)))].format(a=name_of(*one, rng), b=name_of(*other, rng))
