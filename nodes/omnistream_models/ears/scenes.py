"""Streams to learn from: clips one after another in a room, and for each 20 ms the phrase that has just ended.

Where in its stream a command ends is left to chance, and speech has gone before it: with one command at a fixed place a network
learns to tell the time since its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnistream_models.ears.augment import NoisePool, in_room, masked, pace, paced, resampled, tilted
from omnistream_models.ears.chance import one_of
from omnistream_models.ears.features import STEP, log_mel
from omnistream_models.ears.speech import RATE_HZ, Clip
from omnistream_nodes.grammar import Grammar

__all__ = ["IGNORED", "Batch", "Scenes", "label_span"]

#: What a frame is labelled with that teaches nothing: whether it is still the end of the phrase is a matter of taste.
IGNORED = -100
#: A phrase is to be told as soon as its last voiced sample was heard, for so long; one that could go on, so much later.
_AFTER_PREFIX, _FOR = (RATE_HZ * ms // 1000 for ms in (40, 280))
_LEVEL = 2300.0
#: How often what is heard next is a command, and how often each program speaks (those that are there).
_COMMANDS = 0.55
#: How often what is no command begins with one and goes on ("go home and sleep"), or ends with one ("they never go home"): what
#: tells a phrase from a part of a sentence. Of these, as of commands, half are drawn so that each intent comes as often.
_PARTS = 0.6
_SHARES = {
    "espeak-ng": 0.26, "flite": 0.1, "joe": 0.07, "kokoro": 0.23, "rhvoice": 0.19, "pico": 0.09, "festival": 0.06,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """`mels` (batch, 2 steps, 40), `labels` (batch, steps) classes, and what was said in each, for CTC."""

    mels: np.ndarray
    labels: np.ndarray
    texts: list[str]


def label_span(last: int, *, goes_on: bool) -> tuple[int, int]:
    """The steps [begin, end) that are labelled with a phrase whose last voiced sample is `last`."""
    begin = last + (_AFTER_PREFIX if goes_on else 0)
    return -(-begin // STEP), (begin + _FOR) // STEP


class Scenes:
    """Draws batches of scenes of `seconds` from clips; batch n is the same whichever came before it."""

    def __init__(self, clips: Sequence[Clip], grammar: Grammar, seed: int, seconds: float = 8.0) -> None:
        self._seed = seed
        self._samples = round(seconds * RATE_HZ) // STEP * STEP
        self._goes_on = [grammar.goes_on(p) for p in grammar.phrases]
        self._noise = NoisePool(np.random.default_rng(seed))
        said: dict[str, dict[int, list[Clip]]] = {}
        parts: dict[str, list[Clip]] = {}
        of_intent: dict[str, dict[str, list[Clip]]] = {}
        phrases = sorted(grammar.phrases, key=lambda p: -len(p.text))
        for clip in clips:
            program = clip.voice.split(" ")[0]
            said.setdefault(program, {}).setdefault(clip.phrase, []).append(clip)
            if clip.phrase < 0 and (part := next((p for p in phrases if _is_part(p.text, clip.text)), None)):
                parts.setdefault(program, []).append(clip)
                of_intent.setdefault(program, {}).setdefault(part.intent, []).append(clip)
        self._said, self._parts, self._parts_of = said, parts, of_intent
        self._programs = [p for p in said if len(said[p]) > 1]
        shares = np.array([_SHARES.get(p, 0.2) for p in self._programs])
        self._shares = shares / shares.sum()
        self._intents: dict[str, list[int]] = {}
        for n, p in enumerate(grammar.phrases):
            self._intents.setdefault(p.intent, []).append(n)
        self._phrases = len(grammar.phrases)

    def batch(self, number: int, size: int) -> Batch:
        """Batch `number`, of `size` scenes."""
        made = [self._scene(np.random.default_rng([self._seed, number, n])) for n in range(size)]
        return Batch(np.stack([m for m, _, _ in made]), np.stack([b for _, b, _ in made]), [t for _, _, t in made])

    def _scene(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
        sound = np.zeros(self._samples, np.float32)
        labels = np.zeros(self._samples // STEP, np.int64)
        texts: list[str] = []
        times = pace(rng)
        room = round(self._samples * min(1.0, times))
        at = int(rng.uniform(0, 1.2) * RATE_HZ)
        while True:
            clip = self._clip(rng)
            speech, last = resampled(clip, rng)
            goes_on = clip.phrase >= 0 and self._goes_on[clip.phrase]
            begin, end = label_span(at + last, goes_on=goes_on)
            if at + len(speech) > room or (end + 1) * STEP > room:
                break
            gain = np.float32(10 ** (rng.uniform(-5, 5) / 20))
            sound[at : at + len(speech)] += tilted(speech, rng) * gain
            if clip.phrase >= 0:
                labels[begin:end] = clip.phrase + 1
                labels[end : end + 4] = IGNORED
            texts.append(clip.text)
            pause = rng.uniform(0.5, 1.6) if clip.phrase >= 0 or rng.random() < 0.6 else rng.uniform(0.1, 0.5)
            at += last + int(pause * RATE_HZ)
        if rng.random() < 0.5:
            sound = in_room(sound, rng)
        sound += self._noise.cut(self._samples, rng) * np.float32(_LEVEL * 10 ** (-rng.uniform(5, 40) / 20))
        sound *= np.float32(10 ** (rng.uniform(-18, 6) / 20))
        mels, labels = paced(log_mel(np.clip(sound, -32768, 32767)), labels, times, IGNORED)
        return masked(mels, rng), labels, " ".join(texts)

    def _clip(self, rng: np.random.Generator) -> Clip:
        program = self._programs[int(rng.choice(len(self._programs), p=self._shares))]
        said = self._said[program]
        phrase = -1
        if rng.random() < _COMMANDS or -1 not in said:
            if rng.random() < 0.5:
                phrase = int(rng.integers(self._phrases))
            else:
                phrase = one_of(rng, one_of(rng, list(self._intents.values())))
        clips = said.get(phrase) or said[-1 if -1 in said else next(iter(said))]
        if phrase < 0 and program in self._parts and rng.random() < _PARTS:
            clips = self._parts[program] if rng.random() < 0.5 else one_of(rng, list(self._parts_of[program].values()))
        return one_of(rng, clips)


def _is_part(phrase: str, text: str) -> bool:
    """Whether a sentence goes on after a phrase, or ends with it."""
    return text.startswith(f"{phrase} ") or text.endswith(f" {phrase}")
