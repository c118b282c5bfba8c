"""A table with things on it, seen by a robot's camera: where they are, which one is meant, and whether that is beyond doubt.

Table coordinates, as the robot sees them: x to the right, y away from it, in table widths. In the picture u is to the right
and v down.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused.schema import COLOURS, KINDS

__all__ = [
    "BEYOND",
    "SIZE",
    "SPLIT_SEED",
    "Camera",
    "Meant",
    "Thing",
    "detections",
    "held_out",
    "pairs",
    "related",
    "sprinkle",
    "which",
]

SIZE = (320, 240)
_TRAINED = (
    "phone", "lamp", "spoon", "fork", "shoe", "pen", "key", "apple", "banana", "hat", "toy", "brush", "knife", "towel",
    "pencil", "paper", "lemon", "tomato", "potato", "carrot", "pillow", "blanket", "chair", "table", "sock", "shirt",
    "jacket", "ring", "watch", "camera", "battery", "cable", "charger", "laptop", "mouse", "keyboard", "screen", "speaker",
    "bell", "bucket", "broom", "shovel", "screwdriver", "wrench", "nail", "rope", "tape", "glue", "stapler", "ruler",
    "eraser", "folder", "envelope", "stamp", "coin", "wallet", "purse", "bag", "backpack", "umbrella", "cookie", "bread",
    "cheese", "egg", "pear", "peach", "cherry", "onion", "pepper", "salt", "sugar", "jar", "jug", "kettle", "pan", "pot",
    "lid", "tray", "napkin", "soap", "comb", "razor", "toothbrush", "bandage", "pill", "doll", "car", "truck", "train",
    "robot", "dice", "card", "marble", "puzzle", "drum", "guitar", "flower", "plant", "vase", "stone", "stick", "leaf",
    "feather", "shell", "helmet", "scarf", "belt", "button", "needle", "thread", "scissors", "magnet", "bolt", "drill",
    "saw", "flashlight", "map", "ticket", "magazine", "newspaper", "letter", "remote", "tablet", "headset", "cork", "straw",
    "whistle",
)  # fmt: skip
#: Things that no schema knows, by their word alone: to train on, and for tests only.
BEYOND = (
    _TRAINED,
    ("orange", "hammer", "glove", "candle", "clock", "sponge", "basket", "mirror"),
)
SPLIT_SEED = 17
#: Width and height in table widths.
_SIZES = {
    "cup": (0.08, 0.1), "ball": (0.08, 0.08), "box": (0.13, 0.1), "block": (0.06, 0.06), "bottle": (0.07, 0.2),
    "plate": (0.17, 0.06), "bowl": (0.13, 0.08), "can": (0.06, 0.11), "book": (0.16, 0.05),
}  # fmt: skip
_APART = 0.15


def held_out(kind: str, colour: str) -> bool:
    """Whether things of this kind and colour are never seen, nor spoken of, in training: about one in five."""
    return hashlib.blake2b(f"{SPLIT_SEED}:{kind}:{colour}".encode(), digest_size=4).digest()[0] % 5 == 0


def pairs(*, test: bool) -> list[tuple[str, str]]:
    """Kinds with colours of the one part or of the other."""
    return [(k, c) for k in KINDS[1:] for c in COLOURS[1:] if held_out(k, c) == test]


@dataclass(frozen=True, slots=True)
class Thing:
    kind: str
    colour: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Meant:
    """What words say of a thing. `relation` is to its like (left, right, front, back) or to the thing `to` (left_of, ...)."""

    kind: str = "object"
    colour: str = ""
    relation: str = ""
    to: tuple[str, str] = ("", "")
    deictic: bool = False

    def fits(self, thing: Thing) -> bool:
        return self.kind in ("object", thing.kind) and self.colour in ("", thing.colour)


@dataclass(frozen=True, slots=True)
class Camera:
    """Perspective by `nearness` (in table depths, of the camera to the table's edge) and a window of the picture."""

    nearness: float = 1.5
    width: float = 0.9
    middle: float = 0.5
    top: float = 0.42
    bottom: float = 0.93

    def place(self, x: float, y: float) -> tuple[float, float, float]:
        """u and v in 0..1 of the picture, and the scale there."""
        scale, far = self.nearness / (self.nearness + y), self.nearness / (self.nearness + 1)
        return self.middle + self.width * x * scale, self.top + (self.bottom - self.top) * (scale - far) / (1 - far), scale

    def boxes(self, things: Sequence[Thing]) -> np.ndarray:
        """(N, 4) float64: x0 y0 x1 y1 in pixels; a thing stands on its point."""
        rows: list[tuple[float, float, float, float]] = []
        for thing in things:
            u, v, scale = self.place(thing.x, thing.y)
            wide, high = (side * scale * self.width for side in _SIZES.get(thing.kind, (0.09, 0.09)))
            rows.append((SIZE[0] * (u - wide / 2), SIZE[1] * v - SIZE[0] * high, SIZE[0] * (u + wide / 2), SIZE[1] * v))
        return np.array(rows).reshape(-1, 4)


def sprinkle(rng: np.random.Generator, names: Sequence[tuple[str, str]], placed: Sequence[Thing] = ()) -> list[Thing]:
    """`placed` and things of the named kinds and colours, nowhere on top of each other; fewer where there is no more room."""
    placed = list(placed)
    for kind, colour in names:
        for _ in range(20):
            x, y = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0, 1))
            if all(math.hypot(t.x - x, t.y - y) > _APART for t in placed):
                placed.append(Thing(kind, colour, x, y))
                break
    return placed


