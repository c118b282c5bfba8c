"""Scenes -> arrays to train on: tokens, and the truth as numbers, with words kept once each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from omnistream_models.fused.captions import caption
from omnistream_models.fused.grams import GRAMS, grams, split_words
from omnistream_models.fused.scenes import Scene, scene
from omnistream_models.fused.schema import AMOUNTS, COLOURS, DIRECTIONS, KINDS, MANNERS, REASONS, VERBS
from omnistream_models.fused.tokens import FIELDS, WORDS, tokens

__all__ = ["IGNORE", "Data", "make_data", "shown", "tensors", "truth"]

#: What no loss looks at.
IGNORE = -100
_VERBS = tuple(VERBS)
#: Kept at half precision.
_HALVES = ("hands", "looks")
#: Not told apart when combinations of modalities are counted: there are words in every scene.
_WORDED = ("speech", "sound", "typed")
#: Fields that are kept; of sound there is little, and it has a stage of its own (`Sounds`).
_KEPT = tuple(name for name in FIELDS if not name.startswith("sounds"))
#: Verbs whose words are never enough: a thing, a hand or the gripper's state has its say.
_NEEDY = ("pick", "place", "give")
_TRUTH: tuple[str, ...] = ("verb", "reason", "direction", "amount", "manner", "kind", "colour", "target", "enough",
                          "objects", "hands")  # fmt: skip


def truth(made: Scene) -> dict[str, int]:
    """What each head should say, or IGNORE where nothing follows from the scene."""
    t, rule, sees = made.truth, VERBS[made.truth.verb], made.evidence.detections is not None
    unclear = t.reason == "unclear"
    done = not t.reason or t.reason in ("empty", "full")
    numbers = dict.fromkeys(_TRUTH, IGNORE)
    numbers["reason"] = REASONS.index(t.reason)
    numbers["enough"] = int(unclear or t.verb not in _NEEDY)
    thing = not unclear and made.meant is not None
    numbers["objects"], numbers["hands"] = int(thing), int(thing or (made.family == "there" and not unclear))
    if unclear:
        return numbers
    if t.reason != "contradiction" or t.verb in _NEEDY:
        numbers["verb"] = _VERBS.index(t.verb)
        numbers["manner"] = MANNERS.index(t.manner)
    if done and not (t.verb == "pick" and sees):
        numbers["direction"] = DIRECTIONS.index(t.direction)
    if done and rule.unit:
        numbers["amount"] = AMOUNTS.index(t.amount)
    if made.meant is not None and made.meant.kind in KINDS:
        numbers["kind"], numbers["colour"] = KINDS.index(made.meant.kind), COLOURS.index(made.meant.colour)
    if done and sees and t.target >= 0:
        numbers["target"] = t.target
    return numbers


def shown(hands: np.ndarray, on: np.ndarray) -> np.ndarray:
    """For hand tokens (..., HAND_SIZE): 0 folded index finger, 1 to 4 one that leads up, right, down, left; IGNORE for none."""
    way = (hands[..., 44:46] - hands[..., 42:44]) / np.maximum(hands[..., 46:47], 1e-6)
    heading = np.degrees(np.arctan2(way[..., 0], -way[..., 1]))
    sector = 1 + np.round((heading % 360) / 90).astype(int) % 4
    found = np.where(np.linalg.norm(way, axis=-1) > 0.6, sector, 0)
    return np.where(on, found, IGNORE)


@dataclass
class Data:
    """`arrays` by name: tokens, where `words`, `labels` and `caption` number rows of `vocabulary`; `truth` by head.

    `groups` are the numbers of the scenes with each combination of modalities.
    """

    arrays: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    vocabulary: np.ndarray
    groups: list[np.ndarray]
    captioned: np.ndarray
    shares: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        logs = np.log(np.maximum(2, [len(g) for g in self.groups]))
        self.shares = logs / logs.sum()

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Numbers of scenes: a combination m by P(m) = log N_m / sum log N_i, then any scene of it."""
        chosen = rng.choice(len(self.groups), count, p=self.shares)
        return np.array([self.groups[g][rng.integers(len(self.groups[g]))] for g in chosen])

    def take(
        self, numbers: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Tokens and truth of scenes, words and labels as rows of `vocabulary`.

        With `rng`, streams that the truth does not hang on are left out or of another scene.
        """
        x = {name: self.arrays[name][numbers] for name in _KEPT}
        y = {name: values[numbers] for name, values in self.truth.items()}
        if rng is not None:
            other = rng.permutation(len(numbers))
            for names, free in (
                (("hands", "hands_on"), y["hands"] == 0),
                (("objects", "labels", "looks", "objects_on", "seeing"), y["objects"] == 0),
                (("state", "state_on"), (y["enough"] == 1) & (y["reason"] != REASONS.index("empty"))),
            ):
                swapped = free & (rng.random(len(numbers)) < 0.25)
                gone = free & (rng.random(len(numbers)) < 0.15)
                for name in names:
                    values = np.where(_wide(swapped, x[name]), x[name][other], x[name])
                    x[name] = np.where(_wide(gone, values), np.zeros_like(values), values)
        x |= {name: x[name].astype(np.float32) for name in _HALVES}
        return x, y

    def grams(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each word among `rows` once, (N, GRAMS), and which each is: words are embedded once a batch, not each time."""
        unique, which = np.unique(rows, return_inverse=True)
        return self.vocabulary[unique], which.reshape(rows.shape)


def _wide(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *[1] * (like.ndim - 1))


def make_data(seed: int, count: int, *, test: bool = False, progress: Callable[[int], None] = lambda _: None) -> Data:
    """`count` scenes of a seed. `progress` is told how many there are, now and then."""
    words: dict[bytes, int] = {bytes(GRAMS * 4): 0}
    kinds = {name: FIELDS[name][1] for name in _KEPT} | dict.fromkeys(_HALVES, np.float16)
    shapes = {name: FIELDS[name][0] for name in _KEPT} | {"words": (WORDS,), "labels": FIELDS["labels"][0][:2]}
    arrays = {name: np.zeros((count, *shapes[name]), kinds[name]) for name in _KEPT}
    arrays["caption"] = np.zeros((count, WORDS), np.int32)
    heads = {name: np.full(count, IGNORE, np.int64) for name in _TRUTH}
    combos: dict[tuple[bool, ...], list[int]] = {}

    def number(row: np.ndarray) -> int:
        return words.setdefault(row.tobytes(), len(words))

    for n in range(count):
        made = scene(seed, n, test=test)
        found = tokens(made.evidence)
        for name in _KEPT:
            value = found[name]
            if name in ("words", "labels"):
                value = np.array([number(row) for row in value.reshape(-1, GRAMS)]).reshape(shapes[name])
            arrays[name][n] = value
        for name, value in truth(made).items():
            heads[name][n] = value
        text = caption(made, np.random.default_rng((seed, n, 7)), test=test)
        for i, word in enumerate(split_words(text)[:WORDS]):
            arrays["caption"][n, i] = number(grams(word))
        combos.setdefault(tuple(there for name, there in made.evidence.present().items() if name not in _WORDED), []).append(n)
        if n % 500 == 499:
            progress(n + 1)
    table = np.stack([np.frombuffer(row, np.int32) for row in words])
    groups = [np.array(numbers) for _, numbers in sorted(combos.items())]
    return Data(arrays, heads, table, groups, np.flatnonzero(arrays["caption"][:, 0]))


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """As torch tensors; indices as int64."""
    return {k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.int32 else v) for k, v in arrays.items()}
