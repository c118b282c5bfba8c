"""Where speech begins and where it falls silent, hop by hop (8 ms).

The voice model finds that somebody speaks; it is sure of it, but 50 to 100 ms late. The energy of the sound finds, to a
hop, where the voice begins and ends. Both see the past only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.audio_time import Frames
from omnistream_nodes.voice_model import RATE_HZ, VoiceModel

__all__ = ["HOP", "Endpointer", "Hop"]

#: Samples of one hop; four make a frame of the silero model.
HOP = 128
#: A hop is quiet below the utterance's loudest hop less this, or this far above the background, whichever is higher.
#: 35 dB found the ends of nine synthetic voices within one hop at the median; 25 dB cut weak endings by 60 ms.
_BELOW_PEAK_DB = 35.0
_ABOVE_FLOOR_DB = 8.0
_FIRST_FLOOR_DB = 15.0
#: The model's word for silence where energy cannot say (noise as loud as the weak sounds of speech).
_SURELY_SILENT = 0.1
#: Its word for a voice where noise is less than so much below the loudest hop: then the model says how long it lasts.
_SURELY_VOICED, _MASKED_DB = 0.8, 15.0
#: Below this the model hears no voice: the background may be measured, and an utterance may begin anew.
_NOT_SPEECH = 0.35
#: Speech begins after so much that the model calls speech.
_ONSET_SAMPLES = RATE_HZ * 64 // 1000
#: Looking back for the first sound of a word: so far at most, and over pauses (closures) of so many hops.
_LOOK_BACK_HOPS = 40
_CLOSURE_HOPS = 8
_RESUMED_HOPS = 10


@dataclass(slots=True)
class Hop:
    """The state at the end of a hop; all numbers are of samples since the stream began."""

    end: int
    speaking: bool = False
    began: bool = False
    onset: int = 0
    voiced_end: int = 0

    @property
    def silence(self) -> int:
        """Samples since the last that was voiced."""
        return self.end - self.voiced_end


class Endpointer:
    """Feed it every hop in order; call `finish` to close the utterance that it is in."""

    def __init__(self, model: VoiceModel, threshold: float) -> None:
        self._model = model
        self._threshold = threshold
        self._frames = Frames(model.frame)
        self._floor_db = _FIRST_FLOOR_DB
        self._recent: deque[float] = deque(maxlen=_LOOK_BACK_HOPS)
        self._peak_db = 0.0
        self._last_sample = 0.0
        self._probability = 0.0
        self._speech_samples = 0
        self._armed = True
        self._resumed = 0
        self._not_before = 0
        self.hop = Hop(0)

    def reset(self, sample: int) -> None:
        """Forget the sound; the next hop begins at `sample`. What is known of the background stays."""
        self._model.reset()
        self._frames.clear()
        self._recent.clear()
        self._last_sample = 0.0
        self._probability = 0.0
        self._speech_samples = 0
        self._armed = True
        self._not_before = sample
        self.hop = Hop(sample)

    def finish(self) -> None:
        """The utterance is over. The next one begins when the voice has been silent, or is plainly heard again."""
        self.hop = Hop(self.hop.end)
        self._armed = False
        self._resumed = 0
        self._speech_samples = 0
        self._not_before = self.hop.end

    def step(self, samples: np.ndarray) -> Hop:
        """The state after one more hop of (128,) int16."""
        energy = self._energy_db(samples)
        self._recent.append(energy)
        for frame in self._frames.push(samples):
            self._probability = self._model.step(frame)
            self._speech_samples = self._speech_samples + self._model.frame if self._probability >= self._threshold else 0
        if self._probability < _NOT_SPEECH:
            self._floor_db += (0.2 if energy < self._floor_db else 0.02) * (energy - self._floor_db)
        self.hop.end += HOP
        self.hop.began = False
        if self.hop.speaking:
            self._peak_db = max(self._peak_db, energy)
            if (energy >= self._quiet_db and self._probability >= _SURELY_SILENT) or self._masked:
                self.hop.voiced_end = self.hop.end
        elif not self._armed:
            self._rearm(energy)
        elif self._speech_samples >= _ONSET_SAMPLES:
            self._begin()
        return self.hop

    @property
    def _quiet_db(self) -> float:
        return max(self._floor_db + _ABOVE_FLOOR_DB, self._peak_db - _BELOW_PEAK_DB)

    @property
    def _masked(self) -> bool:
        """Whether this is surely a voice, in noise that hides its weaker sounds from its energy."""
        return self._probability >= _SURELY_VOICED and self._floor_db + _ABOVE_FLOOR_DB > self._peak_db - _MASKED_DB

    def _energy_db(self, samples: np.ndarray) -> float:
        """Energy after pre-emphasis, which lifts consonants over hum; 0 dB is digital silence."""
        x = samples.astype(np.float32)
        before = np.empty_like(x)
        before[0] = self._last_sample
        before[1:] = x[:-1]
        self._last_sample = float(x[-1])
        x -= 0.9 * before
        return float(10 * np.log10(np.dot(x, x) / len(x) + 1))

    def _rearm(self, energy: float) -> None:
        self._resumed = self._resumed + 1 if energy >= self._quiet_db else 0
        if self._probability < _NOT_SPEECH or self._resumed >= _RESUMED_HOPS:
            self._armed = True
            self._speech_samples = 0

    def _begin(self) -> None:
        """Speech it is: find in the hops before now where its sound began and was last heard."""
        recent = list(self._recent)
        self._peak_db = max(recent[-(_ONSET_SAMPLES // HOP + 4) :])
        loud = [e >= self._quiet_db for e in recent]
        first = last = len(loud) - 1
        while last > 0 and not loud[last]:
            last -= 1
        first, quiet = last, 0
        for i in range(last, -1, -1):
            quiet = 0 if loud[i] else quiet + 1
            if quiet > _CLOSURE_HOPS:
                break
            if loud[i]:
                first = i
        end = self.hop.end
        onset = max(end - (len(loud) - first) * HOP, self._not_before)
        voiced_end = max(end - (len(loud) - 1 - last) * HOP, onset)
        self.hop = Hop(end, speaking=True, began=True, onset=onset, voiced_end=voiced_end)