def related(thing: Thing, relation: str, other: Thing) -> bool | None:
    """Whether one thing is left_of, right_of, front_of or behind another as anybody would say; None where people differ.

    Left is more to the left than before or behind; front is towards the robot.
    """
    dx, dy = thing.x - other.x, thing.y - other.y
    along, across = {"left_of": (-dx, dy), "right_of": (dx, dy), "front_of": (-dy, dx), "behind": (dy, dx)}[relation]
    if along > 0.07 and along > 1.3 * abs(across):
        return True
    return False if along < 0.8 * abs(across) or along < 0.02 else None


def which(things: Sequence[Thing], meant: Meant, pointed: int | None) -> tuple[int, str] | None:
    """The number of the thing that is meant, "" ; or -1 and the reason why none is; None where it is open to doubt.

    `pointed` is the thing that a hand points to: it decides between those that the words leave open, and contradicts the words
    where it is none of them.
    """
    found = [n for n, thing in enumerate(things) if meant.fits(thing)]
    if not found:
        return -1, "absent"
    if meant.to[0]:
        narrowed = _beside(things, found, meant)
        if narrowed is None:
            return None
        found = narrowed
        if not found:
            return -1, "absent"
    elif meant.relation and len(found) > 1:
        extreme = _extreme(things, found, meant.relation)
        if extreme is None:
            return None
        found = [extreme]
    if pointed is not None:
        return (pointed, "") if pointed in found else (-1, "contradiction")
    if meant.deictic:
        return -1, "missing"
    return (found[0], "") if len(found) == 1 else (-1, "ambiguous")


def _beside(things: Sequence[Thing], found: Sequence[int], meant: Meant) -> list[int] | None:
    """Those in the relation to the one thing that is named; None where that is open to doubt."""
    anchors = [t for t in things if t.kind == meant.to[0] and meant.to[1] in ("", t.colour)]
    if len(anchors) != 1:
        return None if anchors else []
    others = [n for n in found if things[n] is not anchors[0]]
    if meant.relation == "next_to":
        near = sorted((math.hypot(things[n].x - anchors[0].x, things[n].y - anchors[0].y), n) for n in others)
        if not near or near[0][0] > 0.4:
            return []
        clear = near[0][0] < 0.27 and (len(near) == 1 or near[1][0] > 1.7 * near[0][0])
        return [near[0][1]] if clear else None
    said = [(n, related(things[n], meant.relation, anchors[0])) for n in others]
    return None if any(yes is None for _, yes in said) else [n for n, yes in said if yes]


def _extreme(things: Sequence[Thing], found: Sequence[int], relation: str) -> int | None:
    """The leftmost and the like, by a clear lead on the table and, for sides, in a picture of it, too."""

    def lead(key: dict[int, float]) -> int | None:
        first, second = sorted(key, key=lambda n: key[n])[:2]
        return first if key[second] - key[first] > 0.09 else None

    if relation in ("front", "back"):
        return lead({n: things[n].y * (1 if relation == "front" else -1) for n in found})
    sign, camera = (1 if relation == "left" else -1), Camera()
    on_table = lead({n: things[n].x * sign for n in found})
    seen = lead({n: camera.place(things[n].x, things[n].y)[0] * sign for n in found})
    return on_table if on_table == seen else None


def detections(things: Sequence[Thing], camera: Camera, scores: np.ndarray) -> Detections:
    """What a faultless detector sees: labels are colour and kind."""
    labels = tuple(" ".join(w for w in (t.colour, t.kind) if w) for t in things)
    return Detections(camera.boxes(things).astype(np.float32), labels, scores.astype(np.float32))
