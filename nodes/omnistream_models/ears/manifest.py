"""What lies beside a network's weights: which phrase each class is, its shape, and the digests that the files must have.

A folder of ears holds ``ears.json`` (this), ``ears.onnx`` (one step, for nodes), ``ears.safetensors`` (for training and torch),
``README.md`` (its card) and, if they were made, smaller variants of the step. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omnistream.errors import ModelError
from omnistream_models import trained

__all__ = ["FILES", "VARIANTS", "Manifest", "reach_of", "read_manifest", "shipped_folder", "verified_bytes", "write_manifest"]

FILES = ("ears.onnx", "ears.safetensors")
#: The step of each variant, best first; the smaller ones are there where 'omnistream quantize ears' has made them.
VARIANTS = {"full": "ears.onnx", "int8": "ears_int8.onnx", "small": "ears_small.onnx"}
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """`phrases` in the order of the classes from 1 on; class 0 is none. `sha256` is by file name, `made` how it was trained."""

    phrases: tuple[str, ...]
    shape: Mapping[str, Any]
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    made: Mapping[str, Any] = field(default_factory=dict[str, Any])
    version: int = _VERSION


def shipped_folder() -> Path:
    """The ears that ship with OmniStream, for graphs/commands.yaml."""
    return trained.shipped_folder("ears")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``ears.json`` with the digests of the files that lie beside it."""
    files = [*FILES, *(name for name in VARIANTS.values() if name not in FILES and (folder / name).exists())]
    text = json.dumps(asdict(manifest) | {"sha256": trained.digests(folder, files)}, indent=1)
    (folder / "ears.json").write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelError where there is none, or none that this version can read."""
    path = folder / "ears.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(tuple(data.pop("phrases")), **data)
    except FileNotFoundError:
        raise ModelError(f"{folder}: there is no ears.json; 'omnistream train ears --out {folder}' makes ears") from None
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise ModelError(f"{path}: this is no description of ears ({e}); 'omnistream train ears' writes one") from e
    if manifest.version != _VERSION:
        raise ModelError(f"{path}: version {manifest.version} of ears; this OmniStream reads {_VERSION}, train them anew")
    return manifest


def reach_of(manifest: Manifest) -> int:
    """How many steps of 20 ms a network of this shape can remember: what its blocks see, and the stem's four frames."""
    return (int(manifest.shape["kernel"]) - 1) * sum(manifest.shape["dilations"]) + 2


def verified_bytes(folder: Path, name: str, manifest: Manifest) -> bytes:
    """A file's bytes, which have the digest of the manifest. Raises ModelError where it is missing or another."""
    return trained.verified_bytes(folder / name, manifest.sha256, "ears.json", "omnistream train ears")
