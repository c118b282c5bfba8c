"""From trained ears to smaller ones: norms folded, products in int8 with and without learning for it, and fewer channels."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from omnistream.errors import ModelError
from omnistream_models.course import Course
from omnistream_models.ears.export import load_ears
from omnistream_models.ears.fine_tuning import fine_tuned
from omnistream_models.ears.heard import Hearing, hearing, open_step, step_us
from omnistream_models.ears.manifest import VARIANTS, Manifest, write_manifest
from omnistream_models.ears.products import Products, folded, parameters_run, write_step
from omnistream_models.ears.pruning import importance, pruned
from omnistream_models.ears.scenes import Batch, Scenes
from omnistream_models.ears.sensitivity import Cost, costs_by_layer, costs_by_way, float_layers
from omnistream_models.ears.variants_data import Plan, scenes_of
from omnistream_models.int8 import layers_of, write_int8
from omnistream_models.progress import Told
from omnistream_models.rounding import quantization_aware
from omnistream_nodes.grammar import Grammar

__all__ = ["Made", "Row", "make_variants"]

#: Of channels and hidden units: leaves an eighth of the parameters; and what makes the int8 file a quarter of the float one.
_SMALL = 40 / 128
_INT8 = 15 / 16
#: Fewer hidden units are kept where the loss is no more than this much of that with all of them.
_TOLERATED = 1.03
_BATCH, _IMPORTANCE_BATCHES = 16, 4
#: Scenes of these batches are neither those of training nor of fine-tuning.
_IMPORTANCE_FROM, _CALIBRATION = 200_000, 300_000
_INT8_RATE, _SMALL_RATE = 2e-4, 3e-3


@dataclass(frozen=True, slots=True)
class Row:
    """A variant, or a try at one: its file's size, the numbers in it, what it heard, and how long its step takes."""

    what: str
    bytes: int
    parameters: int
    heard: Hearing
    us: float


@dataclass(frozen=True, slots=True)
class Made:
    """What `make_variants` found, on which `voices`. `kept`: the row that became int8; `floats`: the layers that it leaves."""

    voices: str
    rows: Sequence[Row]
    kept: str
    layers: Sequence[Cost]
    ways: Sequence[Cost]
    floats: Sequence[str]
    plan: Plan


def make_variants(folder: Path, out: Path, grammar: Grammar, how: Plan, told: Told) -> Made:
    """Write each of `VARIANTS` into `out`, and the manifest, when all is done.

    Raises ModelError where the ears are not of this grammar, or of a kind that has no variants.
    """
    torch.set_num_threads(1)
    torch.manual_seed(how.seed)
    ears, manifest = load_ears(folder)
    if ears.shape.network != "convolutions":
        raise ModelError(f"{folder}: these ears are a {ears.shape.network}; only convolutions are made smaller")
    if manifest.phrases != tuple(p.text for p in grammar.phrases):
        raise ModelError(f"{folder}: these ears are not for the phrases of {grammar.file}; name their file with --grammar")
    learned, tuning, voices = scenes_of(grammar, how, told)
    judges = [tuning.batch(n, 1) for n in range(how.scenes)]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".quantize-") as unfinished:
        paths = {variant: Path(unfinished) / name for variant, name in VARIANTS.items()}
        made = _made(folded(ears), paths, learned, judges, voices, how, told)
        if out.resolve() != folder.resolve():
            shutil.copy(folder / "ears.safetensors", out)
        for path in paths.values():
            (out / path.name).unlink(missing_ok=True)
            if path.exists():
                path.replace(out / path.name)
    write_manifest(out, Manifest(manifest.phrases, manifest.shape, made=manifest.made))
    return made


def _made(
    full: Products, paths: Mapping[str, Path], learned: Scenes, judges: Sequence[Batch], voices: str, how: Plan, told: Told
) -> Made:
    def row(what: str, path: Path, net: Products) -> Row:
        session = open_step(path)
        return Row(what, path.stat().st_size, parameters_run(net), hearing(session, judges), step_us(session))

    write_step(full, paths["full"])
    matters = importance(full, [learned.batch(_IMPORTANCE_FROM + n, _BATCH) for n in range(_IMPORTANCE_BATCHES)])
    rows = [row("full", paths["full"], full)]
    layers, ways = _costs(paths["full"], rows[0].heard, judges, learned, told)
    floats = float_layers(layers)
    ints = [c.what for c in layers if c.what not in floats]
    write_int8(paths["full"], paths["int8"], ints)
    rows.append(row("int8", paths["int8"], full))
    fewer = pruned(full, matters, full.shape.channels, round(full.hidden * _INT8))
    tries = {"int8, fewer hidden units": fewer}
    if how.steps:
        tries["int8, fewer, learned for it"] = _learned_for_int8(deepcopy(fewer), full, learned, ints, how, told)
    files: dict[str, Path] = {}
    for what, net in tries.items():
        files[what] = paths["int8"].with_suffix(f".{len(files)}")
        _write_both(net, files[what], ints)
        rows.append(row(what, files[what], net))
    kept = min(rows[2:], key=lambda r: r.heard.loss)
    if kept.heard.loss <= rows[1].heard.loss * _TOLERATED:
        files[kept.what].replace(paths["int8"])
    else:
        kept = rows[1]
    if how.small_steps:
        small = pruned(full, matters, round(full.shape.channels * _SMALL), round(full.hidden * _SMALL))
        write_step(_taught(small, full, learned, how, told), paths["small"])
        rows.append(row("small", paths["small"], small))
    return Made(voices, rows, kept.what, layers, ways, floats, how)


def _costs(
    step: Path, heard: Hearing, judges: Sequence[Batch], learned: Scenes, told: Told
) -> tuple[Sequence[Cost], Sequence[Cost]]:
    names, done = layers_of(step), itertools.count(1)
    layers = costs_by_layer(step, heard, judges, lambda: told("each layer in int8", next(done), len(names), ""))
    return layers, costs_by_way(step, heard, judges, learned.batch(_CALIBRATION, 8))


def _write_both(net: Products, path: Path, layers: Sequence[str]) -> None:
    """The step in int8; the float one that it is made from lies beside it for a moment."""
    whole = path.with_suffix(".float")
    write_step(net, whole)
    write_int8(whole, path, layers)
    whole.unlink()


def _learned_for_int8(
    student: Products, full: Products, learned: Scenes, layers: Sequence[str], how: Plan, told: Told
) -> Products:
    course = Course(how.steps, _INT8_RATE)
    report = _report(told, "learning for int8", how.steps)
    return quantization_aware(student, layers, lambda net: fine_tuned(net, full, learned, course, report))


def _taught(student: Products, full: Products, learned: Scenes, how: Plan, told: Told) -> Products:
    course = Course(how.small_steps, _SMALL_RATE)
    return fine_tuned(student, full, learned, course, _report(told, "small learns from full", how.small_steps))


def _report(told: Told, what: str, of: int) -> Callable[[int, float], None]:
    return lambda n, loss: told(what, n, of, f"loss {loss:.3f}")
