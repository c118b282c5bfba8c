"""What the ears make of scenes' sentences: synthesized by voices of training or of tests, in noise, heard by the real ears."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_models.ears.speech import RATE_HZ, Clip
from omnistream_models.ears.synthesis import Job, make_clips
from omnistream_models.ears.voices import held_out, may_train, voices_of
from omnistream_models.fused.making import Scene
from omnistream_nodes.grammar_file import find_grammar, load_grammar

__all__ = ["heard", "sounds_of"]

#: Before a sentence there is noise for so long, and of what comes after it so much is heard before it is decided on.
_BEFORE, _AFTER = RATE_HZ // 2, RATE_HZ * 8 // 100
_QUIETER_DB = (8.0, 35.0)


def sounds_of(
    scenes: Mapping[int, Scene], programs: Sequence[str], folder: Path, *, seed: int, test: bool,
    told: Callable[[int], None] = lambda _: None, ears: str = "shipped",
) -> dict[int, np.ndarray]:  # fmt: skip
    """By the scenes' numbers, (T, HEARD) for those in which somebody speaks, as `ears` (a folder, or "shipped") hear them.

    `told` is how many more were spoken.

    Clips are kept in `folder`. Raises ModelError where a synthesizer cannot speak.
    """
    reserved = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0}).reserved
    suits = held_out if test else may_train
    voices = [found for p in programs if (found := [v for v in voices_of(p) if suits(v, reserved)])]
    rng = np.random.default_rng((seed, int(test)))
    jobs = dict[int, Job]()
    for n, made in scenes.items():
        if made.evidence.speech is not None:
            mine = voices[int(rng.integers(len(voices)))]
            jobs[n] = Job(mine[int(rng.integers(len(mine)))], made.text, -1, int(rng.integers(1 << 31)))
    clips = {(c.text, c.voice): c for c in make_clips(list(jobs.values()), folder, told)}
    listening = EarlyEars(ears, 1)
    spoken = {n: clips[job.text, job.voice] for n, job in jobs.items() if (job.text, job.voice) in clips}
    return {n: heard(listening, clip, np.random.default_rng((seed, n))) for n, clip in spoken.items()}


def heard(ears: EarlyEars, clip: Clip, rng: np.random.Generator) -> np.ndarray:
    """(T, HEARD) float32: a row for each 20 ms of the clip's speech, in noise that is 8 to 35 dB below it."""
    speech = clip.samples[clip.first : clip.last].astype(np.float64)
    sound = np.concatenate([np.zeros(_BEFORE), speech, np.zeros(_AFTER + STEP)])
    noise = np.sqrt(np.mean(speech**2)) * 10 ** (-rng.uniform(*_QUIETER_DB) / 20)
    samples = np.clip(sound + rng.normal(0, noise, len(sound)), -32768, 32767).astype(np.int16)
    ears.reset()
    rows = [ears.hear(samples[at : at + STEP])[1] for at in range(0, len(samples) - STEP + 1, STEP)]
    return np.concatenate(rows[_BEFORE // STEP :])
