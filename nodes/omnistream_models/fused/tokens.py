"""Evidence -> arrays of fixed size with masks, one row a token: what the network reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused.evidence import HEARD, LOOKS, Evidence, HandSeen, Look, Words
from omnistream_models.fused.grams import GRAMS, grams, split_words
from omnistream_models.fused.schema import COLOURS, KINDS

__all__ = [
    "FIELDS", "HANDS", "HAND_SIZE", "LABEL_WORDS", "NEEDS", "OBJECTS", "OBJECT_SIZE", "SOUNDS", "TEXT_FIELDS", "WORDS",
    "batch", "kept", "other_tokens", "text_tokens", "tokens", "unnamed",
]  # fmt: skip

#: Tokens kept of each modality: more words than this are no command, and of objects the surest are kept.
WORDS, HANDS, OBJECTS, LABEL_WORDS = 20, 8, 12, 3
#: Of speech so many stretches of equal length, each the mean of what was heard in it.
SOUNDS = 8
#: Of a hand: 21 points relative to the wrist in palms (x, y), knuckle and tip of the index finger in the picture (x, y),
#: palm's size, seconds from the beginning and the end of the words, and whether that is within the margin.
HAND_SIZE = 42 + 4 + 1 + 3
#: Of an object: middle x and y, width and height in pictures' heights, score.
OBJECT_SIZE = 5
#: Gestures count so long before and after the words.
MARGIN_S = 0.3

#: Every array with its shape and type; a batch has one more dimension in front.
FIELDS: Mapping[str, tuple[tuple[int, ...], type]] = {
    "words": ((WORDS, GRAMS), np.int32),
    "words_on": ((WORDS,), np.bool_),
    "typed": ((WORDS,), np.float32),
    "hands": ((HANDS, HAND_SIZE), np.float32),
    "hands_on": ((HANDS,), np.bool_),
    "objects": ((OBJECTS, OBJECT_SIZE), np.float32),
    "labels": ((OBJECTS, LABEL_WORDS, GRAMS), np.int32),
    "looks": ((OBJECTS, LOOKS), np.float32),
    "objects_on": ((OBJECTS,), np.bool_),
    "seeing": ((1,), np.float32),
    "state": ((1,), np.float32),
    "state_on": ((1,), np.bool_),
    "sounds": ((SOUNDS, HEARD), np.float32),
    "sounds_on": ((SOUNDS,), np.bool_),
}
#: What words may be in need of, where they are not enough.
NEEDS: tuple[str, ...] = ("objects", "hands")
#: What is read before anything else.
TEXT_FIELDS = ("words", "words_on", "typed")
_COLOURS = frozenset(COLOURS[1:])


def tokens(evidence: Evidence) -> dict[str, np.ndarray]:
    """One item. What there is more of than fits is left out: late words, gestures between others, the least sure objects."""
    return text_tokens(evidence) | other_tokens(evidence)


def text_tokens(evidence: Evidence) -> dict[str, np.ndarray]:
    """The fields of what was typed, then of what was said."""
    out = _empty(TEXT_FIELDS)
    at = 0
    for words, typed in ((evidence.typed, 1.0), (evidence.speech, 0.0)):
        if words is None:
            continue
        for word in split_words(words.text)[: WORDS - at]:
            out["words"][at], out["words_on"][at], out["typed"][at] = grams(word), True, typed
            at += 1
    return out


def unnamed(label: str) -> bool:
    """Whether a detector's label leaves open what kind of thing it is, or what colour it has."""
    words = split_words(label)
    return not words or words[-1] == KINDS[0] or _COLOURS.isdisjoint(words)


