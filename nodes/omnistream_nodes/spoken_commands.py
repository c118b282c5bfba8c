"""Sound -> spoken commands, told as they end: small ears that hear a phrase and its end, checked by the recognizer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import AudioChunk, Transcript
from omnistream.node import Context, Node
from omnistream_nodes.endpointing import Endpointer
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.listening import Silences
from omnistream_nodes.transcribing import Transcriber
from omnistream_nodes.voice_model import RATE_HZ, VoiceModelName, open_voice_model

__all__ = ["SpokenCommands"]

#: So long before they are needed words are looked at: for those that the ears tell by then it would be for nothing.
_LOOK_MS = 24


@dataclass(kw_only=True)
class SpokenCommands(Node):
    """16 kHz mono chunks -> transcripts, as `speech_recognizer` gives, but a command's comes some 0.1 s after its last voice.

    A small causal network (the ears) says every 20 ms whether a phrase of the grammar has just ended, and which; the recognizer
    weighs the likeliest against what it would write itself. From a probability of `ask` on (`ask_urgent` for urgent intents:
    "stop"; averaged over some 40 ms) the one that both agree on is the utterance's final transcript at once, without waiting
    for silence. A phrase that could go on ("go forward", of "go forward ten meters") is waited for about 0.15 s; one of the
    grammar's ``hear_out`` ("go home": other sentences begin so) for `hear_out_ms` more.

    All else is understood as `speech_recognizer` does, after as much silence (`commit_ms`, `urgent_ms`, `unsure_ms` or
    `end_silence_ms`): phrases that the ears were not trained for (said once, as ``untrained``), those that they only suspect,
    and free text. `hear_out_ms` more follow what is heard out, and what only the recognizer hears and writes by itself.
    `omnistream train ears --grammar my.yaml --out my-ears` trains ears for other commands; `ears` is such a folder, or
    ``shipped``.

    `grammar`: a commands file. `partial_ms`: time between partial transcripts, 0 for none: each takes the recognizer as long as
    the ears need in a second. Gaps in the sound and chunks of another rate are treated, and reported, as there. English only.

    Variants: `full`; `int8`, whose ears compute in whole numbers; `small`, whose ears have an eighth of the parameters, and
    which leaves partial transcripts out. The recognizer's time, which is most of the node's, is the same in all. A change of
    variant loses no word: the other ears first hear again what they would remember. Ears of another folder have variants if
    `omnistream quantize ears` made them; without them they stay as they are (``no_variant``, said once).

    Models: ears (ours), Moonshine tiny (Useful Sensors, MIT), voice activity: silero-vad 6 (MIT) or WebRTC's.

    ```yaml
    graph: commands
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap, stream: mic}}
      speech: {use: spoken_commands, inputs: {audio: mic}}
      show: {use: console, inputs: {message: speech}}
    ```
    """

    blocking: ClassVar[bool] = True
    inexact = {"confidence": 5e-3}
    variants = ("full", "int8", "small")

    grammar: str = "commands.yaml"
    ears: str = "shipped"
    activity: VoiceModelName = "silero"
    threshold: float = 0.5
    ask: float = 0.6
    ask_urgent: float = 0.5
    hear_out_ms: int = 120
    commit_ms: int = 104
    urgent_ms: int = 152
    unsure_ms: int = 240
    end_silence_ms: int = 500
    partial_ms: int = 0
    max_utterance_s: float = 10.0

    def __post_init__(self) -> None:
        waits = (self.commit_ms, self.urgent_ms, self.unsure_ms, self.end_silence_ms)
        if sorted(waits) != list(waits) or waits[0] < 80 or waits[-1] > 5000:
            raise GraphError(
                f"spoken_commands: commit_ms, urgent_ms, unsure_ms, end_silence_ms are {', '.join(map(str, waits))}; "
                "write numbers from 80 to 5000, none below the one before it"
            )
        if self.partial_ms and self.partial_ms < 80:
            raise GraphError(f"spoken_commands: partial_ms is {self.partial_ms}; write 0 for none, or 80 and more")
        if not 0 <= self.hear_out_ms <= 500:
            raise GraphError(f"spoken_commands: hear_out_ms is {self.hear_out_ms}; write 0 to 500")
        if not 1 <= self.max_utterance_s <= 60:
            raise GraphError(f"spoken_commands: max_utterance_s is {self.max_utterance_s}; write 1 to 60")
        for name in ("threshold", "ask", "ask_urgent"):
            if not 0 < getattr(self, name) < 1:
                raise GraphError(
                    f"spoken_commands: {name} is {getattr(self, name)}; write a probability between 0 and 1, such as 0.5"
                )

    async def open(self, ctx: Context) -> None:
        from omnistream_models.ears.runtime import EarlyEars
        from omnistream_nodes.early_choice import STEP_MS, Decider, Limits
        from omnistream_nodes.early_listening import EarlyListener
        from omnistream_nodes.listening import Listener
        from omnistream_nodes.moonshine import Moonshine
        from omnistream_nodes.phrase_choice import PhraseChooser

        grammar = load_grammar(find_grammar(self.grammar), {"default_distance_m": 1.0})
        ears = EarlyEars(self.ears, ctx.threads)
        model = Moonshine(ctx.threads)
        model.weigh(np.zeros(RATE_HZ, np.float32), [grammar.phrases[0].text])  # the first run of a session is slow
        model.recognize(np.zeros(RATE_HZ, np.float32)).free()
        untrained = [p.text for p in grammar.phrases if p.text not in set(ears.phrases)]
        if untrained:
            ctx.report(
                "untrained",
                f"{ctx.name}: the ears were not trained for {len(untrained)} of {len(grammar.phrases)} phrases, such as "
                f"'{untrained[0]}': these take {self.commit_ms} ms of silence; 'omnistream train ears' trains them",
            )
        endpointer = Endpointer(open_voice_model(self.activity, ctx.threads), self.threshold)
        limits = Limits(ask=self.ask, ask_urgent=self.ask_urgent, hear_out=self.hear_out_ms // STEP_MS)
        decider = Decider(grammar, ears.phrases, limits)
        listener = Listener(PhraseChooser(model, grammar, decider.suspects), endpointer, self._silences(), decider.doubts)
        early = EarlyListener(listener, ears, decider, model, limits)
        self._ctx, self._ears, self._missed = ctx, ears, set[str]()
        self._transcriber = Transcriber(ctx, early, grammar.lang)

    def _silences(self) -> Silences:
        return Silences.of_ms(
            probe=self.commit_ms - _LOOK_MS,
            urgent=self.urgent_ms,
            commit=self.commit_ms,
            unsure=self.unsure_ms,
            end=self.end_silence_ms,
            partial=self.partial_ms,
            utterance=self.max_utterance_s * 1000,
            doubt=self.hear_out_ms,
        )

    async def step(self, audio: AudioChunk) -> AsyncIterator[Transcript]:
        self._vary(self._ctx.variant)
        for transcript in self._transcriber.hear(audio, partials=self._ctx.variant != "small"):
            yield transcript

    def _vary(self, variant: str) -> None:
        self._ears.use(variant)
        if variant and variant not in self._ears.variants and variant not in self._missed:
            self._missed.add(variant)
            self._ctx.report(
                "no_variant",
                f"{self._ctx.name}: the ears {self.ears} have no variant '{variant}'; 'omnistream quantize ears --ears "
                f"{self.ears}' makes it",
            )
