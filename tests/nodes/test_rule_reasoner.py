"""Words and pointing joined by event time, with literal times; no runtime."""

from __future__ import annotations

import itertools
from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, SECOND, Action, Command, Event, Gesture, Message
from omnistream.node import Recent, ports_of
from omnistream.testing import context
from omnistream_nodes.pointing import Pointing, shown_ns
from omnistream_nodes.rule_reasoner import ReasonerOutputs, RuleReasoner

T0 = 1_800_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def seen(*shown: tuple[float, str] | tuple[float, str, float]) -> Recent[Gesture]:
    """Messages of gestures: (second, name) or (second, name, confidence)."""
    return Recent(
        Message("hands.out", 0, n, ("hands.out", 0, n), at(s), at(s), at(s) + 200 * MS, {}, Gesture(name, *rest))
        for n, (s, name, *rest) in enumerate(shown)
    )


def film(name: str, start: float, end: float, fps: float = 15) -> list[tuple[float, str]]:
    return [(start + n / fps, name) for n in range(int((end - start) * fps))]


def said(intent: str, text: str, start: float = 1.0, end: float = 2.0, values: dict | None = None, **slots: str) -> Command:
    return Command(intent, text, slots, values or {}, start_ns=at(start), end_ns=at(end))


def m(distance: float) -> dict[str, float]:
    return {"distance_m": distance}


TAKE = said("pick", "take the cup", object="cup")
THAT = said("pick", "take that", object="that")
NOTHING: Recent[Gesture] = Recent()
RIGHT = said("pick", "take the cup on the right", object="cup", side="right")


class Mind:
    def __init__(self, **options: object) -> None:
        self.node, self.ctx = RuleReasoner(**options), context("reason")

    async def hears(
        self,
        intent: Command | None,
        gestures: Recent[Gesture] = NOTHING,
        stop: Event | None = None,
        now: float = 2.4,
        cause: float | None = None,
    ) -> ReasonerOutputs:
        if self.ctx.now == 0:
            await self.node.open(self.ctx)
        self.ctx.now, self.ctx.cause = at(now), at(now if cause is None else cause)
        return await self.node.step(intent=intent, gesture=gestures, stop=stop) or ReasonerOutputs(None, None, None)

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.ctx.report.rows]


def test_ports():
    ports = ports_of(RuleReasoner)
    assert {n: (p.form, p.optional) for n, p in ports.inputs.items()} == {
        "intent": ("one", True),
        "gesture": ("recent", False),
        "stop": ("one", True),
    }
    assert list(ports.outputs) == ["action", "stop", "caption"]


async def test_take_the_cup_while_pointing_left_is_the_left_cup():
    action, stop, caption = await Mind().hears(TAKE, seen(*film("point_left", 0.8, 2.0)))
    assert action == Action("pick", at(2.4) + 2 * SECOND, target="left cup", text="take the cup", model="rules")
    assert stop is None
    assert (caption.id, caption.text, caption.final) == (f"u{at(1.0)}-{at(2.0)}", "Taking the left cup.", True)
    assert (caption.start_ns, caption.end_ns) == (at(1.0), at(2.0))


async def test_without_a_hand_it_is_the_cup_that_there_is():
    assert (await Mind().hears(TAKE)).action.target == "cup"
    assert (await Mind().hears(TAKE, seen(*film("point_up", 1, 2)))).action.target == "cup"
    red = said("pick", "pick up the red ball", colour="red", object="ball")
    assert (await Mind().hears(red, seen(*film("point_right", 1, 2)))).action.target == "right red ball"


async def test_only_gestures_of_the_utterance_count():
    before, after = film("point_right", -2, 0.3), film("point_right", 2.6, 4)
    assert (await Mind().hears(TAKE, seen(*before, *film("point_left", 1.2, 1.6), *after))).action.target == "left cup"
    assert (await Mind().hears(TAKE, seen(*before, *after))).action.target == "cup"
    early = film("point_left", 0.72, 0.95)  # within the margin
    assert (await Mind().hears(TAKE, seen(*early))).action.target == "left cup"
    assert (await Mind(margin_ms=0).hears(TAKE, seen(*early))).action.target == "cup"


async def test_the_longest_side_wins_and_a_tie_asks():
    mostly = seen(*film("point_right", 0.8, 1.1), *film("point_left", 1.1, 2.0))
    assert (await Mind().hears(TAKE, mostly)).action.target == "left cup"
    both = seen(*film("point_right", 0.8, 1.4), *film("point_left", 1.4, 2.0))
    action, _, caption = await Mind().hears(TAKE, both)
    assert action is None
    assert caption.text == "You pointed both ways. Which cup?"


