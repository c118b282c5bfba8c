"""Ears that begin with what other ears have learned: all of it for the phrases that both know, all but a row for new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from omnistream.errors import ModelError
from omnistream_models.ears.export import load_ears
from omnistream_models.ears.network import Ears

__all__ = ["begin_with"]


def begin_with(ears: Ears, phrases: Sequence[str], folder: Path) -> None:
    """Copy the weights of the ears in `folder` into `ears`, whose classes are none and `phrases`.

    Raises ModelError where their networks are of different shapes.
    """
    other, manifest = load_ears(folder)
    if replace(other.shape, classes=ears.shape.classes) != ears.shape:
        raise ModelError(f"{folder}: a network of another shape, {other.shape}; begin with one of {ears.shape}, or by chance")
    own = ears.state_dict()
    learned = {name: value for name, value in other.state_dict().items() if not name.startswith("classes.")}
    known = {text: n + 1 for n, text in enumerate(manifest.phrases)} | {"": 0}
    rows = [(n, known[text]) for n, text in enumerate(["", *phrases]) if text in known]
    with torch.no_grad():
        for name in ("classes.weight", "classes.bias"):
            own[name][[n for n, _ in rows]] = other.state_dict()[name][[row for _, row in rows]]
    ears.load_state_dict(own | learned)
