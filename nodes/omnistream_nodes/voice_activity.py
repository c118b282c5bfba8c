"""Sound -> when somebody begins and stops speaking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import MS, AudioChunk, Event
from omnistream.node import Context, Node
from omnistream_nodes.audio_time import Frames, Intake
from omnistream_nodes.voice_model import RATE_HZ, VoiceModelName, open_voice_model

__all__ = ["VoiceActivity"]

#: Speech goes on while its probability is above the threshold less this: one threshold alone flickers.
_HYSTERESIS = 0.15


@dataclass(kw_only=True)
class VoiceActivity(Node):
    """16 kHz mono chunks -> an event at each change: speech_start and speech_end.

    Speech has started when there were `min_speech_ms` of it, and has ended when there were `end_silence_ms` without.
    Both bear `at_ns`, the beginning of the first and the end of the last frame with speech: a change is known later than it
    is. speech_start has the `probability` of the frame that decided it, speech_end the `start_ns` of its speech. Events depend
    on the samples and their times alone, however they are cut into chunks. A gap in the sound ends speech
    at its edge (``audio_gap``); chunks of another rate are left out (``audio_rate``).

    `model`: silero (silero-vad 6, MIT: a recurrent network on 32 ms frames, 0.1 ms each) or webrtc (WebRTC's detector on 10 ms
    frames: lighter, and taken in by music and noise).

    ```yaml
    graph: who_speaks
    nodes:
      mic: {use: recording, with: {path: graphs/recordings/voice_robot.mcap, stream: mic}}
      voice: {use: voice_activity, inputs: {audio: mic}}
      show: {use: console, inputs: {message: voice}}
    ```
    """

    inexact = {"data": 2e-3}

    model: VoiceModelName = "silero"
    threshold: float = 0.5
    min_speech_ms: int = 64
    end_silence_ms: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise GraphError(f"voice_activity: threshold is {self.threshold}; write a probability between 0 and 1, such as 0.5")
        if not 0 <= self.min_speech_ms <= 5000 or not 0 <= self.end_silence_ms <= 10_000:
            raise GraphError(
                f"voice_activity: min_speech_ms {self.min_speech_ms}, end_silence_ms {self.end_silence_ms}; "
                "write 0 to 5000 and 0 to 10000, such as 64 and 200"
            )

    async def open(self, ctx: Context) -> None:
        self._voice = open_voice_model(self.model, ctx.threads)
        self._frames = Frames(self._voice.frame)
        self._intake = Intake(ctx, RATE_HZ)
        self._time_ns = self._intake.timeline.time_ns
        self._end = 0  # of the newest frame, in samples
        self._forget()

    async def step(self, audio: AudioChunk) -> AsyncIterator[Event]:
        missing = self._intake.missing(audio)
        if missing is None:
            return
        if missing:
            event = self._restart()
            if event is not None:
                yield event
        self._intake.take(audio, anew=bool(missing))
        for frame in self._frames.push(audio.samples):
            event = self._frame(frame)
            if event is not None:
                yield event

    def _frame(self, frame: np.ndarray) -> Event | None:
        probability = self._voice.step(frame)
        self._end += len(frame)
        if not self._speaking:
            self._run = self._run + len(frame) if probability >= self.threshold else 0
            if not self._run or self._run * 1000 < self.min_speech_ms * RATE_HZ:
                return None
            self._speaking = True
            self._started = self._time_ns(self._end - self._run)
            self._voiced_end = self._end
            return Event("speech_start", {"at_ns": self._started, "probability": round(probability, 3)})
        if probability >= self.threshold - _HYSTERESIS:
            self._voiced_end = self._end
        silence_ns = self._time_ns(self._end) - self._time_ns(self._voiced_end)
        return self._stop() if self._voiced_end < self._end and silence_ns >= self.end_silence_ms * MS else None

    def _restart(self) -> Event | None:
        """Begin anew behind a gap."""
        event = self._stop() if self._speaking else None
        self._voice.reset()
        self._frames.clear()
        self._end = self._intake.timeline.count
        self._forget()
        return event

    def _stop(self) -> Event:
        event = Event("speech_end", {"at_ns": self._time_ns(self._voiced_end), "start_ns": self._started})
        self._forget()
        return event

    def _forget(self) -> None:
        self._speaking = False
        self._run = 0
        self._started = 0
        self._voiced_end = 0
