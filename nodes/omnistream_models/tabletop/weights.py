"""The folder of trained looks: which files it has and their digests. Nothing here needs torch.

``looks.json`` (this), ``looks.onnx`` (the image encoder, for nodes), ``looks.safetensors`` (all weights, half precision) and
``README.md`` (the card).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omnistream.errors import ModelError
from omnistream_models import trained

__all__ = ["FILES", "Manifest", "checked", "read_manifest", "shipped", "write_manifest"]

FILES = ("looks.onnx", "looks.safetensors")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """`made`: how it was trained."""

    made: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    version: int = _VERSION


def shipped() -> Path:
    """The folder that ships with OmniStream."""
    return trained.shipped_folder("looks")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``looks.json`` with the digests of the files beside it."""
    text = json.dumps(asdict(manifest) | {"sha256": trained.digests(folder, FILES)}, indent=1)
    (folder / "looks.json").write_text(text + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelError where there is none, or none that this version reads."""
    path = folder / "looks.json"
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise ModelError(f"{folder}: there is no looks.json; 'omnistream train looks' makes it") from None
    except (OSError, ValueError, TypeError) as e:
        raise ModelError(f"{path}: this is no description of trained looks ({e}); train them again") from e
    if manifest.version != _VERSION:
        raise ModelError(f"{path} is of version {manifest.version}; this OmniStream reads {_VERSION}: train it again")
    return manifest


def checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a file, which have the digest of the manifest. Raises ModelError where it is missing or another."""
    return trained.verified_bytes(folder / name, manifest.sha256, "looks.json", "omnistream train looks")
