"""What was said and where the hand pointed meanwhile -> an action for the robot and a caption for the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, Action, Caption, Command, Event, Gesture
from omnistream.node import Context, Node, Recent
from omnistream_nodes.pointing import SIDES, Pointing

__all__ = ["ReasonerOutputs", "RuleReasoner"]

_OTHER = {"left": "right", "right": "left"}
#: A palm is held up now if it was the newest gesture, and no older than this.
_PALM_NS = 500 * MS
_MODEL = "rules"

#: What is told of each kind; {target} and the like are filled in.
_SAID: Mapping[str, str] = {
    "forward": "Going forward{way}.",
    "backward": "Going backward{way}.",
    "turn": "Turning {target}.",
    "come": "Coming.",
    "follow": "Following you.",
    "describe": "Let me look.",
    "pick": "Taking the {target}.",
    "place": "Putting it {target}.",
    "gripper": "Gripper: {target}.",
    "look": "Looking {target}.",
    "home": "Going home.",
    "wave": "Waving.",
    "slow": "Slowing down.",
    "wait": "Waiting here.",
    "give": "Here you are.",
}

_OKAY = "Okay: {text}."


class ReasonerOutputs(NamedTuple):
    """`action` goes where motions are made, `stop` overtakes it, `caption` tells the person what was made of their words."""

    action: Action | None
    stop: Action | None
    caption: Caption | None


class _Ask(Exception):  # noqa: N818 (no error: the way out of the rules, with what the person is asked)
    """Nothing is done, for the reason that the sentence gives."""


@dataclass(kw_only=True)
class RuleReasoner(Node):
    """Joins a command with the gestures of its own time, [start_ns - margin, end_ns + margin], by fixed rules.

    - A side: "take the cup" while pointing left is the left cup. The side that was pointed to for longest counts, if it has
      `min_share` of the time in which the hand pointed to a side, and that is `min_pointing_ms` or more. "take that" and "put
      it there" need one: without it, or with both, the caption asks. Spoken sides count as they are; where the hand contradicts
      them the caption asks, or with `on_contradiction: words` the words win. `sides: speaker` reads the spoken sides of things
      as those of a person who faces the robot; gestures are always in the robot's view.
    - Stop: an open palm (port `stop`) or the command stop sends a stop that never expires, at once. A command that began
      before the stop is not carried out after it, and none is while the palm is still held up.
    - An intent of "none" gives a caption that it was not understood, and nothing else. An intent that has no rule here
      (a site's own) becomes an action of that kind with its values.

    An action's `valid_until_ns` is its cause + `valid_ms`, whenever it was decided. Values are in SI, the target in words:
    "left red cup". Kinds: forward and backward (distance_m > 0), turn (angle_rad, left positive) and the skills by their
    intent. Captions bear the utterance's times and an id made of them. What is not carried out is reported as `refused`.

    ```yaml
    graph: reason
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap}}
      camera: {use: recording, with: {path: graphs/recordings/voice_robot.mcap}}
      speech: {use: speech_recognizer, inputs: {audio: {from: mic, queue: {block: 256}}}}
      parse: {use: command_parser, inputs: {text: speech}}
      hands: {use: hand_gesture, inputs: {frame: {from: camera, queue: newest}}}
      reason:
        use: rule_reasoner
        inputs:
          intent: parse
          gesture: {from: hands, take: recent, hold: 3s, lag: 80ms}
          stop: {from: hands.stop, urgent: true}
      screen: {use: console, inputs: {message: {from: [reason.action, reason.stop, reason.caption]}}}
    ```
    """

    valid_ms: int = 2000  # an action may be begun so long after its cause
    margin_ms: int = 300  # gestures count so long before and after the words
    min_pointing_ms: int = 150
    min_share: float = 0.6
    min_confidence: float = 0.5  # of a gesture that points to a side
    on_contradiction: Literal["ask", "words"] = "ask"
    sides: Literal["robot", "speaker"] = "robot"  # whose left and right the words for things are

    def __post_init__(self) -> None:
        for name, words in (("on_contradiction", ("ask", "words")), ("sides", ("robot", "speaker"))):
            if getattr(self, name) not in words:
                raise GraphError(f"rule_reasoner: {name} is {getattr(self, name)!r}; write {' or '.join(words)}")
        for name, lowest in (("valid_ms", 1), ("margin_ms", 0), ("min_pointing_ms", 0)):
            if getattr(self, name) < lowest:
                raise GraphError(f"rule_reasoner: {name} is {getattr(self, name)}; write {lowest} or more")
        for name, lowest in (("min_share", 0.5), ("min_confidence", 0.0)):
            if not lowest <= getattr(self, name) <= 1:
                raise GraphError(f"rule_reasoner: {name} is {getattr(self, name)}; write a number from {lowest:g} to 1")

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stop_ns = -1
        self._pointing = Pointing(self.min_pointing_ms * MS, self.min_share, self.min_confidence)

    async def step(
        self,
        *,
        stop: Event | None = None,  # first: what comes of both at once is the stop's (rule 24), whenever they meet
        intent: Command | None,
        gesture: Recent[Gesture] = Recent(),  # noqa: B008 (an empty tuple)
    ) -> ReasonerOutputs | None:
        if stop is not None:
            self._stop_ns = max(self._stop_ns, self._ctx.now)
            if intent is not None and intent.intent not in ("stop", "none"):
                self._ctx.report("refused", f"{self._ctx.name}: '{intent.text}' comes with a stop")
            shown = str(stop.data.get("gesture", stop.kind)).replace("_", " ")
            caption = Caption(f"stop{self._ctx.now}", f"Stopped: {shown}.", start_ns=self._ctx.now, end_ns=self._ctx.now)
            return ReasonerOutputs(None, self._stop(shown), caption)
        if intent is None:
            return None
        start, end = intent.start_ns or self._ctx.now, intent.end_ns or self._ctx.now
        caption_id = f"u{start}-{end}"
        action, halt = None, None
        try:
            if intent.intent == "none":
                text = f"I did not understand “{intent.text}”."
            elif intent.intent == "stop":
                self._stop_ns = max(self._stop_ns, end)
                text, halt = "Stopped.", self._stop(intent.text)
            else:
                if held := self._held(gesture, start):
                    raise _Ask(held)
                action = self._action(intent, gesture, start, end)
                text = self._told(action)
        except _Ask as ask:
            text = str(ask)
            self._ctx.report("refused", f"{self._ctx.name}: '{intent.text}': {text}")
        return ReasonerOutputs(action, halt, Caption(caption_id, text, start_ns=start, end_ns=end))

    def _stop(self, text: str) -> Action:
        return Action("stop", INFINITY, text=text, model=_MODEL)

    def _held(self, gestures: Recent[Gesture], start_ns: int) -> str:
        """Why a command that began then must wait: a stop came after it, or a palm is held up. Empty if it need not."""
        if start_ns <= self._stop_ns:
            return "Stopped. Please say it again."
        newest = gestures[-1] if gestures else None
        if newest is not None and newest.payload.name == "open_palm" and self._ctx.now - newest.stamp_ns <= _PALM_NS:
            return "Your palm says stop. Lower your hand and say it again."
        return ""

    def _action(self, intent: Command, gestures: Recent[Gesture], start_ns: int, end_ns: int) -> Action:
        slots, values = intent.slots, dict(intent.values)
        kind, target = intent.intent, ""
        margin = self.margin_ms * MS
        side = self._pointing.side(gestures, start_ns - margin, end_ns + margin)
        match intent.intent:
            case "move":
                distance = values.get("distance_m")
                kind = slots.get("direction") or ("backward" if distance is not None and distance < 0 else "forward")
                if distance is not None:
                    values["distance_m"] = abs(distance)
            case "pick":
                target = self._thing(slots, side)
            case "place":
                target = slots.get("where", "down")
                if target == "there":
                    target = self._pointed(side, "Where? Please point to the place.")
            case "turn":
                target = slots.get("side", "")
            case "look":
                target = slots.get("direction", "")
            case "gripper":
                target = slots.get("state", "")
            case _:
                target = slots.get("object", "")
        until = self._ctx.cause + self.valid_ms * MS
        return Action(kind, until, values, target=target, text=intent.text, model=_MODEL)

    def _thing(self, slots: Mapping[str, str], pointed: str) -> str:
        """The thing that is meant, in words: side, colour and kind."""
        thing, said = slots.get("object", "that"), slots.get("side", "")
        if said and self.sides == "speaker":
            said = _OTHER.get(said, said)
        if said and pointed and pointed != said and self.on_contradiction == "ask":
            hand = "both ways" if pointed == "both" else pointed
            raise _Ask(f"You said {slots['side']} but pointed {hand}. Which one?")
        if thing == "that":
            said, thing = said or self._pointed(pointed, "Which one? Please point to it."), "object"
        elif pointed == "both" and not said:
            raise _Ask(f"You pointed both ways. Which {thing}?")
        return " ".join(word for word in (said or pointed, slots.get("colour", ""), thing) if word)

    def _pointed(self, side: str, question: str) -> str:
        if side not in SIDES.values():
            raise _Ask(question)
        return side

    def _told(self, action: Action) -> str:
        distance = action.values.get("distance_m")
        way = "" if distance is None else f" {distance:g} m"
        told = _SAID.get(action.kind, _OKAY)
        if "{target}" in told and not action.target:
            told = _OKAY
        return told.format(target=action.target, way=way, text=action.text)
