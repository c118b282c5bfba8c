"""What a training begins with: chance, or ears that were trained before, perhaps for other phrases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from omnistream.errors import ModelError
from omnistream_models.ears.export import load_ears
from omnistream_models.ears.manifest import read_manifest
from omnistream_models.ears.network import Ears
from omnistream_models.ears.shape import Shape, usual_shape
from omnistream_models.trained import folder_of

__all__ = ["beginning", "begun_with"]


def beginning(begin: str, network: str, phrases: tuple[str, ...]) -> tuple[Shape | Ears, int]:
    """What `train` starts with, and how many steps that has behind it. `begin`: a folder of ears, "shipped", or "" for chance.

    Raises ModelError as `begun_with` does.
    """
    if not begin:
        return usual_shape(network, len(phrases) + 1), 0
    folder = folder_of("ears", begin)
    made = read_manifest(folder).made
    return begun_with(folder, network, phrases), made.get("after", 0) + made.get("steps", 0)


def begun_with(folder: Path, network: str, phrases: tuple[str, ...]) -> Ears:
    """The ears of `folder`, for `phrases`: those that both know keep their class, the others are to be learned.

    Raises ModelError where there are none, or their network is of another kind.
    """
    known, manifest = load_ears(folder)
    if known.shape.network != network:
        raise ModelError(f"{folder}: these ears are a network of {known.shape.network}, and --network says {network}")
    ears = Ears(replace(known.shape, classes=len(phrases) + 1))
    state = known.state_dict()
    old = {"": 0} | {phrase: n for n, phrase in enumerate(manifest.phrases, 1)}
    both = [(new, old[phrase]) for new, phrase in enumerate(("", *phrases)) if phrase in old]
    to, come = (torch.tensor(rows) for rows in zip(*both, strict=True))
    for name in ("classes.weight", "classes.bias"):
        rows = ears.state_dict()[name]
        rows[to] = state[name][come]
        state[name] = rows
    ears.load_state_dict(state)
    return ears
