"""The table of words among the weights, as it is or in 8 bits with a scale for each row. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from omnistream.errors import ModelError

__all__ = ["LEAST", "at_half", "in_int8", "of", "rounded"]

_TABLE = "model.reader.table.weight"
_SCALE = f"{_TABLE}.scale"
#: The smallest number that half precision has in full: a row's scale below it would be off by as much as it is small.
LEAST = 2.0**-14


def of(arrays: Mapping[str, np.ndarray], folder: Path) -> np.ndarray:
    """(rows, EMBEDDED) float32. Raises ModelError where there is none among the weights of the folder."""
    if _TABLE not in arrays:
        raise ModelError(f"{folder}: the weights hold no table of words; train them again")
    return _wide(arrays)


def at_half(table: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays from which `of` makes the table again, rounded to half precision."""
    return {_TABLE: table.astype(np.float16)}


def in_int8(table: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays from which `of` makes the table again, but for half a step of a 127th of each row's largest number."""
    scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, LEAST).astype(np.float16)
    return {_TABLE: np.clip(np.round(table / scale.astype(np.float32)), -127, 127).astype(np.int8), _SCALE: scale}


def rounded(table: np.ndarray) -> np.ndarray:
    """The table as it comes out of 8 bits."""
    return _wide(in_int8(table))


def _wide(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    table = arrays[_TABLE].astype(np.float32)
    return table * arrays[_SCALE].astype(np.float32) if _SCALE in arrays else table
