"""What the ears made of some scenes of the training, to train on: arrays by the scenes' numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnistream_models import cache_dir
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.sounding import sounds_of
from omnistream_models.fused.tokens import other_tokens

__all__ = ["SPOKEN", "Sounds", "made_sounds"]

#: Of so many scenes the sentences are spoken, where somebody speaks in them.
SPOKEN = 5000
#: In training so many are not heard, for a microphone may be of another kind.
_UNHEARD = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """`numbers` (N,) of scenes, `sounds` (N, SOUNDS, HEARD) float32 and `on` (N, SOUNDS) of each."""

    numbers: np.ndarray
    sounds: np.ndarray
    on: np.ndarray

    def take(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Numbers of scenes, and the fields of what is heard in them."""
        rows = rng.integers(len(self.numbers), size=count)
        on = self.on[rows] & (rng.random((count, 1)) >= _UNHEARD)
        return self.numbers[rows], {"sounds": self.sounds[rows], "sounds_on": on}


def made_sounds(
    seed: int, scenes: int, programs: Sequence[str], ears: str, told: Callable[[str, int, int, float], None] = lambda *_: None
) -> Sounds:
    """Of the first scenes of a seed, spoken in voices of training, as `ears` hear them. Clips are kept in the cache.

    Raises ModelError where a synthesizer cannot speak.
    """
    made = {n: one for n in range(min(scenes, SPOKEN)) if (one := scene(seed, n)).evidence.speech is not None}
    spoken = 0

    def more(count: int) -> None:
        nonlocal spoken
        spoken += count
        told("speech", spoken, len(made), math.nan)

    found = sounds_of(made, programs, cache_dir() / "fused", seed=seed, test=False, told=more, ears=ears)
    fields = [other_tokens(replace(made[n].evidence, sound=sound)) for n, sound in found.items()]
    return Sounds(np.array(list(found)), *(np.stack([f[name] for f in fields]) for name in ("sounds", "sounds_on")))
