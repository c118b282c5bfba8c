"""All that one decision can rest on, as it is known at that moment. Times are seconds from now, so mostly negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnistream.message import Detections

__all__ = ["MODALITIES", "Evidence", "HandSeen", "Words"]

MODALITIES = ("speech", "typed", "hands", "detections", "state")


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
    """`size` is width and height, in pixels, of the pictures that boxes and landmarks are of. None and empty are absent."""

    speech: Words | None = None
    typed: Words | None = None
    hands: Sequence[HandSeen] = ()
    detections: Detections | None = None
    holding: bool | None = None
    size: tuple[int, int] = (320, 240)

    def present(self) -> dict[str, bool]:
        """Which modalities there are."""
        there = (self.speech, self.typed, self.hands or None, self.detections, self.holding)
        return {name: value is not None for name, value in zip(MODALITIES, there, strict=True)}

    def without(self, *modalities: str) -> Evidence:
        """The same, some modalities left out."""
        empty = {"speech": None, "typed": None, "hands": (), "detections": None, "state": None}
        names = {"state": "holding"}
        return replace(self, **{names.get(m, m): empty[m] for m in modalities})

    @property
    def words(self) -> Words | None:
        """The words that the decision is about: what was typed, else what was said."""
        return self.typed or self.speech
