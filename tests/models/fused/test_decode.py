"""Whatever a network says, what is decoded is an action of the schema within its limits, or a refusal with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.message import INFINITY, MS, SECOND, Action, Detections, Message
from omnistream.testing import context
from omnistream_models.fused.decode import decode, to_action
from omnistream_models.fused.random_outputs import random_detections, random_logits
from omnistream_models.fused.schema import AMOUNTS, DIRECTIONS, HEADS, KINDS, REASONS, UNSURE, VERBS, faults
from omnistream_nodes.base_motion import BaseMotion

T0 = 1_800_000_000 * SECOND


def sure(n: int = 0, **chosen: int) -> dict[str, np.ndarray]:
    """Logits by which each head is sure of one choice; `target` of `n` detections."""
    logits = {name: np.eye(length)[chosen.get(name, 0)] * 20 for name, length in HEADS.items()}
    return logits | {"target": np.eye(max(n, 1))[chosen.get("target", 0)][:n] * 20}


def verb(name: str) -> int:
    return list(VERBS).index(name)


async def test_any_outputs_give_what_the_base_takes_or_a_refusal_with_a_reason():
    base, ctx = BaseMotion(), context("drive", now=T0, cause=T0)
    await base.open(ctx)
    rng = np.random.default_rng(7)
    accepted = 0
    for n in range(4000):
        logits, seen = random_logits(rng), random_detections(rng)
        decision = decode(logits, sees=seen is not None, accept=float(rng.choice([0, 0.5])), sure=0.0)
        assert decision.reason in (*REASONS, UNSURE)
        assert 0 <= decision.confidence <= 1
        if decision.reason:
            continue
        accepted += 1
        action = to_action(decision, seen, T0, valid_ms=2000, text="", model="fused")
        assert faults(action) == []
        if action.kind != "stop":
            async for _ in base.step(Message("reason.action", 0, n, ("r", 0, n), T0, T0, T0, {}, action)):
                pass
    assert accepted > 1000
    assert ctx.report.rows == []


def test_a_contradiction_needs_to_be_no_likelier_than_its_limit():
    logits = sure(reason=0, verb=verb("home"))
    logits["reason"] = np.log([0.75, *[0.01] * (len(REASONS) - 1)])
    logits["reason"][REASONS.index("contradiction")] = np.log(0.2)
    assert decode(logits, sees=False, contradict=0.3).reason == ""
    assert decode(logits, sees=False, contradict=0.1).reason == "contradiction"


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_more_of_what_is_likely_changes_nothing(data):
    """The choice depends on differences alone: a constant added to a head is no news."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    logits = {name: rng.normal(0, 2, length) for name, length in HEADS.items()} | {"target": rng.normal(0, 3, 4)}
    moved = {name: value + data.draw(st.floats(-50, 50)) for name, value in logits.items()}
    assert decode(logits, sees=True).asked == decode(moved, sees=True).asked


def test_what_is_not_a_number_is_never_chosen():
    logits = sure(3, verb=verb("pick"), target=1)
    logits["target"][2] = np.nan
    logits["verb"][verb("stop")] = -np.inf
    assert (decode(logits, sees=True).verb, decode(logits, sees=True).target) == ("pick", 1)
    nothing = {name: np.full(length, np.nan) for name, length in HEADS.items()} | {"target": np.array([])}
    assert decode(nothing, sees=True).reason


@pytest.mark.parametrize("reason", range(1, len(REASONS)))
def test_a_reason_rejects(reason: int):
    decision = decode(sure(2, verb=verb("pick"), reason=reason), sees=True)
    assert (decision.reason, decision.asked) == (REASONS[reason], "rejected")
    assert decision.confidence > 0.99


def test_missing_evidence_is_a_reason():
    anything = sure(verb=verb("pick"))
    assert decode(anything, sees=False).reason == "missing"
    assert decode(anything, sees=True).reason == "absent"
    side = sure(verb=verb("pick"), direction=DIRECTIONS.index("left"))
    assert decode(side, sees=False).reason == ""
    equal = sure(2, verb=verb("pick")) | {"target": np.array([3.0, 3.0])}
    assert decode(equal, sees=True).reason == "ambiguous"
    flat = {name: np.zeros(length) for name, length in HEADS.items()} | {
        "target": np.zeros(0),
        "reason": np.eye(len(REASONS))[0] * 9,
    }
    assert decode(flat, sees=False).reason == UNSURE


def act(seen: Detections | None = None, **chosen: int) -> Action:
    decision = decode(sure(0 if seen is None else len(seen.labels), **chosen), sees=seen is not None)
    assert not decision.reason
    return to_action(decision, seen, T0, valid_ms=2000, text="said", model="fused")


def test_actions_by_example():
    left, three = DIRECTIONS.index("left"), AMOUNTS.index("3 m")
    assert act(verb=verb("stop")).valid_until_ns == INFINITY
    assert act(verb=verb("forward"), amount=three).values == {"distance_m": 3.0}
    assert act(verb=verb("backward")) == Action("backward", T0 + 2000 * MS, {"distance_m": 1.0}, text="said", model="fused")
    assert act(verb=verb("turn"), direction=left).values == {"angle_rad": pytest.approx(np.pi / 2)}
    right = act(verb=verb("turn"), direction=DIRECTIONS.index("right"), amount=AMOUNTS.index("45 deg"), manner=1)
    assert right.values == {"angle_rad": pytest.approx(-np.pi / 4), "speed_ratio": 0.5}
    assert act(verb=verb("pick"), kind=KINDS.index("cup"), colour=1, direction=left).target == "left red cup"
    boxes = np.array([[0, 0, 10, 10], [20, 40, 40, 80]], np.float32)
    seen = Detections(boxes, ("blue cup", "red ball"), np.ones(2, np.float32))
    ball = act(seen, verb=verb("pick"), target=1)
    assert (ball.target, dict(ball.values)) == ("red ball", {"u_px": 30.0, "v_px": 60.0})
    assert act(seen, verb=verb("place"), direction=DIRECTIONS.index("on")).target == "on the blue cup"


def test_a_verb_cannot_carry_what_is_not_its_own():
    """An amount in degrees is likeliest, but the way forward has metres only; a wave has neither."""
    logits = sure(verb=verb("forward"), amount=AMOUNTS.index("90 deg"), direction=DIRECTIONS.index("up"))
    decision = decode(logits, sees=False, accept=0.0)
    assert decision.direction == ""
    assert not decision.amount.endswith("deg")
    assert faults(Action("wave", T0, {"distance_m": 1.0})) == ["wave has distance_m"]
    assert faults(Action("fly", T0)) == ["kind 'fly'"]
    assert "distance_m is 21" in faults(Action("forward", T0, {"distance_m": 21}))[0]
