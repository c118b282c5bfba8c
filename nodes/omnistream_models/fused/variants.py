"""The network and its smaller variants, each a folder of its own within the folder of the full one."""

from __future__ import annotations

from pathlib import Path

from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.weights import Manifest, read_manifest, shipped

__all__ = ["OF", "VARIANTS", "Variants", "folder_of"]

#: Best first; the smaller ones are there where 'omnistream quantize fused' has made them.
VARIANTS = ("full", "int8", "small")
#: In a variant's `Manifest.made`: the digest of the full weights that it was made of.
OF = "of"


class Variants:
    """All that a folder (default: the one that ships) has, opened. Variants of other weights than lie beside them are not.

    Raises ModelError where the full network or a variant is damaged, or the full one is missing.
    """

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        folder = folder or shipped()
        full = FusedNetwork(folder, threads)
        there = [name for name in VARIANTS[1:] if _is_there(folder_of(folder, name), full.manifest)]
        self._networks = {"full": full} | {name: FusedNetwork(folder_of(folder, name), threads) for name in there}
        self.names = tuple(self._networks)

    def of(self, name: str) -> FusedNetwork:
        """The network of that variant; the full one where there is no such."""
        return self._networks.get(name, self._networks["full"])


def folder_of(folder: Path, variant: str) -> Path:
    return folder if variant == "full" else folder / variant


def _is_there(folder: Path, full: Manifest) -> bool:
    return (folder / "fused.json").exists() and read_manifest(folder).made.get(OF) == full.sha256["fused.safetensors"]
