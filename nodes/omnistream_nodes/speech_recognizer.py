"""Sound -> what was said: Moonshine tiny, with its own ear for where an utterance begins and ends."""

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
from omnistream_nodes.listening import Listener, Silences
from omnistream_nodes.transcribing import Transcriber
from omnistream_nodes.voice_model import RATE_HZ, VoiceModelName, open_voice_model

__all__ = ["SpeechRecognizer"]


@dataclass(kw_only=True)
class SpeechRecognizer(Node):
    """16 kHz mono chunks -> transcripts: partial ones while somebody speaks (`rev` rising), one final for each utterance.

    `start_ns` and `end_ns` are the first and last voiced sample. What comes out is a function of the samples and their
    times, however they are cut into chunks. An utterance ends when silence has lasted, counted from its last voiced sample:

    - `commit_ms` after a whole phrase of the grammar; `unsure_ms` where it could go on ("go forward", of "go forward
      ten meters") or is not sure; `urgent_ms` after one of an urgent intent ("stop": in "stop by the store" the lips are
      closed for 110 ms);
    - `end_silence_ms` after anything else, or at `max_utterance_s` without silence.

    `grammar`: a commands file, or ``none`` for free dictation. A phrase of it is recognized even where free recognition
    errs; then `text` is the phrase, and `confidence` falls from 1 to 0.5 at the line of rejection. Anything else is
    written as heard, with the mean probability of its tokens. The words are looked at after `probe_ms` of silence, so that
    they are known when the silence is long enough. `partial_ms`: time between partial transcripts, 0 for none.

    Up to 40 ms of lost sound are filled with silence. An utterance with a longer gap, or one that begins right behind it,
    has an empty final transcript of confidence 0: what is missing might be "don't" (``audio_gap``). Chunks of another rate
    are left out (``audio_rate``). What is being said when the sound ends stays without a final transcript. English only.

    Variants: `full`; `final_only`, without partial transcripts, as if `partial_ms` were 0.

    Model: Moonshine tiny (Useful Sensors, MIT), voice activity: silero-vad 6 (MIT) or WebRTC's.

    ```yaml
    graph: dictation
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap, stream: mic}}
      speech: {use: speech_recognizer, inputs: {audio: mic}}
      show: {use: console, inputs: {message: speech}}
    ```
    """

    blocking: ClassVar[bool] = True
    inexact = {"confidence": 2e-3}
    variants = ("full", "final_only")

    grammar: str = "commands.yaml"
    activity: VoiceModelName = "silero"
    threshold: float = 0.5
    probe_ms: int = 56
    commit_ms: int = 104
    urgent_ms: int = 152
    unsure_ms: int = 240
    end_silence_ms: int = 500
    partial_ms: int = 400
    max_utterance_s: float = 10.0

    def __post_init__(self) -> None:
        waits = (self.probe_ms, self.commit_ms, self.urgent_ms, self.unsure_ms, self.end_silence_ms)
        if waits[0] < 8 or min(waits) != waits[0] or max(waits) != waits[-1] or waits[-1] > 5000:
            raise GraphError(
                "speech_recognizer: probe_ms, commit_ms, urgent_ms, unsure_ms, end_silence_ms are "
                f"{', '.join(map(str, waits))}; write numbers from 8 to 5000, the first the least and the last the most"
            )
        if self.partial_ms and self.partial_ms < 80:
            raise GraphError(f"speech_recognizer: partial_ms is {self.partial_ms}; write 0 for none, or 80 and more")
        if not 1 <= self.max_utterance_s <= 60:
            raise GraphError(f"speech_recognizer: max_utterance_s is {self.max_utterance_s}; write 1 to 60")
        if not 0 < self.threshold < 1:
            raise GraphError(f"speech_recognizer: threshold is {self.threshold}; write a probability between 0 and 1")

    async def open(self, ctx: Context) -> None:
        from omnistream_nodes.moonshine import Moonshine
        from omnistream_nodes.phrase_choice import PhraseChooser

        grammar = None if self.grammar == "none" else load_grammar(find_grammar(self.grammar), {"default_distance_m": 1.0})
        model = Moonshine(ctx.threads)
        model.recognize(np.zeros(RATE_HZ, np.float32)).free()  # the first run of a session is slow
        endpointer = Endpointer(open_voice_model(self.activity, ctx.threads), self.threshold)
        listener = Listener(PhraseChooser(model, grammar), endpointer, self._silences())
        self._transcriber = Transcriber(ctx, listener, grammar.lang if grammar else "en")
        self._ctx = ctx

    def _silences(self) -> Silences:
        return Silences.of_ms(
            probe=self.probe_ms,
            urgent=self.urgent_ms,
            commit=self.commit_ms,
            unsure=self.unsure_ms,
            end=self.end_silence_ms,
            partial=self.partial_ms,
            utterance=self.max_utterance_s * 1000,
        )

    async def step(self, audio: AudioChunk) -> AsyncIterator[Transcript]:
        for transcript in self._transcriber.hear(audio, partials=self._ctx.variant != "final_only"):
            yield transcript
