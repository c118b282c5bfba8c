"""Named colours as a person names them: ranges of hue, saturation and value. Training has the inner part of each, tests all."""

from __future__ import annotations

import colorsys

import numpy as np

__all__ = ["OTHERS", "drawn"]

#: Lowest and highest hue in degrees, saturation and value.
_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-12, 9), (0.7, 1.0), (0.45, 0.95)),
    "blue": ((205, 245), (0.6, 1.0), (0.4, 0.95)),
    "green": ((92, 152), (0.5, 1.0), (0.3, 0.85)),
    "yellow": ((47, 60), (0.65, 1.0), (0.78, 1.0)),
    "white": ((0, 360), (0.0, 0.07), (0.86, 1.0)),
    "black": ((0, 360), (0.0, 0.3), (0.02, 0.13)),
    "orange": ((20, 33), (0.75, 1.0), (0.7, 1.0)),
    "purple": ((268, 300), (0.4, 0.9), (0.35, 0.8)),
    "pink": ((318, 345), (0.3, 0.55), (0.8, 1.0)),
    "brown": ((16, 32), (0.5, 0.8), (0.22, 0.42)),
    "grey": ((0, 360), (0.0, 0.08), (0.3, 0.58)),
    "turquoise": ((172, 190), (0.5, 0.9), (0.5, 0.85)),
}
#: Colours that no schema has a word for.
OTHERS = ("orange", "purple", "pink", "brown", "grey", "turquoise")
_INNER = 0.75


def drawn(rng: np.random.Generator, name: str, *, test: bool) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of what a person calls `name`."""
    part = 1.0 if test else _INNER
    h, s, v = (
        low + (high - low) * (0.5 + part * float(rng.uniform(-0.5, 0.5))) for low, high in _RANGES[name]
    )  # fmt: skip
    return colorsys.hsv_to_rgb((h % 360) / 360, s, v)
