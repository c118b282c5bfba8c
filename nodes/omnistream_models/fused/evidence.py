"""All that one decision can rest on, as it is known at that moment. Times are seconds from now, so mostly negative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnistream.message import Detections

__all__ = ["HEARD", "LOOKS", "MODALITIES", "Evidence", "HandSeen", "Look", "Words"]

MODALITIES = ("speech", "sound", "typed", "hands", "detections", "looks", "state")
#: The length of what the ears make of 20 ms of sound (`omnistream_nodes.audio_tokens`).
HEARD = 192
#: The length of a vector of how a thing looks (`omnistream_models.tabletop`).
LOOKS = 32
#: Numbers (N,) of detections -> how they look, (N, LOOKS) float32.
Look = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Words:
    """What was said or typed in [start_s, end_s]."""

    text: str
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class HandSeen:
    """A hand in one frame: `landmarks` is (21, 3) float32 in image coordinates 0..1, as in `Gesture`."""

    at_s: float
    landmarks: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """`size` is width and height, in pixels, of the pictures that boxes and landmarks are of. None and empty are absent.

    `sound` is what the ears made of the speech, (T, HEARD) float32, a row for each 20 ms from its beginning on. `look` tells
    how detections look; it is called only where that is needed, and only for those of which it is.
    """

    speech: Words | None = None
    sound: np.ndarray | None = None
    typed: Words | None = None
    hands: Sequence[HandSeen] = ()
    detections: Detections | None = None
    look: Look | None = None
    holding: bool | None = None
    size: tuple[int, int] = (320, 240)

    def present(self) -> dict[str, bool]:
        """Which modalities there are."""
        look = None if self.detections is None else self.look
        there = (self.speech, self.sound, self.typed, self.hands or None, self.detections, look, self.holding)
        return {name: value is not None for name, value in zip(MODALITIES, there, strict=True)}

    def without(self, *modalities: str) -> Evidence:
        """The same, some modalities left out."""
        names = {"state": "holding", "looks": "look"}
        return replace(self, **{names.get(m, m): () if m == "hands" else None for m in modalities})

    @property
    def words(self) -> Words | None:
        """The words that the decision is about: what was typed, else what was said."""
        return self.typed or self.speech
