"""Scenes with exact truth: what is said, shown and seen at one moment, and what is to be done about it.

What a scene is made of is either for training or for tests, by fixed rules: pairs of kind and colour (`world.held_out`),
sentences (`phrases.Both`), the recognizer's errors by the voices that led to them, cameras, and the noise of boxes and hands.
A scene's truth is what can be known from the evidence that is there: of "take that" without a hand it is that nothing is done.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused import phrases, talk
from omnistream_models.fused.evidence import Words
from omnistream_models.fused.gesturing import Showing, point_to, show
from omnistream_models.fused.making import SIDES, Maker, Scene, background, idle, manner, state, told
from omnistream_models.fused.noise import misheard, mistyped
from omnistream_models.fused.schema import DEGREES, KINDS, METRES, VERBS, Decision
from omnistream_models.fused.seeing import looked
from omnistream_models.fused.things import thing
from omnistream_models.fused.world import BEYOND

__all__ = ["Scene", "scene"]

_NUMBERS = {
    0.5: "half a", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten",
    30: "thirty", 45: "forty five", 60: "sixty", 90: "ninety", 120: "one hundred twenty", 180: "one hundred eighty",
}  # fmt: skip
_PLAIN = 0.25
_MOVES = tuple((verb, way) for verb, way in phrases.FIXED if (verb, way) != ("place", "there"))


def scene(seed: int, number: int, *, test: bool = False, shipped: float = 0.3, plain: float | None = None) -> Scene:
    """Scene `number` of a seed.

    `shipped` is the share of sentences that are the shipped grammar's own, where it has one; `plain` the share of detectors
    that know no colours (of training a quarter, of tests none).
    """
    made = _scene(Maker(np.random.default_rng((seed, number, int(test))), test), shipped)
    plain = (0.0 if test else _PLAIN) if plain is None else plain
    return looked(made, np.random.default_rng((seed, number, int(test), 1)), plain=plain, test=test)


def _scene(make: Maker, shipped: float) -> Scene:
    rng = make.rng
    u = rng.random()
    own = make.chance(shipped)
    if u < 0.44:
        return thing(make, "pick", own=own) or _fixed(make, own)
    if u < 0.52:
        return thing(make, "place", own=False) or _fixed(make, own)
    if u < 0.56:
        return _there(make, own)
    if u < 0.86:
        return _fixed(make, own)
    return _nothing(make)


def _there(make: Maker, own: bool) -> Scene:
    """ "put it there": to the side that the hand points to."""
    showing = point_to(make.rng, make.one(SIDES)) if make.chance(0.75) else Showing()
    if not showing.poses and make.chance(0.5):
        showing = show(make.rng, make.one(("thumb", "fist", "two")))
    truth = Decision("place", showing.side or "down", reason="" if showing.side else "missing")
    text = "put it there" if own else make.phrase(phrases.FIXED["place", "there"])
    holding, truth = state(make, truth, fits=True)
    seen, things = background(make)
    made = told(make, text, truth, showing, holding=holding, family="there", shipped=own, seen=seen)
    return replace(made, things=things)


def _fixed(make: Maker, own: bool) -> Scene:
    rng = make.rng
    verb, way = _MOVES[int(rng.integers(len(_MOVES)))]
    text = make.phrase(phrases.FIXED[verb, way])
    truth = Decision(verb, way)
    text, truth = _amount(make, text, truth)
    if own and (found := _shipped(make, verb, way)) is not None:
        text, truth = found
    else:
        own = False
    plain = text
    holding, truth = state(make, truth, fits=verb in ("place", "give"))
    text, truth = manner(make, text, truth)
    seen, things = background(make)
    if not truth.reason and verb != "stop" and make.chance(0.1 if make.test else 0.2):
        return replace(_twice(make, text, truth, holding, seen), things=things)
    made = told(make, text, truth, idle(make), holding=holding, family=verb, shipped=own and text == plain, seen=seen)
    return replace(made, things=things)


def _twice(make: Maker, text: str, truth: Decision, holding: bool | None, seen: Detections | None) -> Scene:
    """Said and typed within a second: the same twice, or two things that cannot both be meant."""
    again, way = text, (truth.verb, truth.direction)
    if make.chance(0.5):
        while (way := _MOVES[int(make.rng.integers(len(_MOVES)))]) in ((truth.verb, truth.direction), ("stop", "")):
            pass
        again, truth = (
            " ".join(make.phrase(phrases.FIXED[way]).replace("{n}", "").split()),
            replace(truth, reason="contradiction"),
        )
    made = told(make, text, truth, idle(make), holding=holding, family="twice", shipped=False, seen=seen)
    typed = made.evidence.typed
    said = Words(misheard(make.rng, again, test=make.test), -0.9, -0.2) if typed else made.evidence.speech
    typed = typed or Words(mistyped(make.rng, again, test=make.test), -0.5, -0.5)
    return replace(made, evidence=replace(made.evidence, speech=said, typed=typed))


def _nothing(make: Maker) -> Scene:
    """A sentence that is no command, whatever the hand does."""
    truth = Decision("stop", reason="unclear")
    if make.chance(0.45):
        wrap, own = make.phrase(phrases.WRAPS), make.chance(0.5)
        command = _fixed(make, own) if make.chance(0.5) else (thing(make, "pick", own=own) or _fixed(make, own))
        text = wrap.replace("{c}", command.text)
        if not make.test and make.chance(0.75):
            text = talk.wrapped(make.rng, command.text)
    else:
        text = phrases.no_command(make.rng, test=make.test)
        if not make.test and make.chance(0.5):
            text = talk.no_command(make.rng, (*KINDS[1:], *BEYOND[0]))
    seen, things = background(make)
    holding = None if make.chance(0.5) else make.chance(0.5)
    made = told(make, text, truth, idle(make), holding=holding, family="none", shipped=False, seen=seen)
    return replace(made, things=things)


def _shipped(make: Maker, verb: str, way: str) -> tuple[str, Decision] | None:
    """The grammar's own sentence for it."""
    if verb == "forward" and make.chance(0.6):
        number = int(make.rng.integers(1, 11))
        text = f"go forward {_NUMBERS[number]} meter{'s' if number > 1 or make.chance(0.5) else ''}"
        return text, Decision(verb, "", f"{number} m")
    words = {
        "forward": "go forward", "backward": "go backward", "turn": f"turn {way}", "come": "come here", "follow": "follow me",
        "describe": "what do you see", "place": f"put it {way}", "look": f"look {way}", "home": "go home",
        "wave": "wave your hand", "slow": "slow down", "wait": "wait here", "give": "give it to me",
    }  # fmt: skip
    if verb == "stop":
        return make.one(("stop", "stop now", "halt")), Decision("stop")
    if verb == "gripper":
        return f"{'open' if way == 'open' else 'close'} the gripper", Decision(verb, way)
    return words[verb], Decision(verb, way)


def _amount(make: Maker, text: str, truth: Decision) -> tuple[str, Decision]:
    if "{n}" not in text:
        return text, truth
    unit = VERBS[truth.verb].unit
    if make.chance(0.25):
        return " ".join(text.replace("{n}", "").split()), truth
    number = float(make.rng.choice(METRES if unit == "m" else DEGREES))
    one = number <= 1
    word = _NUMBERS[number] if make.chance(0.75) or number == 0.5 else f"{number:g}"
    name = (
        (make.one(("meter", "metre")) if one else make.one(("meters", "metres", "meters", "m"))) if unit == "m" else "degrees"
    )
    return text.replace("{n}", f"{word} {name}"), replace(truth, amount=f"{number:g} {unit}")
