"""Detectors that know little, and what is to be seen of the things that they find: a vector of how each looks.

What looks are is no guess: `seen.safetensors` holds what the shipped network of looks made of rendered tables, in one part of
training's shapes, shades, lamps and cameras, and in another of the tests' (launch/measure_looks.py). Some detectors know no
colours, and some nothing but that there is a thing: then a vector is all there is to tell a red cup from a blue one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused import tensors
from omnistream_models.fused.evidence import LOOKS
from omnistream_models.fused.making import Scene
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.tokens import unnamed
from omnistream_models.fused.world import Thing

__all__ = ["FILE", "looked"]

FILE = Path(__file__).with_name("seen.safetensors")
#: Of what detectors that name everything find, so much is looked at, too; of the plain ones so many know no kinds either.
_NAMED, _KINDLESS = 0.25, 0.25
#: So often in training only what has no full name was looked at, as the reasoner does.
_AS_NEEDED = 0.5


def looked(made: Scene, rng: np.random.Generator, *, plain: float, test: bool) -> Scene:
    """The scene as a camera and a detector give it; of detectors the share `plain` names no colours. The truth stays."""
    seen, u = made.evidence.detections, rng.random()
    if seen is None or u >= plain + (1 - plain) * _NAMED:
        return made
    labels, vectors = seen.labels, _vectors(rng, made.things, len(seen.labels), test=test)
    if u < plain:
        labels = _plain(made.things, labels, kindless=bool(rng.random() < _KINDLESS))
    if not test and rng.random() < _AS_NEEDED:
        vectors[[n for n, label in enumerate(labels) if not unnamed(label)]] = 0
    found = Detections(seen.boxes, labels, seen.scores)
    return replace(made, evidence=replace(made.evidence, detections=found, look=vectors.__getitem__))


def _plain(things: tuple[Thing, ...], labels: tuple[str, ...], *, kindless: bool) -> tuple[str, ...]:
    """Labels without colours; `kindless`: only what no schema knows keeps its name."""
    kinds = [label.split()[-1] if label else "" for label in labels]
    known = [n >= len(things) or things[n].kind in KINDS for n in range(len(kinds))]
    return tuple(KINDS[0] if kindless and known[n] else kind for n, kind in enumerate(kinds))


def _vectors(rng: np.random.Generator, things: tuple[Thing, ...], count: int, *, test: bool) -> np.ndarray:
    """(count, LOOKS): of each thing one that was rendered with its kind and colour; of what is none 0."""
    bank, out = _bank(test), np.zeros((count, LOOKS), np.float32)
    for n, thing in enumerate(things[:count]):
        rows = bank.get((thing.kind, thing.colour) if thing.kind in KINDS else (KINDS[0], ""))
        if rows is not None:
            out[n] = rows[int(rng.integers(len(rows)))]
    return out


@cache
def _bank(test: bool) -> Mapping[tuple[str, str], np.ndarray]:
    """Vectors (M, LOOKS) by kind and colour."""
    arrays, part = tensors.read(FILE)[0], "test" if test else "train"
    names, vectors = arrays[f"{part}_names"], arrays[f"{part}_vectors"].astype(np.float32)
    found = {(int(k), int(c)): vectors[(names == (k, c)).all(1)] for k, c in np.unique(names, axis=0)}
    return {(KINDS[k], COLOURS[c]): rows for (k, c), rows in found.items()}
