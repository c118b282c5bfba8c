"""A network's outputs -> a decision that is valid by the schema and its limits, whatever they are; or a refusal with a reason.

Each choice is made only among what the verb allows, so there is nothing to repair afterwards. A number that is not finite
counts as the least likely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from omnistream.message import INFINITY, MS, Action, Detections
from omnistream_models.fused.schema import (
    AMOUNTS,
    COLOURS,
    DIRECTIONS,
    HEADS,
    KINDS,
    MANNERS,
    REASONS,
    SPEED_RATIO,
    UNSURE,
    VERBS,
    Decision,
)

__all__ = ["decode", "to_action", "uncertain_target"]

_VERBS = tuple(VERBS)
_CONTRADICTION = REASONS.index("contradiction")
_LEAST = -1e4
_TURNS = {"left": math.pi / 2, "right": -math.pi / 2, "around": math.pi}


def _allowed(options: tuple[str, ...], chosen: tuple[str, ...]) -> np.ndarray:
    return np.array([o in chosen for o in options])


_DIRECTIONS = {verb: _allowed(DIRECTIONS, rule.directions) for verb, rule in VERBS.items()}
_AMOUNTS = {
    verb: np.array([not a or (bool(rule.unit) and a.endswith(f" {rule.unit}")) for a in AMOUNTS])
    for verb, rule in VERBS.items()
}
_MANNERS = {verb: np.array([not m or rule.manner for m in MANNERS]) for verb, rule in VERBS.items()}


def decode(
    logits: Mapping[str, np.ndarray],
    *,
    sees: bool,
    accept: float = 0.5,
    sure: float = 0.25,
    margin: float = 0.1,
    contradict: float = 1.0,
    temperature: float = 1.0,
    gates: Mapping[str, float] | None = None,
) -> Decision:
    """The likeliest valid decision. `logits`: of each head, (length,), and of `target`, (detections,).

    `sees`: whether there were detections at all; where there were, a thing to pick up is one of them, and where there
    were not it is a kind in words. Refused as the likeliest reason where "nothing is wrong" has less than `accept`; as
    "contradiction" where that has as much as `contradict`; as "ambiguous" where two detections are within `margin` of each
    other; as "missing" where a thing is needed and none is named; as "unsure" where the whole has less than `sure`. Raises
    KeyError where a head is missing.
    """
    heads = {name: _clean(logits[name], length) for name, length in HEADS.items()}
    verb_id, p_verb = _choose(heads["verb"], temperature)
    verb = _VERBS[verb_id]
    rule = VERBS[verb]
    direction, p_direction = _choose(heads["direction"], temperature, _DIRECTIONS[verb])
    amount, p_amount = _choose(heads["amount"], temperature, _AMOUNTS[verb])
    manner, p_manner = _choose(heads["manner"], temperature, _MANNERS[verb])
    decision = Decision(verb, DIRECTIONS[direction], AMOUNTS[amount], MANNERS[manner], gates=gates or {})
    total = p_verb * p_direction * p_amount * p_manner
    needs = rule.thing and (verb == "pick" or decision.direction == "on")
    fault = ""
    if needs and sees:
        decision, p, fault = _seen(decision, logits["target"], temperature, margin)
        total *= p
    elif needs:
        decision, p, fault = _named(decision, heads, temperature)
        total *= p
    reasons = _softmax(heads["reason"], temperature)
    accepted = float(reasons[0])
    if accepted < accept:
        worst = 1 + int(reasons[1:].argmax())
        return replace(decision, reason=REASONS[worst], confidence=round(1 - accepted, 4))
    if reasons[_CONTRADICTION] >= contradict:
        return replace(decision, reason="contradiction", confidence=round(float(reasons[_CONTRADICTION]), 4))
    if fault:
        return replace(decision, reason=fault, confidence=round(accepted, 4))
    total *= accepted
    return replace(decision, reason=UNSURE if total < sure else "", confidence=round(total, 4))


def uncertain_target(target: np.ndarray, margin: float) -> bool:
    """Whether two detections are as likely as each other, but for `margin`; `target` are logits."""
    p = np.sort(_softmax(_clean(target, len(target)), 1.0))
    return len(p) > 1 and float(p[-1] - p[-2]) < margin


def to_action(decision: Decision, seen: Detections | None, cause_ns: int, *, valid_ms: int, text: str, model: str) -> Action:
    """The action of a decision that is not refused. What it acts on is among `seen`, if it has a number.

    Values: distance_m (1 where no amount was given), angle_rad (left positive), speed_ratio, and u_px, v_px: the middle of the
    target's box.
    """
    verb, rule, values = decision.verb, VERBS[decision.verb], dict[str, float]()
    number = float(decision.amount.split()[0]) if decision.amount else 0.0
    target = decision.direction
    if rule.unit == "m":
        values["distance_m"] = number or 1.0
    elif rule.unit == "deg":
        turn = _TURNS[decision.direction]
        values["angle_rad"] = math.copysign(math.radians(number), turn) if number else turn
    if decision.manner:
        values["speed_ratio"] = SPEED_RATIO[decision.manner]
    if rule.thing and decision.target >= 0 and seen is not None:
        box = np.clip(np.nan_to_num(seen.boxes[decision.target].astype(np.float64)), 0, 8192)
        values |= {"u_px": round(float(box[0] + box[2]) / 2, 1), "v_px": round(float(box[1] + box[3]) / 2, 1)}
        named = seen.labels[decision.target] or "object"
        target = f"on the {named}" if verb == "place" else named
    elif verb == "pick" or decision.direction == "on":
        words = " ".join(w for w in (decision.colour, decision.kind) if w)
        target = f"on the {words}" if verb == "place" else " ".join(w for w in (decision.direction, words) if w)
    until = INFINITY if verb == "stop" else min(cause_ns + valid_ms * MS, INFINITY - 1)
    return Action(verb, until, values, target=target, text=text, model=model)


def _seen(decision: Decision, target: np.ndarray, temperature: float, margin: float) -> tuple[Decision, float, str]:
    """With the detection that is meant; the words' side has done its part in finding it."""
    plain = replace(decision, direction="on" if decision.verb == "place" else "")
    if not len(target):
        return plain, 1.0, "absent"
    number, p = _choose(_clean(target, len(target)), temperature)
    return replace(plain, target=number), p, "ambiguous" if uncertain_target(target, margin) else ""


