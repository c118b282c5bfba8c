"""What goes wrong between the world and the evidence: words that are misheard or mistyped, labels and boxes that are off.

What a recognizer makes of words is no guess: `hearing.json` holds what the shipped one wrote for words of synthesized voices,
in one part for training and in another, of the voices that graphs/commands.yaml reserves, for tests
(launch/measure_hearing.py). Beside them training has words that merely sound alike (`alike.json`, launch/make_alikes.py).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from omnistream.message import Detections

__all__ = ["blurred", "misheard", "mistyped"]

#: Other names that a detector's vocabulary may have for the same.
_ALSO = {
    "cup": "mug", "ball": "sphere", "box": "carton", "block": "cube", "bottle": "flask", "plate": "dish", "can": "tin",
    "bowl": "basin",
}  # fmt: skip
#: So many words of training are taken for one of their sound, whether a recognizer has done so or not.
_ALIKE = 0.1
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@cache
def _heard(test: bool) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """For each word what was written for it, and how often, as shares."""
    table: dict[str, dict[str, int]] = json.loads(Path(__file__).with_name("hearing.json").read_text())[
        "test" if test else "train"
    ]
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for word, counts in table.items():
        shares = np.array(list(counts.values()), float)
        found[word] = (tuple(counts), shares / shares.sum())
    return found


@cache
def _alike() -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """For each word others of its sound, and how near they are, as shares."""
    table: dict[str, dict[str, int]] = json.loads(Path(__file__).with_name("alike.json").read_text())
    return {word: (tuple(near), np.array(list(near.values()), float) / sum(near.values())) for word, near in table.items()}


def misheard(rng: np.random.Generator, text: str, *, test: bool) -> str:
    """`text` as the recognizer might have written it; in training, also with words and letters that none has changed yet."""
    table, out = _heard(test), list[str]()
    for word in text.split():
        options = table.get(word)
        if not test and rng.random() < _ALIKE and word in _alike():
            options = _alike()[word]
        if options is not None:
            word = options[0][int(rng.choice(len(options[0]), p=options[1]))]
        if not test and len(word) > 3 and rng.random() < 0.02:
            word = _slip(rng, word)
        if word:
            out.append(word)
    return " ".join(out) or text


def mistyped(rng: np.random.Generator, text: str, *, test: bool) -> str:
    """`text` with a slip of the fingers in some words."""
    share = 0.025 if test else 0.015
    return " ".join(_slip(rng, word) if len(word) > 2 and rng.random() < share else word for word in text.split())


def _slip(rng: np.random.Generator, word: str) -> str:
    """A letter doubled, left out, swapped with the next or taken for its neighbour."""
    i, kind = int(rng.integers(1, len(word))), int(rng.integers(4))
    if kind == 0:
        return word[:i] + word[i - 1] + word[i:]
    if kind == 1:
        return word[:i] + word[i + 1 :]
    if kind == 2 and i + 1 < len(word):
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    row = next((r for r in _KEYBOARD if word[i] in r), word[i])
    return word[:i] + row[(row.index(word[i]) + int(rng.choice((-1, 1)))) % len(row)] + word[i + 1 :]


def blurred(rng: np.random.Generator, seen: Detections, meant: int, *, test: bool) -> Detections:
    """Boxes that are off (in tests with longer tails), other names for a kind, at times a ghost of little score, and the thing
    that is meant without its colour, where it is the only one of its kind."""
    sizes = np.stack([seen.boxes[:, 2] - seen.boxes[:, 0], seen.boxes[:, 3] - seen.boxes[:, 1]] * 2, axis=1)
    size = seen.boxes.shape  # some detectors of training are better than others
    off = rng.standard_t(3, size) * 0.03 if test else rng.laplace(0, rng.uniform(0.01, 0.05), size)
    boxes, scores = seen.boxes + off * sizes, seen.scores.copy()
    labels = list(seen.labels)
    kinds = [label.split()[-1] for label in labels]
    for n, label in enumerate(labels):
        if kinds[n] in _ALSO and rng.random() < 0.08:
            labels[n] = label[: -len(kinds[n])] + _ALSO[kinds[n]]
        elif n == meant and " " in label and kinds.count(kinds[n]) == 1 and rng.random() < 0.06:
            labels[n] = kinds[n]
    if labels and rng.random() < 0.08:
        at, like = rng.uniform(0, 200, 2), int(rng.integers(len(labels)))
        boxes = np.concatenate([boxes, [[at[0], at[1], at[0] + 25, at[1] + 25]]])
        labels.append(labels[like])
        scores = np.append(scores, rng.uniform(0.05, 0.3))
    return Detections(boxes.astype(np.float32), tuple(labels), scores.astype(np.float32))
