"""A trained network as files: safetensors, and ONNX of one streaming step; and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omnistream_models.ears.manifest import VARIANTS, Manifest, read_manifest, verified_bytes, write_manifest
from omnistream_models.ears.network import Ears, Shape
from omnistream_models.ears.products import folded, write_step

__all__ = ["load_ears", "save_ears"]


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
    write_step(folded(ears), folder / "ears.onnx")
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