def _named(decision: Decision, heads: Mapping[str, np.ndarray], temperature: float) -> tuple[Decision, float, str]:
    """With the kind that is meant: the side is needed where the kind is any object."""
    kind, p_kind = _choose(heads["kind"], temperature)
    colour, p_colour = _choose(heads["colour"], temperature)
    named = replace(decision, kind=KINDS[kind], colour=COLOURS[colour])
    bare = kind == 0 and not colour and decision.direction not in ("left", "right")
    return named, p_kind * p_colour, "missing" if bare else ""


def _clean(logits: np.ndarray, length: int) -> np.ndarray:
    """`length` finite numbers, the unknown ones among them the least likely."""
    flat = np.asarray(logits, np.float64).reshape(-1)[:length]
    if len(flat) == length and np.isfinite(flat).all():
        return np.minimum(np.maximum(flat, _LEAST), -_LEAST)
    flat = np.concatenate([flat, np.full(length - len(flat), np.nan)])
    return np.clip(np.nan_to_num(flat, nan=_LEAST, posinf=-_LEAST, neginf=_LEAST), _LEAST, -_LEAST)


def _softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    e = np.exp((logits - logits.max()) / temperature)
    return e / e.sum()


def _choose(logits: np.ndarray, temperature: float, allowed: np.ndarray | None = None) -> tuple[int, float]:
    """The likeliest of what is allowed, and how likely it is among that."""
    if allowed is not None:
        logits = np.where(allowed, logits, -np.inf)
    p = _softmax(logits, temperature)
    best = int(p.argmax())
    return best, float(p[best])
