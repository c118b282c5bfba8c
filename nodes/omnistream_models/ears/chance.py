"""Drawing lots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["one_of"]

T = TypeVar("T")


def one_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Any of the items, each as likely as another."""
    return items[int(rng.integers(len(items)))]
