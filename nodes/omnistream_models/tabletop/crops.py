"""Pictures as arrays to train on and to measure with: a crop of each thing, its name as numbers, and how things stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from omnistream_models.fused.making import Maker, camera
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.world import Thing, related, sprinkle
from omnistream_models.tabletop.cutting import ROOM, SIDE, cut
from omnistream_models.tabletop.scenes import Tabletops

__all__ = ["MOST", "RELATIONS", "Pictures", "relations_of", "rendered", "unseen"]

_STORED = 56
MOST = 8
#: Between two things in a sentence; the first says only that both are there.
RELATIONS = ("", "left_of", "right_of", "front_of", "behind")


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Of P pictures with T things in all; rows of things are in the order of pictures.

    `crops` (T, S, S, 3) uint8, `kinds` and `colours` (T,) int64 numbers of the schema's, `boxes` (T, 4) float32 in pixels,
    `first` (P + 1,) the number of each picture's first thing, `relations` (P, RELATIONS, MOST, MOST) bool: whether the one
    thing surely stands so to the other.
    """

    crops: np.ndarray
    kinds: np.ndarray
    colours: np.ndarray
    boxes: np.ndarray
    first: np.ndarray
    relations: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def relations_of(things: Sequence[Thing]) -> np.ndarray:
    """(RELATIONS, MOST, MOST) bool; where people differ it is false."""
    out = np.zeros((len(RELATIONS), MOST, MOST), bool)
    for i, one in enumerate(things):
        for j, other in enumerate(things):
            if i != j:
                out[:, i, j] = [True, *(related(one, r, other) is True for r in RELATIONS[1:])]
    return out


def rendered(
    seed: int,
    count: int,
    *,
    test: bool,
    margin: float = ROOM,
    side: int = _STORED,
    told: Callable[[int], None] = lambda _: None,
) -> Pictures:
    """The first `count` pictures of a seed. `told` is how many there are, now and then."""
    tabletops = Tabletops(seed, test=test)
    crops, things, boxes, relations, first = list[np.ndarray](), list[Thing](), list[np.ndarray](), list[np.ndarray](), [0]
    for n in range(count):
        one = tabletops[n]
        crops += [(cut(one.image, box, margin, side) * 255 + 0.5).astype(np.uint8) for box in one.boxes]
        things += one.things
        boxes.append(one.boxes)
        relations.append(relations_of(one.things))
        first.append(len(things))
        if n % 20 == 19 or n == count - 1:
            told(n + 1)
    tabletops.close()
    return _pictures(np.stack(crops), things, boxes, first, relations)


def unseen(seed: int, count: int) -> Pictures:
    """Tables of training as the boxes of `omnistream_models.fused.world`'s cameras, without crops."""
    blank = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    things, boxes, relations, first = list[Thing](), list[np.ndarray](), list[np.ndarray](), [0]
    for n in range(count):
        make = Maker(np.random.default_rng((seed, n)), test=False)
        placed = sprinkle(make.rng, [make.name() for _ in range(int(make.rng.integers(2, 9)))])
        things += placed
        boxes.append(camera(make).boxes(placed).astype(np.float32))
        relations.append(relations_of(placed))
        first.append(len(things))
    return _pictures(blank, things, boxes, first, relations)


def _pictures(
    crops: np.ndarray, things: list[Thing], boxes: list[np.ndarray], first: list[int], relations: list[np.ndarray]
) -> Pictures:
    return Pictures(
        crops,
        np.array([KINDS.index(t.kind) for t in things]),
        np.array([COLOURS.index(t.colour) for t in things]),
        np.concatenate(boxes),
        np.array(first),
        np.stack(relations),
    )
