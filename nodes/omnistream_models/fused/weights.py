"""The folder of a trained network: which files it has, their digests, and the limits chosen for it. Nothing here needs torch.

``fused.json`` (this), ``words.onnx`` (the first half), ``rest.onnx`` (the second) and its parts for where there is less to
weigh, ``fused.safetensors`` (all weights) and ``README.md`` (the card). All weights are kept at half precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omnistream.errors import ModelError
from omnistream_models import trained
from omnistream_models.fused.size import FULL, Size

__all__ = ["FILES", "PATHS", "Manifest", "checked", "read_manifest", "shipped", "write_manifest"]

#: The second half for each choice of things and hands, of which it computes no more than these.
PATHS: Mapping[tuple[str, ...], str] = {
    ("objects", "hands"): "rest.onnx",
    ("objects",): "things.onnx",
    ("hands",): "hands.onnx",
    (): "state.onnx",
}
FILES = ("words.onnx", *PATHS.values(), "fused.safetensors")
_VERSION = 4
_LIMITS = ("accept", "contradict", "enough", "margin", "sure", "temperature")


@dataclass(frozen=True, slots=True)
class Manifest:
    """`limits`: accept, sure, margin, contradict, temperature (of `decode`) and enough (of `runtime`).

    `made`: how it was trained.
    `size`: of the network; a folder that says nothing of it has the full one.
    """

    limits: Mapping[str, float]
    made: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    version: int = _VERSION
    size: Size = FULL


def shipped() -> Path:
    """The folder that ships with OmniStream."""
    return trained.shipped_folder("fused")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``fused.json`` with the digests of the files beside it."""
    text = json.dumps(asdict(manifest) | {"sha256": trained.digests(folder, FILES)}, indent=1)
    (folder / "fused.json").write_text(text + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelError where there is none, or none that this version reads."""
    path = folder / "fused.json"
    try:
        said = dict[str, Any](json.loads(path.read_text()))
        said["size"] = Size(**said.get("size", {}))
        manifest = Manifest(**said)
        limits = {name: float(manifest.limits[name]) for name in _LIMITS}
    except FileNotFoundError:
        raise ModelError(f"{folder}: there is no fused.json; 'omnistream train fused' makes it") from None
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise ModelError(f"{path}: this is no description of a fused reasoner ({e}); train it again") from e
    if manifest.version != _VERSION:
        raise ModelError(f"{path} is of version {manifest.version}; this OmniStream reads {_VERSION}: train it again")
    return replace(manifest, limits=limits)


def checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a file, which have the digest of the manifest. Raises ModelError where it is missing or another."""
    return trained.verified_bytes(folder / name, manifest.sha256, "fused.json", "omnistream train fused")
