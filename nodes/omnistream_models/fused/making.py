"""What all scenes are made with: chance, words with their noise, a hand in their time, a table in the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused import phrases
from omnistream_models.fused.evidence import Evidence, Words
from omnistream_models.fused.gesturing import Showing, point_to, show
from omnistream_models.fused.noise import blurred, misheard, mistyped
from omnistream_models.fused.phrases import Both
from omnistream_models.fused.schema import VERBS, Decision
from omnistream_models.fused.talk import around
from omnistream_models.fused.world import SIZE, Camera, Meant, Thing, detections, pairs, sprinkle

__all__ = ["SIDES", "Maker", "Scene", "background", "camera", "idle", "manner", "state", "told"]

SIDES = ("left", "right")
#: Of spoken sentences so many are heard without an error, in training and in tests; of the shipped grammar's more, for the
#: recognizer knows those. Training hears worse.
_CLEAR, _CLEAR_SHIPPED = {False: 0.5, True: 0.7}, {False: 0.8, True: 0.9}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """`evidence` and its `truth`. `family` says what it is about; `shipped`: the sentence is one of the shipped grammar's.

    `things` are what stands on the table, in the detections' order; a caption of them is `caption`.
    """

    evidence: Evidence
    truth: Decision
    family: str
    text: str
    shipped: bool
    things: tuple[Thing, ...] = ()
    meant: Meant | None = None


@dataclass(slots=True)
class Maker:
    rng: np.random.Generator
    test: bool

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def phrase(self, both: Both) -> str:
        return self.one(both.test if self.test else both.train)

    def name(self, *, free: bool = False) -> tuple[str, str]:
        """A kind and colour of this part; `free`: in tests, one of either part."""
        options = pairs(test=self.test and not (free and self.chance(0.5)))
        return options[int(self.rng.integers(len(options)))]


def told(
    make: Maker,
    text: str,
    truth: Decision,
    showing: Showing,
    *,
    holding: bool | None,
    family: str,
    shipped: bool,
    seen: Detections | None,
) -> Scene:
    """The words by voice, keyboard or both, with the hand in their time."""
    rng = make.rng
    if not make.test and not shipped and truth.reason != "unclear" and make.chance(0.45):
        text = around(rng, text)
    typed = make.chance(0.3)
    late = float(rng.uniform(0.05, 0.35))
    clear = make.chance((_CLEAR_SHIPPED if shipped else _CLEAR)[make.test])
    heard = text if clear else misheard(rng, text, test=make.test)
    said = Words(heard, -late - 0.25 - 0.22 * len(text.split()), -late)
    evidence = Evidence(speech=said, detections=seen, holding=holding, size=SIZE)
    if typed:
        evidence = replace(evidence, speech=None, typed=Words(mistyped(rng, text, test=make.test)))
    start, end = (0.0, 0.0) if typed else (said.start_s, said.end_s)
    hands = showing.frames(rng, start - 0.3, min(0.0, end + 0.3), before=make.chance(0.1), test=make.test)
    return Scene(replace(evidence, hands=tuple(hands)), truth, family, text, shipped)


def manner(make: Maker, text: str, truth: Decision) -> tuple[str, Decision]:
    if not VERBS[truth.verb].manner or truth.reason == "unclear" or not make.chance(0.12):
        return text, truth
    how = make.one(("slowly", "quickly"))
    word = make.phrase(phrases.MANNERS[how])
    return (f"{word} {text}" if make.chance(0.3) and " " not in word else f"{text} {word}"), replace(truth, manner=how)


def state(make: Maker, truth: Decision, *, fits: bool) -> tuple[bool | None, Decision]:
    """Whether something is held; `fits`: what the command needs. Of commands that need it one in ten cannot be carried out."""
    if make.chance(0.35):
        return None, truth
    if truth.verb not in ("pick", "place", "give"):
        return make.chance(0.5), truth
    if truth.reason or make.chance(0.9):
        return fits, truth
    return not fits, replace(truth, reason="empty" if fits else "full")


def idle(make: Maker) -> Showing:
    """A hand that has nothing to do with what is said."""
    u = make.rng.random()
    if u < 0.75:
        return Showing()
    return point_to(make.rng, make.one(SIDES)) if u < 0.85 else show(make.rng, make.one(("thumb", "fist", "two")))


def background(make: Maker) -> tuple[Detections | None, tuple[Thing, ...]]:
    """What stands on the table while something else is asked for; None where nobody looks."""
    if make.chance(0.35):
        return None, ()
    things = sprinkle(make.rng, [make.name(free=True) for _ in range(int(make.rng.integers(1, 8)))])
    seen = detections(things, camera(make), make.rng.uniform(0.45, 0.98, len(things)))
    return blurred(make.rng, seen, -1, test=make.test), tuple(things)


def camera(make: Maker) -> Camera:
    """Cameras of tests stand where none of training stood."""
    rng = make.rng
    near = rng.uniform(1.0, 1.4) if make.test else rng.uniform(1.4, 2.5)
    top = rng.uniform(0.38, 0.44) if make.test else rng.uniform(0.44, 0.52)
    return Camera(
        float(near), float(rng.uniform(0.8, 0.95)), float(rng.uniform(0.46, 0.54)), float(top), float(rng.uniform(0.88, 0.97))
    )
