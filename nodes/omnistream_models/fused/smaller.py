"""From a trained fused reasoner to smaller ones: products in int8, with and without learning for it, and a narrower network."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from omnistream_models.course import Course
from omnistream_models.fused.data import Data, make_data
from omnistream_models.fused.halves import TABLE
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.narrowing import narrowed
from omnistream_models.fused.pupil import missed, taught
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.sensitivity import Cost, costs_by_layer, float_layers, layers_of
from omnistream_models.fused.size import Size
from omnistream_models.fused.tries import Row, Tries
from omnistream_models.fused.variants import VARIANTS, folder_of
from omnistream_models.int8 import DYNAMIC, Way
from omnistream_models.progress import Told
from omnistream_models.rounding import quantization_aware

__all__ = ["SMALL", "WAYS", "Made", "Plan", "make_variants"]

#: An eighth of the parameters.
SMALL = Size(width=24, embedded=16, rows=936, inner=48, adapter=8, sense=12, named=24, counted=16)
#: How products are quantized, first the way that is taken, and what it is compared with.
WAYS = (DYNAMIC, Way(per_channel=True), Way(stored=True))
#: Seeds of scenes of the training kind that neither training nor the choice of limits has seen.
_LEARNED, _JUDGES = 2000, 33
_BATCH, _INT8_RATE, _SMALL_RATE = 128, 3e-4, 3e-3
#: So many of the hidden units make the int8 files a quarter of the float ones; all are kept where that costs more points.
_INT8, _POINTS = 3 / 4, 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of `make_variants`; as the options of ``omnistream quantize fused``."""

    seed: int = 1
    steps: int = 120
    small_steps: int = 1800
    scenes: int = 22_000
    judges: int = 400


@dataclass(frozen=True, slots=True)
class Made:
    """What `make_variants` found. `kept`: the row that became int8; `floats`: the layers that it leaves as they were.

    `as_floats`: the bytes of the full network, if all of its numbers were floats.
    """

    rows: Sequence[Row]
    kept: str
    layers: Sequence[Cost]
    ways: Sequence[Row]
    floats: Sequence[str]
    as_floats: int
    plan: Plan


def make_variants(folder: Path, how: Plan, told: Told) -> Made:
    """Write a folder for each smaller variant into the folder of the full network, when all is done.

    Raises ModelError where there is no full network, or the package `onnx` is missing.
    """
    torch.set_num_threads(1)
    torch.manual_seed(how.seed)
    judges = [scene(_JUDGES, n) for n in range(how.judges)]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".quantize-") as unfinished:
        tries = Tries(folder, Path(unfinished), judges)
        made = _made(tries, how, told)
        names = {"int8": made.kept, "small": "small"}
        for variant in VARIANTS[1:]:
            shutil.rmtree(folder_of(folder, variant), ignore_errors=True)
            if names[variant] in tries.folders:
                tries.folders[names[variant]].replace(folder_of(folder, variant))
    return made


def _made(tries: Tries, how: Plan, told: Told) -> Made:
    full, names, done = tries.full, layers_of(tries.full), itertools.count(1)
    layers = costs_by_layer(
        full, tries.judges, tries.manifest.limits, lambda: told("each layer in int8", next(done), len(names), "")
    )
    floats = float_layers(layers)
    ints = [name for name in names if name not in floats]
    for way in WAYS:
        tries.add(str(way), full, names, way)
    ways = tries.rows([str(way) for way in WAYS])
    tries.add("int8", full, ints, WAYS[0])
    ours, data = ["int8"], _scenes(how, told) if how.steps or how.small_steps else None
    if how.steps and data is not None:
        fewer = narrowed(full, _fewer(full.size), lambda net: missed(net, data, how.seed))
        tries.add("int8, fewer hidden units", fewer, ints, WAYS[0])
        tries.add("int8, fewer, learned for it", _aware(fewer, full, data, ints, how, told), ints, WAYS[0])
        ours += ["int8, fewer hidden units", "int8, fewer, learned for it"]
    kept = ours[-1] if tries.found["full"].exact - tries.found[ours[-1]].exact < _POINTS else "int8"
    if how.small_steps and data is not None:
        tries.add("small", _small(full, data, how, told), _products(names), WAYS[0], limits=True)
        ours.append("small")
    return Made(tries.rows(["full", *ours]), kept, layers, ways, floats, tries.as_floats(), how)


def _fewer(size: Size) -> Size:
    """The same network with fewer hidden units."""
    names = ("inner", "adapter", "sense", "named", "counted")
    return replace(size, **{name: round(getattr(size, name) * _INT8) for name in names})


def _scenes(how: Plan, told: Told) -> Data:
    return make_data(_LEARNED + how.seed, how.scenes, progress=lambda n: told("scenes", n, how.scenes, ""))


def _aware(student: FusedModel, full: FusedModel, data: Data, layers: Sequence[str], how: Plan, told: Told) -> FusedModel:
    """A copy that has learned to do with rounded products; the table's rows are rounded afterwards."""
    course, report = Course(how.steps, _INT8_RATE, _BATCH), _report(told, "learning for int8", how.steps)
    return quantization_aware(
        deepcopy(student), _products(layers), lambda net: taught(net, full, data, course, how.seed, report), whole=True
    )


def _products(layers: Sequence[str]) -> list[str]:
    return [name for name in layers if name != TABLE]


def _small(full: FusedModel, data: Data, how: Plan, told: Told) -> FusedModel:
    course, report = Course(how.small_steps, _SMALL_RATE, _BATCH), _report(told, "small learns from full", how.small_steps)
    start = narrowed(full, SMALL, lambda net: missed(net, data, how.seed))
    return _deaf(taught(start, full, data, course, how.seed, report))


def _deaf(model: FusedModel) -> FusedModel:
    """It has learned nothing of sound, and gives it no weight."""
    gate = model.fusion.gates["sounds"]
    assert isinstance(gate, nn.Linear)
    with torch.no_grad():
        gate.weight.zero_()
        gate.bias.fill_(-20.0)
    return model


def _report(told: Told, what: str, of: int) -> Callable[[int, float], None]:
    return lambda n, loss: told(what, n, of, f"loss {loss:.3f}")
