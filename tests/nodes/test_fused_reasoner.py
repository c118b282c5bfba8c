"""The fused reasoner as a node: what is the rules' part, what the network's, and what it does where weights are missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from omnistream.errors import GraphError, ModelError
from omnistream.graph.ports import optional_inputs
from omnistream.message import INFINITY, MS, SECOND, Command, Detections, Event, Gesture, Message, RobotState
from omnistream.node import Recent, ports_of
from omnistream.record.reader import Recording
from omnistream.testing import context, replay
from omnistream_models.fused import variants
from omnistream_models.fused.evidence import HandSeen
from omnistream_models.fused.gesturing import Showing, point_to
from omnistream_models.fused.schema import Decision, faults
from omnistream_nodes.fused_reasoner import FusedOutputs, FusedReasoner, checked
from omnistream_nodes.rule_reasoner import RuleReasoner

ROOT = Path(__file__).parents[2]
T0 = 1_800_000_000 * SECOND
NOTHING: Recent[Gesture] = Recent()
TABLE = Detections(
    np.array([[40, 150, 70, 180], [140, 150, 200, 165], [240, 150, 270, 180], [150, 200, 175, 225]], np.float32),
    ("red cup", "white plate", "red cup", "blue ball"),
    np.full(4, 0.9, np.float32),
)


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def typed(text: str, intent: str = "none", when: float = 2.0, **slots: str) -> Command:
    return Command(intent, text, slots, start_ns=at(when), end_ns=at(when))


def said(text: str, intent: str = "none", start: float = 0.9, end: float = 1.9) -> Command:
    return Command(intent, text, start_ns=at(start), end_ns=at(end))


def shown(showing: Showing, start: float, end: float) -> Recent[Gesture]:
    frames: list[HandSeen] = showing.frames(np.random.default_rng(0), start, end, before=False, test=True)
    return Recent(
        Message(
            "hands.out", 0, n, ("h", 0, n), at(f.at_s), at(f.at_s), at(f.at_s), {}, Gesture("point_left", 1.0, "", f.landmarks)
        )
        for n, f in enumerate(frames)
    )


class Mind:
    def __init__(self, **options: object) -> None:
        self.node, self.ctx = FusedReasoner(**options), context("reason")

    async def hears(
        self, intent: Command | None, gesture: Recent[Gesture] = NOTHING, now: float = 2.0, **others
    ) -> FusedOutputs:
        if self.ctx.now == 0:
            await self.node.open(self.ctx)
        self.ctx.now = self.ctx.cause = at(now)
        self.outs = [out async for out in self.node.step(intent=intent, gesture=gesture, **others)]
        out = FusedOutputs(*(next((o[n] for o in reversed(self.outs) if o[n] is not None), None) for n in range(4)))
        assert out.action is None or out.action.model == "rules" or faults(out.action) == []
        return out


async def test_a_picture_tells_which_of_two_cups_is_red_and_a_wrong_one_tells_nothing():
    """A detector that knows kinds alone: by the picture the red one is meant, without it nobody can know."""
    with Recording(ROOT / "graphs" / "recordings" / "table.mcap") as recording:
        frame = next(m.payload for m in recording.messages("camera"))
        boxes = next(m.payload for m in recording.messages("boxes"))
        (truth,) = recording.truth()
    x0, y0, x1, y1 = boxes.boxes[truth["names"].index("red cup")].tolist()
    asked = typed("take the red cup", "pick", object="cup", colour="red")
    out = await Mind().hears(asked, detections=boxes, frame=frame)
    assert out.action is not None
    assert (out.action.values["u_px"], out.action.values["v_px"]) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.1)
    blind = await Mind().hears(asked, detections=boxes)
    assert blind.action is None
    small = Mind()
    narrow = replace(frame, image=np.ascontiguousarray(frame.image[:, :200]))
    assert (await small.hears(asked, detections=boxes, frame=narrow)).action is None
    assert any("a frame has 200x240 pixels, and detections are of 320x240" in words for _, words in small.ctx.report.rows)
    coded = replace(frame, image=np.zeros(5000, np.uint8), encoding="jpeg")
    assert (await small.hears(asked, detections=boxes, frame=coded)).action is None
    assert any("not an RGB image" in words for _, words in small.ctx.report.rows)


def test_it_can_stand_wherever_the_rules_stand():
    mine, rules = ports_of(FusedReasoner), ports_of(RuleReasoner)
    assert rules.inputs.items() <= mine.inputs.items()
    assert rules.outputs.items() <= mine.outputs.items()
    assert mine.inputs.keys() - rules.inputs.keys() <= optional_inputs(FusedReasoner)


async def test_things_by_what_they_are_and_where_they_stand():
    for text, u in (
        ("pick up the blue ball", 162.5),
        ("take the cup left of the plate", 55.0),
        ("please grab the red cup to the right of the plate", 255.0),
        ("get the cup on the right", 255.0),
    ):
        action, _, caption, why = await Mind().hears(typed(text), detections=TABLE)
        assert action is not None, (text, caption)
        assert (action.kind, action.values["u_px"]) == ("pick", u), text
        assert action.valid_until_ns == at(2.0) + 2000 * MS
        assert caption.text.startswith("Taking the")
        assert why.data["path"] == "whole"


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("take the red cup", {"detections": TABLE}),
        ("take the green bottle", {"detections": TABLE}),
        ("take that", {"detections": TABLE}),
        ("take that", {}),
        ("don't take the red cup", {"detections": TABLE}),
        ("my sister took the ball to school", {}),
        ("put it down", {"state": RobotState({"gripper_holding": 0.0})}),
    ],
)
async def test_what_cannot_be_known_asks_and_does_nothing(text: str, others: dict):
    mind = Mind()
    action, stop, caption, why = await mind.hears(typed(text), **others)
    assert (action, stop) == (None, None)
    assert why.data["reason"]
    assert caption.text
    assert [r for r, _ in mind.ctx.report.rows] == ["refused"]


async def test_words_that_are_enough_look_at_nothing_else():
    action, _, _, why = await Mind().hears(typed("go forward three meters", "move"), detections=TABLE)
    assert (action.kind, dict(action.values), why.data["path"]) == ("forward", {"distance_m": 3.0}, "words")
    turn = (await Mind().hears(said("turn left", "turn"))).action
    assert (turn.kind, turn.values["angle_rad"]) == ("turn", pytest.approx(np.pi / 2))


async def test_a_hand_says_which_side():
    left = shown(point_to(np.random.default_rng(2), "left"), 0.8, 1.95)
    assert (await Mind().hears(said("put it there", "place"), left)).action.target == "left"
    assert (await Mind().hears(said("put it there", "place"))).action is None


async def test_stops_and_palms_are_the_rules_business():
    mind = Mind()
    out = await mind.hears(None, stop=Event("stop", {"gesture": "open_palm"}))
    assert out.stop.valid_until_ns == INFINITY
    assert (await mind.hears(said("go home", "home"))).caption.text == "Stopped. Please say it again."
    assert (await mind.hears(said("go home", "home", 2.1, 2.9), now=3.0)).action.kind == "home"
    palm = Recent([Message("h", 0, 0, ("h", 0, 0), at(1.9), at(1.9), at(1.9), {}, Gesture("open_palm"))])
    assert "palm" in (await Mind().hears(typed("go home", "home"), palm)).caption.text
    assert (await Mind().hears(said("stop", "stop"))).stop.kind == "stop"
    assert (await Mind().hears(typed("dance", "dance"))).action.kind == "dance"


async def test_another_verb_than_the_parsers_is_trusted_by_nobody():
    action, _, caption, why = await Mind().hears(typed("go home", "wave"))
    assert action is None
    assert why.data["reason"] == "unsure"
    assert "not sure" in caption.text


async def test_what_the_parser_did_not_understand_needs_more_certainty():
    unsure, sure = Decision("home", confidence=0.7), Decision("home", confidence=0.9)
    assert checked(unsure, typed("go home please"), 0.8).reason == "unsure"
    assert checked(sure, typed("go home please"), 0.8) == sure
    assert checked(unsure, typed("go home", "home"), 0.8) == unsure
    assert (await Mind(sure_alone=0.0).hears(typed("go home please"))).action.kind == "home"


async def test_the_same_said_and_typed_is_done_once_and_two_things_ask():
    mind = Mind()
    assert (await mind.hears(said("turn around", "turn"))).action.kind == "turn"
    assert (await mind.hears(typed("turn around", "turn", 2.2), now=2.2)).caption.text == "I am at it already."
    other = Mind()
    assert (await other.hears(said("turn around", "turn"))).action.kind == "turn"
    assert (await other.hears(typed("wave your hand", "wave", 2.2), now=2.2)).action is None
    assert (await other.hears(typed("wave your hand", "wave", 4.2), now=4.2)).action.kind == "wave"


async def test_without_weights_the_rules_decide_and_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(ModelError, match=r"there is no fused\.json"):
        await Mind(weights=str(tmp_path)).hears(typed("go home", "home"))
    monkeypatch.setattr(variants, "shipped", lambda: tmp_path)
    mind = Mind()
    assert (await mind.hears(typed("go home", "home"))).action.model == "rules"
    ((reason, words),) = mind.ctx.report.rows
    assert reason == "fallback"
    assert words.startswith(f"reason: decides by the rules of rule_reasoner, because {tmp_path}: there is no fused.json")


def test_options_are_checked_in_its_own_name():
    with pytest.raises(GraphError, match="fused_reasoner: valid_ms is 0; write 1 or more"):
        FusedReasoner(valid_ms=0)
    with pytest.raises(GraphError, match="fused_reasoner: width is 3; write 16 or more"):
        FusedReasoner(width=3)


def test_the_example_decides_on_what_the_recording_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    found = replay("graphs/recordings/voice_robot.mcap", "graphs/examples/fused_reasoner.yaml", from_="10.8s", to="14.2s")
    shown = [m.payload for m in found.outputs["screen.message"]]
    actions = [(p.kind, p.target, p.model) for p in shown if type(p).__name__ == "Action"]
    assert actions == [("pick", "left cup", "fused")]
    assert [p.data["path"] for p in shown if type(p).__name__ == "Event"] == ["whole"]


async def test_captions_grow_word_by_word_and_no_action_waits_for_them():
    whole, mind = Mind(), Mind(captions="words")
    for text, intent, others in (
        ("pick up the blue ball", "pick", {"detections": TABLE}),
        ("go forward three meters", "move", {}),
        ("put it there", "place", {}),
        ("what a day", "none", {}),
    ):
        told = (await whole.hears(typed(text, intent), **others)).caption
        out = await mind.hears(typed(text, intent), **others)
        captions = [o.caption for o in mind.outs if o.caption is not None]
        assert replace(out.caption, rev=0) == told
        assert [c.final for c in captions] == [False] * (len(captions) - 1) + [True]
        assert [c.rev for c in captions] == list(range(len(captions)))
        assert {c.id for c in captions} == {told.id}
        assert len(captions) > 1
        for one, other in pairwise(captions):
            assert other.text.startswith(one.text) or not told.text.startswith(one.text)
            assert len(other.text.split()) == len(one.text.split()) + 1 or not other.text.startswith(one.text)
        acted = next((n for n, o in enumerate(mind.outs) if o.action is not None), 0)
        assert acted <= 1, "at most the words before a decision come before its action"
    assert captions[0].text == "I"


def test_a_recording_gives_the_same_captions_word_by_word(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    file, graph = "graphs/recordings/voice_robot.mcap", "graphs/examples/fused_reasoner.yaml"
    found = [replay(file, graph, sets=sets, from_="10.8s", to="14.2s") for sets in ((), ("nodes.reason.with.captions=words",))]
    whole, words = ([m.payload for m in f.outputs["screen.message"] if type(m.payload).__name__ == "Caption"] for f in found)
    assert [c.text for c in whole] == [c.text for c in words if c.final]
    assert len(words) > 2 * len(whole)