async def test_a_glance_or_an_unsure_hand_is_no_pointing():
    assert (await Mind().hears(TAKE, seen((1.2, "point_left"), (1.27, "none")))).action.target == "cup"
    unsure = [(s, name, 0.3) for s, name in film("point_left", 1, 2)]
    assert (await Mind().hears(TAKE, seen(*unsure))).action.target == "cup"


async def test_words_win_over_no_hand_and_agree_with_the_same_one():
    assert (await Mind().hears(RIGHT)).action.target == "right cup"
    assert (await Mind().hears(RIGHT, seen(*film("point_right", 1, 2)))).action.target == "right cup"


async def test_a_contradiction_asks_or_the_words_win():
    left = seen(*film("point_left", 1, 2))
    mind = Mind()
    action, stop, caption = await mind.hears(RIGHT, left)
    assert action is None
    assert stop is None
    assert caption.text == "You said right but pointed left. Which one?"
    assert mind.reasons == ["refused"]
    assert (await Mind(on_contradiction="words").hears(RIGHT, left)).action.target == "right cup"


async def test_a_speaker_who_faces_the_robot_can_name_their_own_sides():
    left = seen(*film("point_left", 1, 2))
    assert (await Mind(sides="speaker").hears(RIGHT, left)).action.target == "left cup"
    assert (await Mind(sides="speaker").hears(RIGHT)).action.target == "left cup"


async def test_take_that_needs_a_pointing_hand():
    assert (await Mind().hears(THAT, seen(*film("point_right", 1, 2)))).action.target == "right object"
    for gestures in (Recent(), seen(*film("point_up", 1, 2)), seen(*film("thumbs_up", 1, 2))):
        action, _, caption = await Mind().hears(THAT, gestures)
        assert action is None
        assert caption.text == "Which one? Please point to it."


async def test_put_it_there_needs_one_too():
    there = said("place", "put it there", where="there")
    assert (await Mind().hears(there, seen(*film("point_left", 1, 2)))).action.target == "left"
    assert (await Mind().hears(there)).action is None
    assert (await Mind().hears(said("place", "put it back", where="back"))).action.target == "back"


@pytest.mark.parametrize(
    ("command", "kind", "values", "target", "told"),
    [
        (said("move", "go on", values=m(10.0), direction="forward"), "forward", m(10.0), "", "Going forward 10 m."),
        (said("move", "go back", values=m(-1.0), direction="backward"), "backward", m(1.0), "", "Going backward 1 m."),
        (said("move", "back up", values=m(-2.5)), "backward", m(2.5), "", "Going backward 2.5 m."),
        (said("move", "go forward"), "forward", {}, "", "Going forward."),
        (said("turn", "turn", values={"angle_rad": 1.5}, side="left"), "turn", {"angle_rad": 1.5}, "left", "Turning left."),
        (said("turn", "turn", values={"angle_rad": 1.5}), "turn", {"angle_rad": 1.5}, "", "Okay: turn."),
        (said("gripper", "open the gripper", state="open"), "gripper", {}, "open", "Gripper: open."),
        (said("look", "look up", direction="up"), "look", {}, "up", "Looking up."),
        (said("come", "come here"), "come", {}, "", "Coming."),
        (said("slow", "slow down"), "slow", {}, "", "Slowing down."),
        (said("dance", "dance with the {object}", object="ball"), "dance", {}, "ball", "Okay: dance with the {object}."),
    ],
)  # fmt: skip
async def test_what_each_command_becomes(command, kind, values, target, told):
    action, stop, caption = await Mind().hears(command)
    assert (action.kind, dict(action.values), action.target, action.text) == (kind, values, target, command.text)
    assert stop is None
    assert caption.text == told


async def test_an_action_expires_from_its_cause_whenever_it_was_decided():
    action = (await Mind(valid_ms=700).hears(TAKE, now=2.9, cause=2.1)).action
    assert action.valid_until_ns == at(2.8)


async def test_what_was_not_understood_is_told_and_nothing_else():
    mind = Mind()
    action, stop, caption = await mind.hears(Command("none", "the cup was red", rejected="no phrase", end_ns=at(2)))
    assert (action, stop) == (None, None)
    assert caption.text == "I did not understand “the cup was red”."
    assert mind.reasons == []


async def test_stop_by_hand_and_by_word():
    action, stop, caption = await Mind().hears(None, stop=Event("stop", {"gesture": "open_palm"}))
    assert action is None
    assert (stop.kind, stop.valid_until_ns) == ("stop", INFINITY)
    assert (caption.id, caption.text) == (f"stop{at(2.4)}", "Stopped: open palm.")
    action, stop, caption = await Mind().hears(said("stop", "halt"))
    assert action is None
    assert (stop.kind, stop.valid_until_ns, stop.text) == ("stop", INFINITY, "halt")
    assert caption.text == "Stopped."


