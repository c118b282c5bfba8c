"""Trained looks as files: the image encoder for nodes, all weights at half precision, digests and a card; and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from omnistream.errors import ModelError
from omnistream_models.fused import tensors
from omnistream_models.tabletop.card import write_card
from omnistream_models.tabletop.cutting import SIDE
from omnistream_models.tabletop.network import Images, Pairs, Sentences
from omnistream_models.tabletop.weights import Manifest, checked, read_manifest, write_manifest

__all__ = ["export", "load"]


def export(images: Images, sentences: Sentences, pairs: Pairs, folder: Path, *, made: Mapping[str, Any]) -> Manifest:
    """Write the folder. Weights are rounded to half precision first, in the modules too, so that all files say the same.

    Raises ModelError where the package `onnx` is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    networks = nn.ModuleDict({"images": images, "sentences": sentences, "pairs": pairs}).cpu().eval()
    halves: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, value in networks.state_dict().items():
            if value.dtype == torch.float32:
                halves[name] = value.to(torch.float16).numpy()
                value.copy_(value.to(torch.float16))
    tensors.write(folder / "looks.safetensors", halves)
    _onnx(images, folder / "looks.onnx")
    write_manifest(folder, Manifest(made))
    manifest = read_manifest(folder)
    write_card(folder, manifest, sum(p.numel() for p in images.parameters()), sum(p.numel() for p in networks.parameters()))
    return manifest


def load(folder: Path) -> tuple[Images, Sentences, Pairs]:
    """The torch modules of a folder. Raises ModelError where a file is missing, changed or of another network."""
    images, sentences, pairs = Images(), Sentences(), Pairs()
    networks = nn.ModuleDict({"images": images, "sentences": sentences, "pairs": pairs})
    arrays = tensors.parse(checked(folder, "looks.safetensors", read_manifest(folder)))
    try:
        with torch.no_grad():
            for name, value in networks.state_dict().items():
                if value.dtype == torch.float32:
                    value.copy_(torch.from_numpy(arrays[name]).float())
    except (KeyError, RuntimeError) as e:
        raise ModelError(f"{folder}: the weights are of another network ({e}); train it again") from None
    networks.eval()
    return images, sentences, pairs


def _onnx(images: Images, path: Path) -> None:
    """Input `crops` (N, 3, SIDE, SIDE); outputs `kinds`, `colours` and `vectors`."""
    names = ["crops", "kinds", "colours", "vectors"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                images.eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(path), dynamo=False, opset_version=17,
                input_names=names[:1], output_names=names[1:], dynamic_axes={n: {0: "things"} for n in names},
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as e:
        raise ModelError(f"{path} cannot be written ({e}); pip install onnx") from e
