"""A trained network as files: safetensors, and ONNX of one streaming step; and back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnistream_models.ears.manifest import VARIANTS, Manifest, read_manifest, verified_bytes, write_manifest
from omnistream_models.ears.network import Ears, Shape, State
from omnistream_models.ears.products import folded, write_step

__all__ = ["load_ears", "save_ears", "write_network"]


def save_ears(ears: Ears, folder: Path, phrases: tuple[str, ...], made: dict[str, Any]) -> Manifest:
    """Write ``ears.safetensors``, ``ears.onnx`` and ``ears.json``. Kernels are rounded to 16 bits first, in `ears` too.

    Smaller variants of what was in the folder before are removed: 'omnistream quantize ears' makes them anew.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    ears.eval()
    kept: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, value in ears.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if value.ndim > 1:
                kept[name] = value.half()
                value.copy_(kept[name].to(value.dtype))
            else:
                kept[name] = value.clone()
    save_file(kept, folder / "ears.safetensors", {"format": "pt"})
    if ears.shape.network == "convolutions":
        write_step(folded(ears), folder / "ears.onnx")
    else:
        write_network(ears, folder / "ears.onnx")
    for name in VARIANTS.values():
        if name != "ears.onnx":
            (folder / name).unlink(missing_ok=True)
    write_manifest(folder, Manifest(phrases, ears.shape.to_json(), made=made))
    return read_manifest(folder)


def load_ears(folder: Path) -> tuple[Ears, Manifest]:
    """The network of a folder, in its evaluating mode. Raises ModelError where a file is missing or another."""
    from safetensors.torch import load

    manifest = read_manifest(folder)
    ears = Ears(Shape.from_json(dict(manifest.shape)))
    tensors = load(verified_bytes(folder, "ears.safetensors", manifest))
    ears.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)
    return ears.eval(), manifest


class _Step(nn.Module):
    """What nodes run: letters are for training only."""

    def __init__(self, ears: Ears) -> None:
        super().__init__()
        self.ears = ears

    def forward(self, frames: Tensor, mels: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        heard, state = self.ears.step(frames, State(mels, blocks))
        return heard.classes, heard.features, state.mels, state.blocks


def write_network(ears: Ears, path: Path) -> None:
    """The network as ONNX, as it is and for any number of steps and streams; `products.write_step` is faster for one of each.

    Inputs `frames` (B, 2 T, 40), `mels`, `blocks`; outputs `classes` (B, T, K), `features` (B, T, C), and the new state.
    """
    state = ears.init_state(1)
    names = ["frames", "mels", "blocks", "classes", "features", "next_mels", "next_blocks"]
    axes = {name: {0: "batch"} for name in names}
    axes["frames"][1], axes["classes"][1], axes["features"][1] = "frames", "steps", "steps"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Step(ears).eval(), (torch.zeros(1, 2, state.mels.shape[1]), *state), str(path), dynamo=False, opset_version=17,
            input_names=names[:3], output_names=names[3:], dynamic_axes=axes,
        )  # fmt: skip
