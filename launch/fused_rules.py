"""The rules, given the evidence that the fused reasoner is given, and what they decide in its terms: a baseline.

Frozen before the network was first trained. What their target in words means among the detections is read kindly: the one thing
whose label has all the words, or the outermost of them on the side that is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnistream.message import MS, SECOND, Action, Command, Detections, Gesture, Message, Text, Transcript
from omnistream.node import Recent
from omnistream.testing import context
from omnistream_models.fused.evidence import Evidence
from omnistream_models.fused.schema import COLOURS, KINDS, Decision
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.hand_shape import classify
from omnistream_nodes.rule_reasoner import RuleReasoner

__all__ = ["Rules", "gestures", "intent"]

NOW = 1_800_000_000 * SECOND
_LEAST_SCORE = 0.4


def at(seconds: float) -> int:
    return NOW + round(seconds * SECOND)


def gestures(evidence: Evidence) -> Recent[Gesture]:
    """What `hand_gesture` would say of the hands."""
    width, height = evidence.size
    found: list[Message[Gesture]] = []
    for n, hand in enumerate(evidence.hands):
        name, confidence = classify(hand.landmarks.astype(np.float64) * (width, height, width))
        stamp = at(hand.at_s)
        gesture = Gesture(name, confidence, "", hand.landmarks)
        found.append(Message("hands.out", 0, n, ("hands.out", 0, n), stamp, stamp, stamp + 200 * MS, {}, gesture))
    return Recent(found)


async def intent(parser: CommandParser, ctx: object, evidence: Evidence) -> Command | None:
    """What the parser makes of the words, typed or said."""
    words = evidence.words
    if words is None:
        return None
    ctx.now = NOW  # type: ignore[attr-defined]
    if evidence.typed is not None:
        return await parser.step(Text(words.text))
    return await parser.step(Transcript(words.text, final=True, start_ns=at(words.start_s), end_ns=at(words.end_s)))


class Rules:
    """`command_parser` and `rule_reasoner`."""

    async def open(self) -> None:
        self._parser, self._parsed = CommandParser(), context("parse")
        await self._parser.open(self._parsed)

    async def decide(self, evidence: Evidence) -> tuple[tuple[str, ...] | str, Command | None]:
        """As `Decision.asked`, and the command as it was parsed."""
        command = await intent(self._parser, self._parsed, evidence)
        node, ctx = RuleReasoner(), context("reason", now=NOW, cause=NOW)
        await node.open(ctx)
        told = await node.step(intent=command, gesture=gestures(evidence)) if command is not None else None
        if told is None or (told.action is None and told.stop is None):
            return "rejected", command
        return meant(told.action or told.stop, evidence.detections), command


def meant(action: Action | None, seen: Detections | None) -> tuple[str, ...] | str:
    """The action in the terms of the schema; "rejected" where its target is none, or several, of what is seen."""
    assert action is not None
    words = action.target.split()
    if action.kind in ("forward", "backward"):
        return Decision(action.kind, amount=f"{action.values.get('distance_m', 1.0):g} m").asked
    if action.kind != "pick":
        return Decision(action.kind, words[0] if words else "").asked
    side = words[0] if words[0] in ("left", "right") else ""
    named = [w for w in words if w != side]
    if seen is None:
        kind, colour = (next((w for w in named if w in known), "") for known in (KINDS, COLOURS))
        return Decision("pick", side, kind=kind or "object", colour=colour).asked
    number = _found(seen, [w for w in named if w != "object"], side)
    return "rejected" if number is None else Decision("pick", target=number).asked


def _found(seen: Detections, words: Sequence[str], side: str) -> int | None:
    fit = [n for n, label in enumerate(seen.labels) if seen.scores[n] >= _LEAST_SCORE and set(words) <= set(label.split())]
    if side and fit:
        middles = {n: float(seen.boxes[n, 0] + seen.boxes[n, 2]) for n in fit}
        return (min if side == "left" else max)(fit, key=lambda n: middles[n])
    return fit[0] if len(fit) == 1 else None
