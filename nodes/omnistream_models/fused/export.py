"""A trained network as files for nodes: two ONNX halves, the weights at half precision, digests, limits and a card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnistream.errors import ModelError
from omnistream_models.fused import tensors
from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.calibration import calibrated
from omnistream_models.fused.card import write_card
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.reading import SLOTS
from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.tokens import FIELDS, LABEL_WORDS, OBJECTS, WORDS
from omnistream_models.fused.weights import PATHS, Manifest, read_manifest, write_manifest
from omnistream_models.onnx_halves import halve

__all__ = ["export", "load", "write_onnx"]

_REST = ("objects", "objects_on", "looks", "seeing", "hands", "hands_on", "state", "state_on", "sounds", "sounds_on")

#: Weights of so many numbers or more are kept at half precision.
_LARGE = 65
#: What there may be more or less of: padding adds nothing, so whoever runs the network leaves it out.
_AS_MANY = {
    "words": ("embedded", "words_on", "typed", "hidden"),
    "things": ("objects", "objects_on", "labels", "looks", "target"),
    "frames": ("hands", "hands_on"),
}


class _WordsHalf(nn.Module):
    def __init__(self, model: FusedModel) -> None:
        super().__init__()
        self.reader = model.reader

    def forward(self, embedded: Tensor, on: Tensor, typed: Tensor) -> tuple[Tensor, ...]:
        said, enough, hidden, _, slots = self.reader.read(embedded, on, typed)
        return (*(said[name] for name in HEADS), enough.unsqueeze(-1), said["needs"], hidden, slots)


class _RestHalf(nn.Module):
    def __init__(self, model: FusedModel, parts: Sequence[str]) -> None:
        super().__init__()
        self.fusion, self.parts = model.fusion, (*parts, "state", "sounds")

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        count = len(HEADS)
        said = dict(zip(HEADS, given[:count], strict=True))
        hidden, embedded, slots, labels, words_on = given[count : count + 5]
        x = dict(zip(_REST, given[count + 5 :], strict=True)) | {"words_on": words_on}
        heads, target, gates = self.fusion(said, hidden, embedded, slots, labels, x, self.parts)
        return (*(heads[name] for name in HEADS), target, gates)


def export(model: FusedModel, alignment: Alignment, folder: Path, *, made: Mapping[str, Any]) -> Manifest:
    """Write the folder. Weights are rounded to half precision first, in `model` too, so that all files say the same.

    Raises ModelError where the package `onnx` is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, alignment = model.cpu().eval(), alignment.cpu().eval()
    halves: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for prefix, module in (("model", model), ("alignment", alignment)):
            for name, value in module.state_dict().items():
                halves[f"{prefix}.{name}"] = value.to(torch.float16).numpy()
                value.copy_(value.to(torch.float16))
    tensors.write(folder / "fused.safetensors", halves)
    write_onnx(model, folder)
    plain = {"accept": 0.5, "sure": 0.25, "enough": 0.9, "margin": 0.1, "contradict": 1.0, "temperature": 1.0}
    write_manifest(folder, Manifest(plain, made, size=model.size))
    limits, figures = calibrated(folder)
    write_manifest(folder, Manifest(limits, {**made, **figures}, size=model.size))
    manifest = read_manifest(folder)
    write_card(folder, manifest, sum(p.numel() for p in model.parameters()))
    return manifest


def load(folder: Path) -> tuple[FusedModel, Alignment]:
    """The torch modules of a folder. Raises ModelError where the weights are of another network."""
    arrays, _ = tensors.read(folder / "fused.safetensors")
    size = read_manifest(folder).size
    model, alignment = FusedModel(size), Alignment(size)
    try:
        for prefix, module in (("model.", model), ("alignment.", alignment)):
            mine = {k.removeprefix(prefix): torch.from_numpy(v).float() for k, v in arrays.items() if k.startswith(prefix)}
            module.load_state_dict(mine)
    except RuntimeError as e:
        raise ModelError(f"{folder}: the weights are of another network ({str(e).splitlines()[0]}); train it again") from None
    return model.eval(), alignment.eval()


def write_onnx(model: FusedModel, folder: Path) -> None:
    """The files of both halves. Raises ModelError where the package `onnx` is missing."""

    def blank(name: str) -> Tensor:
        shape, kind = FIELDS[name]
        return torch.zeros((1, *shape), dtype=torch.bool if kind is np.bool_ else torch.float32)

    wide, narrow = model.size.width, model.size.embedded
    embedded, hidden, slots = (torch.zeros(1, n, w) for n, w in ((WORDS, narrow), (WORDS, wide), (len(SLOTS), wide)))
    labels, on = torch.zeros(1, OBJECTS, LABEL_WORDS, narrow), blank("words_on")
    _one_half(_WordsHalf(model), folder / "words.onnx", {"embedded": embedded, "words_on": on, "typed": blank("typed")},
              [*HEADS, "enough", "needs", "hidden", "slots"])  # fmt: skip
    given = {f"said_{name}": torch.zeros(1, length) for name, length in HEADS.items()}
    given |= {"hidden": hidden, "embedded": embedded, "slots": slots, "labels": labels, "words_on": on}
    given |= {name: blank(name) for name in _REST}
    for parts, name in PATHS.items():
        _one_half(_RestHalf(model, parts), folder / name, given, [*HEADS, "target", "gates"])


def _one_half(module: nn.Module, path: Path, given: Mapping[str, Tensor], outputs: list[str]) -> None:
    axes = {name: {0: "batch"} for name in (*given, *outputs)}
    axes |= {name: {0: "batch", 1: kind} for kind, names in _AS_MANY.items() for name in names if name in axes}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(), tuple(given.values()), str(path), dynamo=False, opset_version=17,
                input_names=list(given), output_names=outputs, dynamic_axes=axes,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as e:
        raise ModelError(f"{path} cannot be written ({e}); pip install onnx") from e
    import onnx

    made = onnx.load(path)
    halve(made, _LARGE, exact=True)  # what is not of halves is a constant of the graph, and no weight
    onnx.save(made, path)
