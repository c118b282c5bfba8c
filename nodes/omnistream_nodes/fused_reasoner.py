"""What was said, shown and seen at one moment -> one action by a learned network, or a question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from omnistream.errors import GraphError, ModelError
from omnistream.message import (
    MS,
    SECOND,
    Action,
    Caption,
    Command,
    Detections,
    Event,
    Features,
    Gesture,
    RobotState,
    VideoFrame,
)
from omnistream.node import Context, Recent
from omnistream_models.fused.decode import to_action
from omnistream_models.fused.evidence import Evidence, Words
from omnistream_models.fused.runtime import FusedNetwork, Reading
from omnistream_models.fused.schema import VERBS, Decision
from omnistream_models.fused.telling import growing, opening
from omnistream_models.fused.variants import VARIANTS, Variants
from omnistream_models.tabletop.runtime import LooksNetwork
from omnistream_nodes.gathering import hands_of, look_of, sound_of
from omnistream_nodes.rule_reasoner import RuleReasoner

__all__ = ["FusedOutputs", "FusedReasoner", "checked"]

_MODEL = "fused"
#: Where each part of the evidence comes in.
_PORTS = {"objects": "detections", "hands": "gesture"}
#: The verbs that a parsed intent may have become.
_VERBS_OF = {"move": ("forward", "backward")}
#: What is asked or told where nothing is done.
_WHY = {
    "unclear": "I did not understand “{text}”.",
    "contradiction": "That does not go together. What do you mean?",
    "missing": "Which one? Please point to it.",
    "ambiguous": "There is more than one. Which one?",
    "absent": "I do not see that.",
    "empty": "There is nothing in my gripper.",
    "full": "There is something in my gripper.",
    "unsure": "I am not sure what you mean by “{text}”.",
}


class FusedOutputs(NamedTuple):
    """As of `rule_reasoner`; `why` says how each command was decided: path, confidence in per cent, and the gates in tenths."""

    action: Action | None
    stop: Action | None
    caption: Caption | None
    why: Event | None = None


@dataclass(kw_only=True)
class FusedReasoner(RuleReasoner):
    """Joins a command with the hands, things and state of its own time by a learned network; ports as of `rule_reasoner`.

    - Stops, open palms, commands that began before a stop, and intents that it was not trained for (a site's own) are the
      rules' business, as in `rule_reasoner`, whose options are its own, too. The network has the rest: also what the parser
      did not understand (intent "none"), by its words.
    - A thing is one of `detections`, if there are any: the action has its label as target and the middle of its box as u_px
      and v_px. It is found by kind and colour, by side, by what it stands next to, left or right of, in front of or behind, or
      by where the hand points. Without detections the target is in words, as of the rules.
    - `state` tells whether the gripper holds something (`holding`, above 0.5); without it that is unknown.
    - What was said and typed within `together_ms` is taken together: the same twice is done once, two things ask.
    - Nothing is done, and the caption asks, where the network is not sure, where evidence is missing or contradicts itself,
      where it reads another verb than the parser did, and where the parser understood nothing and it is no surer than
      `sure_alone`. With 1 the parser alone says what is a command: the network took one in five of the sentences that are none,
      but near one, for a command (docs/benchmarks.md). Every action is valid by its schema and limits.

    With `captions: words` an answer's first words come before the second half has decided, where the words alone tell the verb;
    an action never waits for its caption, which goes on after it.

    Words that are enough by themselves are decided on at once; the rest of the network is run only for the others (`why` says
    which). Where the weights are missing the rules decide, and the ledger says so (`fallback`).

    Variants: `full`; `int8`, in whole numbers; `small`, with an eighth of the parameters, which gives sound no weight. They are
    smaller and hardly faster: a decision is many short steps. Each is made by one of them alone, and what was said, typed and
    done before is known to all. A folder of `weights` has variants if `omnistream quantize fused` made them; without them the
    network stays as it is (``no_variant``, said once).

    Network: 0.5 M parameters, trained by ``omnistream train fused`` on generated scenes; its card lies with
    the weights. `weights` is a folder of others. Raises ModelError (open) where that folder has none.

    ```yaml
    graph: reason
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap}}
      camera: {use: recording, with: {path: graphs/recordings/voice_robot.mcap}}
      speech: {use: speech_recognizer, inputs: {audio: {from: mic, queue: {block: 256}}}}
      parse: {use: command_parser, inputs: {text: speech}}
      hands: {use: hand_gesture, inputs: {frame: {from: camera, queue: newest}}}
      reason:
        use: fused_reasoner
        inputs:
          intent: parse
          gesture: {from: hands, take: recent, hold: 3s, lag: 80ms}
          stop: {from: hands.stop, urgent: true}
      screen: {use: console, inputs: {message: {from: [reason.action, reason.stop, reason.caption, reason.why]}}}
    ```
    """

    variants = VARIANTS

    weights: str = ""  # a folder; empty: the network that ships
    width: int = 320  # of the pictures that gestures and detections are from, in pixels
    height: int = 240
    holding: str = "gripper_holding"  # the reading of `state` that is above 0.5 while something is held
    together_ms: int = 1000
    captions: Literal["whole", "words"] = "whole"  # "words": word by word, each a revision; the last is final
    sure_alone: float = 0.8  # the network must be surer than this of words that the parser did not understand; 1: never
    _said: dict[bool, tuple[Command, int]] = field(default_factory=dict[bool, "tuple[Command, int]"], init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except GraphError as e:
            raise GraphError(str(e).replace("rule_reasoner", "fused_reasoner", 1)) from None
        for name, lowest in (("width", 16), ("height", 16), ("together_ms", 0)):
            if getattr(self, name) < lowest:
                raise GraphError(f"fused_reasoner: {name} is {getattr(self, name)}; write {lowest} or more")
        if self.captions not in ("whole", "words"):
            raise GraphError(f"fused_reasoner: captions is {self.captions!r}; write whole or words")
        if not 0 <= self.sure_alone <= 1:
            raise GraphError(f"fused_reasoner: sure_alone is {self.sure_alone}; write a number from 0 to 1")

    async def open(self, ctx: Context) -> None:
        await super().open(ctx)
        self._said, self._done = {}, (0, ())
        self._networks, self._missed, self._looks = self._loaded(), set[str](), self._looking()

    def _loaded(self) -> Variants | None:
        """The networks; None where the one that ships is not there. A folder that was asked for is replaced by nothing else."""
        folder = Path(self.weights).expanduser() if self.weights else None
        parts = [part for part, port in _PORTS.items() if port not in self._ctx.unconnected]
        try:
            return Variants(folder, self._ctx.threads, self._ctx.variants or ("full",), parts)
        except ModelError as e:
            if self.weights:
                raise
            self._ctx.report("fallback", f"{self._ctx.name}: decides by the rules of rule_reasoner, because {e}")
            return None

    def _looking(self) -> LooksNetwork | None:
        if "frame" in self._ctx.unconnected:
            return None
        try:
            return LooksNetwork(threads=self._ctx.threads)
        except ModelError as e:
            self._ctx.report("fallback", f"{self._ctx.name}: knows things by their labels alone, because {e}")
            return None

    async def step(  # pyright: ignore[reportIncompatibleMethodOverride]  (one output more)
        self,
        *,
        stop: Event | None = None,  # first: what comes of both at once is the stop's (rule 24), whenever they meet
        intent: Command | None,
        gesture: Recent[Gesture] = Recent(),  # noqa: B008 (an empty tuple)
        detections: Detections | None = None,
        state: RobotState | None = None,
        frame: VideoFrame | None = None,
        sound: Recent[Features] = Recent(),  # noqa: B008
    ) -> AsyncIterator[FusedOutputs]:
        known = intent is not None and (intent.intent in VERBS or intent.intent in ("move", "none"))
        if stop is not None or intent is None or intent.intent == "stop" or not known or self._networks is None:
            ruled = await super().step(stop=stop, intent=intent, gesture=gesture)
            if ruled is not None:
                yield FusedOutputs(*ruled)
            return
        start, end = intent.start_ns or self._ctx.now, intent.end_ns or self._ctx.now
        held = self._held(gesture, start)
        if held:
            for out in self._streamed(self._refused(intent, held, start, end, None)):
                yield out
            return
        evidence = replace(
            self._evidence(intent, gesture, detections, state),
            sound=sound_of(sound, start, end, self._unread),
            look=look_of(self._looks, detections, frame, (self.width, self.height), self._blind),
        )
        network = self._network(self._networks, self._ctx.variant)
        read, shown = network.read(evidence), ""
        if self.captions == "words" and (shown := opening(read.said)):
            yield FusedOutputs(None, None, replace(self._told_as(start, end, shown), final=False))
        for out in self._streamed(self._decided(intent, network, read, start, end, detections), shown):
            yield out

    def _network(self, networks: Variants, variant: str) -> FusedNetwork:
        if variant and variant not in networks.names and variant not in self._missed:
            self._missed.add(variant)
            where = self.weights or "shipped"
            self._ctx.report(
                "no_variant",
                f"{self._ctx.name}: the weights {where} have no variant '{variant}'; 'omnistream quantize fused --weights "
                f"{where}' makes it",
            )
        return networks.of(variant)

    def _decided(
        self, intent: Command, network: FusedNetwork, read: Reading, start: int, end: int, detections: Detections | None
    ) -> FusedOutputs:
        evidence, answer = read.evidence, network.finish(read)
        decision = checked(answer.decision, intent, self.sure_alone)
        why = Event(
            "decision",
            {
                "path": "words" if answer.early else "whole",
                "verb": decision.verb,
                "reason": decision.reason,
                "confidence_pct": round(100 * decision.confidence),
                "gates": {name: round(10 * value) / 10 for name, value in decision.gates.items()},
            },
        )
        if decision.reason:
            return self._refused(intent, _WHY[decision.reason].format(text=intent.text), start, end, why)
        if decision.verb == "stop":
            self._stop_ns = max(self._stop_ns, end)
            return FusedOutputs(None, self._stop(intent.text), self._told_as(start, end, "Stopped."), why)
        asked = (decision.asked, evidence.speech is not None and evidence.typed is not None)
        if asked[1] and self._done[1] == decision.asked and start - self._done[0] <= self.together_ms * MS:
            return self._refused(intent, "I am at it already.", start, end, why)
        self._done = (end, decision.asked)
        cause = self._ctx.cause
        action = to_action(decision, detections, cause, valid_ms=self.valid_ms, text=intent.text, model=_MODEL)
        return FusedOutputs(action, None, self._told_as(start, end, self._told(action)), why)

    def _streamed(self, out: FusedOutputs, shown: str = "") -> Iterator[FusedOutputs]:
        """What is decided, at once; its caption with it, or word by word after it, as revisions of what was `shown`."""
        caption = out.caption
        if self.captions == "whole" or caption is None:
            yield out
            return
        texts = list(growing(caption.text, shown))
        for n, text in enumerate(texts):
            told = replace(caption, text=text, final=n == len(texts) - 1, rev=n + bool(shown))
            yield out._replace(caption=told) if n == 0 else FusedOutputs(None, None, told)

    def _evidence(
        self, intent: Command, gesture: Recent[Gesture], detections: Detections | None, state: RobotState | None
    ) -> Evidence:
        now = self._ctx.now
        typed = intent.start_ns == intent.end_ns
        other = self._said.get(not typed)
        self._said[typed] = (intent, now)
        words = {typed: _words(intent, now)}
        if other is not None and other[0].intent != "none" and now - other[1] <= self.together_ms * MS:
            words[not typed] = _words(other[0], now)
        holding = None if state is None or self.holding not in state.values else state.values[self.holding] > 0.5
        return Evidence(
            words.get(False), typed=words.get(True), hands=hands_of(gesture, now), detections=detections, holding=holding,
            size=(self.width, self.height),
        )  # fmt: skip

    def _blind(self, why: str) -> None:
        self._unread(f"{why}; things are known by their labels alone")

    def _unread(self, why: str) -> None:
        self._ctx.report("refused", f"{self._ctx.name}: {why}")

    def _refused(self, intent: Command, text: str, start: int, end: int, why: Event | None) -> FusedOutputs:
        self._ctx.report("refused", f"{self._ctx.name}: '{intent.text}': {text}")
        return FusedOutputs(None, None, self._told_as(start, end, text), why)

    def _told_as(self, start: int, end: int, text: str) -> Caption:
        return Caption(f"u{start}-{end}", text, start_ns=start, end_ns=end)


def _words(command: Command, now: int) -> Words:
    return Words(command.text, (command.start_ns - now) / SECOND, (command.end_ns - now) / SECOND)


def checked(decision: Decision, intent: Command, sure_alone: float) -> Decision:
    """Where the parser has a phrase and the network reads another verb, neither is trusted; where it has none, the network must
    be surer than `sure_alone`."""
    verbs = _VERBS_OF.get(intent.intent, (intent.intent,))
    agreed = decision.verb in verbs if intent.intent != "none" else decision.confidence > sure_alone
    return decision if decision.reason or agreed else replace(decision, reason="unsure")