async def test_a_command_with_a_stop_or_begun_before_it_is_not_carried_out():
    mind = Mind()
    action, stop, _ = await mind.hears(TAKE, stop=Event("stop"), now=2.4)
    assert action is None
    assert stop is not None
    assert mind.reasons == ["refused"]
    action, stop, caption = await mind.hears(said("move", "go forward", start=2.0, end=2.9), now=3.3)
    assert (action, stop) == (None, None)
    assert caption.text == "Stopped. Please say it again."
    assert (await mind.hears(said("move", "go forward", start=2.5, end=3.0), now=3.4)).action is not None


async def test_after_the_word_stop_too():
    mind = Mind()
    await mind.hears(said("stop", "stop", start=2.0, end=2.3), now=2.5)
    assert (await mind.hears(said("move", "go forward", start=1.0, end=2.2), now=2.9)).action is None
    assert (await mind.hears(said("move", "go forward", start=2.4, end=2.8), now=3.0)).action is not None


async def test_nothing_is_begun_while_the_palm_is_held_up():
    command = said("move", "go forward", start=2.0, end=2.9)
    held = await Mind().hears(command, seen(*film("open_palm", 1.0, 3.2)), now=3.3)
    assert held.action is None
    assert held.caption.text.startswith("Your palm says stop")
    lowered = seen(*film("open_palm", 1.0, 2.5), (2.5, "none"))
    assert (await Mind().hears(command, lowered, now=3.3)).action is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"valid_ms": 0},
        {"margin_ms": -1},
        {"min_share": 0.4},
        {"min_confidence": 2},
        {"sides": "north"},
        {"on_contradiction": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(GraphError, match=next(iter(wrong))):
        RuleReasoner(**wrong)


# laws

names = st.sampled_from(["point_left", "point_right", "point_up", "open_palm", "thumbs_up", "none"])
films = st.lists(st.tuples(st.floats(0.01, 0.5), names), max_size=40).map(
    lambda steps: seen(*zip(itertools.accumulate(gap for gap, _ in steps), (name for _, name in steps), strict=True))
)
spans = st.tuples(st.floats(0, 10), st.floats(0, 5)).map(lambda p: (at(p[0]), at(p[0] + p[1])))


@settings(deadline=None)
@given(films, spans, st.integers(0, SECOND))
def test_no_more_is_shown_than_there_is_time(gestures, span, hold):
    start, end = span
    shown = shown_ns(gestures, start, end, hold)
    assert all(ns > 0 for ns in shown.values())
    assert sum(shown.values()) <= end - start


@settings(deadline=None)
@given(films, spans)
def test_a_mirrored_film_gives_the_other_side(gestures, span):
    swap = {"point_left": "point_right", "point_right": "point_left"}
    mirrored = [copy(message) for message in gestures]
    for message in mirrored:
        message.payload = Gesture(swap.get(message.payload.name, message.payload.name))
    other = {"left": "right", "right": "left"}
    side = Pointing().side(gestures, *span)
    assert Pointing().side(mirrored, *span) == other.get(side, side)


@settings(deadline=None)
@given(films, spans, st.integers(1, 10))
def test_what_lies_outside_the_span_and_the_hold_changes_nothing(gestures, span, n):
    start, end = span
    rule = Pointing()
    inside = [m for m in gestures if start - rule.hold_ns <= m.stamp_ns < end]
    assert rule.side(gestures, start, end) == rule.side(inside, start, end)


commands = st.sampled_from(
    [TAKE, THAT, RIGHT, said("stop", "stop"), said("none", "what"), said("move", "go forward", values={"distance_m": 1.0})]
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.one_of(st.none(), commands), films, st.booleans()), max_size=6))
async def test_laws_of_every_sequence(steps):
    """Stops never come with actions; the same input gives the same output; every command is answered by one caption."""
    runs = []
    for _ in range(2):
        mind = Mind()
        outputs = [
            await mind.hears(command, gestures, Event("stop") if stop else None, now=2.4 + n)
            for n, (command, gestures, stop) in enumerate(steps)
        ]
        runs.append(outputs)
        for (command, _, stop), out in zip(steps, outputs, strict=True):
            assert (out.stop is not None) == (stop or (command is not None and command.intent == "stop"))
            assert out.action is None or out.stop is None
            assert (out.caption is not None) == (stop or command is not None)
            assert out.action is None or out.action.valid_until_ns < INFINITY
    assert runs[0] == runs[1]
