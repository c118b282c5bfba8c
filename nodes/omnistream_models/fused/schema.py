"""What the fused reasoner can decide: verbs, what each may carry, and the limits of its numbers.

The limits are those of `base_motion` and of `graphs/voice_robot.yaml`: distances of 0 to 20 m, angles of a full turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from omnistream.message import Action

__all__ = [
    "AMOUNTS", "COLOURS", "DEGREES", "DIRECTIONS", "HEADS", "KINDS", "MANNERS", "METRES", "REASONS", "VERBS",
    "Decision", "VerbRule", "faults",
]  # fmt: skip

#: Kinds of things that a table may bear; the first is any thing at all.
KINDS = ("object", "cup", "ball", "box", "block", "bottle", "plate", "bowl", "can", "book")
COLOURS = ("", "red", "blue", "green", "yellow", "white", "black")
DIRECTIONS = ("", "left", "right", "around", "up", "down", "back", "open", "closed", "on")
METRES: tuple[float, ...] = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
DEGREES: tuple[float, ...] = (30, 45, 60, 90, 120, 180)
#: The first says that no amount was given.
AMOUNTS: tuple[str, ...] = ("", *(f"{m:g} m" for m in METRES), *(f"{d:g} deg" for d in DEGREES))
MANNERS = ("", "slowly", "quickly")
#: By how much a manner changes the speed.
SPEED_RATIO = {"slowly": 0.5, "quickly": 1.5}
#: Why nothing is done; the first is that something is.
REASONS = ("", "unclear", "contradiction", "missing", "ambiguous", "absent", "empty", "full")
#: What a decision may be refused for beside what a network says.
UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class VerbRule:
    """What an action of one verb may carry: `directions` allowed, amounts by their unit ("m", "deg" or none), a thing."""

    directions: tuple[str, ...] = ("",)
    unit: str = ""
    manner: bool = False
    thing: bool = False


_PLAIN = VerbRule()
VERBS: Mapping[str, VerbRule] = {
    "stop": _PLAIN,
    "forward": VerbRule(unit="m", manner=True),
    "backward": VerbRule(unit="m", manner=True),
    "turn": VerbRule(("left", "right", "around"), unit="deg", manner=True),
    "come": VerbRule(manner=True),
    "follow": VerbRule(manner=True),
    "describe": _PLAIN,
    "pick": VerbRule(("", "left", "right"), manner=True, thing=True),
    "place": VerbRule(("down", "back", "left", "right", "on"), manner=True, thing=True),
    "gripper": VerbRule(("open", "closed")),
    "look": VerbRule(("left", "right", "up", "down")),
    "home": VerbRule(manner=True),
    "wave": _PLAIN,
    "slow": _PLAIN,
    "wait": _PLAIN,
    "give": _PLAIN,
}

#: The outputs of a network, each with its length; `target` has one for each detection instead.
HEADS: Mapping[str, int] = {
    "verb": len(VERBS), "reason": len(REASONS), "direction": len(DIRECTIONS), "amount": len(AMOUNTS),
    "manner": len(MANNERS), "kind": len(KINDS), "colour": len(COLOURS),
}  # fmt: skip

#: [lowest, highest] of every value that an action of ours may have.
LIMITS: Mapping[str, tuple[float, float]] = {
    "distance_m": (0.0, 20.0),
    "angle_rad": (-2 * math.pi, 2 * math.pi),
    "speed_ratio": (0.25, 2.0),
    "u_px": (0.0, 8192.0),
    "v_px": (0.0, 8192.0),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, or, where `reason` is not empty, why nothing is. `target` numbers a detection; -1 is none.

    `confidence` is of the whole: that it is neither another action nor none.
    """

    verb: str
    direction: str = ""
    amount: str = ""
    manner: str = ""
    kind: str = "object"
    colour: str = ""
    target: int = -1
    reason: str = ""
    confidence: float = 1.0
    gates: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)

    @property
    def asked(self) -> tuple[str, ...] | str:
        """What counts when two decisions are compared: the action, or that there is none."""
        if self.reason:
            return "rejected"
        rule = VERBS[self.verb]
        amount = self.amount or {"m": "1 m", "deg": "180 deg" if self.direction == "around" else "90 deg"}.get(rule.unit, "")
        parts: list[str] = [self.verb, self.direction, amount, self.manner]
        if rule.thing:
            parts += [f"#{self.target}"] if self.target >= 0 else [self.kind, self.colour]
        return tuple(parts)


def faults(action: Action) -> list[str]:
    """Why `action` is none of this schema: an unknown kind, a direction that it cannot have, a value out of its limits."""
    rule = VERBS.get(action.kind)
    if rule is None:
        return [f"kind '{action.kind}'"]
    found: list[str] = []
    for name, value in action.values.items():
        low, high = LIMITS.get(name, (math.inf, -math.inf))
        if not (math.isfinite(value) and low <= value <= high):
            found.append(f"{name} is {value}")
    allowed = {"distance_m": rule.unit == "m", "angle_rad": rule.unit == "deg", "speed_ratio": rule.manner}
    found += [f"{action.kind} has {name}" for name in action.values if not allowed.get(name, rule.thing)]
    if rule.unit == "m" and action.values.get("distance_m", 0.0) <= 0:
        found.append("no distance")
    if action.kind == "turn" and not action.values.get("angle_rad"):
        found.append("no angle")
    if (rule.thing or rule.directions != ("",)) and not action.target:
        found.append("no target")
    if not rule.thing and action.target not in rule.directions:
        found.append(f"{action.kind} to '{action.target}'")
    if (action.kind == "stop") != (action.valid_until_ns == 1 << 62):
        found.append("only a stop never expires")
    return found