def other_tokens(evidence: Evidence, *, every: bool = True) -> dict[str, np.ndarray]:
    """The fields of all that is no text. Looked at is `every` thing, or only those whose label leaves something open."""
    out = _empty(name for name in FIELDS if name not in TEXT_FIELDS)
    if evidence.words is not None and evidence.hands:
        _put_hands(out, evidence.hands, evidence.words, evidence.size[0] / evidence.size[1])
    if evidence.detections is not None:
        out["seeing"][0] = 1.0
        _put_objects(out, evidence.detections, evidence.size)
        if evidence.look is not None:
            _put_looks(out, evidence.detections, evidence.look, every=every)
    if evidence.holding is not None:
        out["state"][0], out["state_on"][0] = (1.0 if evidence.holding else -1.0), True
    if evidence.sound is not None and len(evidence.sound):
        _put_sounds(out, evidence.sound)
    return out


def _empty(names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: np.zeros(*FIELDS[name]) for name in names}


def batch(items: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Items, one above the other."""
    return {name: np.stack([item[name] for item in items]) for name in FIELDS}


def kept(seen: Detections) -> np.ndarray:
    """Numbers of the detections that are read, in their order: all, or the surest where there are more than fit."""
    if len(seen.labels) <= OBJECTS:
        return np.arange(len(seen.labels))
    return np.sort(np.argsort(-np.nan_to_num(seen.scores), kind="stable")[:OBJECTS])


def _put_hands(out: dict[str, np.ndarray], hands: Sequence[HandSeen], words: Words, aspect: float) -> None:
    """The hands within the words' time first, spread evenly; else those of before and after."""

    def within(hand: HandSeen) -> bool:
        return words.start_s - MARGIN_S <= hand.at_s <= words.end_s + MARGIN_S

    usable = [h for h in hands if np.isfinite(h.landmarks).all()]
    chosen = [h for h in usable if within(h)] or usable
    if len(chosen) > HANDS:
        chosen = [chosen[round(i * (len(chosen) - 1) / (HANDS - 1))] for i in range(HANDS)]
    for i, hand in enumerate(chosen):
        points = hand.landmarks[:, :2].astype(np.float64) * (aspect, 1.0)
        palm = max(1e-6, float(np.mean([math.dist(points[0], points[k]) for k in (5, 9, 17)])))
        shape = np.clip((points - points[0]) / palm, -8, 8)
        times = (hand.at_s - words.start_s, hand.at_s - words.end_s, float(within(hand)))
        out["hands"][i] = np.concatenate(
            [shape.reshape(-1), np.clip([*points[5], *points[8], palm], -8, 8), np.clip(times, -5, 5)]
        )
        out["hands_on"][i] = True


def _put_objects(out: dict[str, np.ndarray], seen: Detections, size: tuple[int, int]) -> None:
    numbers = kept(seen)
    count = len(numbers)
    if not count:
        return
    boxes = np.clip(np.nan_to_num(seen.boxes[numbers].astype(np.float64) / size[1]), -8, 8)
    low, high = boxes[:, :2], boxes[:, 2:]
    scores = np.clip(np.nan_to_num(seen.scores[numbers].astype(np.float64)), 0, 1)
    out["objects"][:count] = np.concatenate([(low + high) / 2, high - low, scores[:, None]], axis=1)
    out["objects_on"][:count] = True
    for i, n in enumerate(numbers):
        for k, word in enumerate(split_words(seen.labels[n])[-LABEL_WORDS:][::-1]):  # the kind is the last word
            out["labels"][i, k] = grams(word)


def _put_looks(out: dict[str, np.ndarray], seen: Detections, look: Look, *, every: bool) -> None:
    numbers = kept(seen)
    rows = [row for row, n in enumerate(numbers) if every or unnamed(seen.labels[n])]
    if rows:
        out["looks"][rows] = np.nan_to_num(look(numbers[rows]))


def _put_sounds(out: dict[str, np.ndarray], sound: np.ndarray) -> None:
    parts = [p for p in np.array_split(np.nan_to_num(sound), SOUNDS) if len(p)]
    out["sounds"][: len(parts)] = [p.mean(0) for p in parts]
    out["sounds_on"][: len(parts)] = True
