"""The network and its smaller variants, each a folder of its own within the folder of the full one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.tokens import NEEDS
from omnistream_models.fused.weights import Manifest, read_manifest, shipped

__all__ = ["OF", "VARIANTS", "Variants", "folder_of"]

#: Best first; the smaller ones are there where 'omnistream quantize fused' has made them.
VARIANTS = ("full", "int8", "small")
#: In a variant's `Manifest.made`: the digest of the full weights that it was made of.
OF = "of"


class Variants:
    """The `names` that a folder (default: the one that ships) has. Variants of other weights than lie beside them are not.

    Those of `at_once` are opened now, the others when they are first asked for. Of all, for no more than `parts` of the
    evidence. Raises ModelError where one that is opened is damaged, or the full one is missing.
    """

    def __init__(
        self, folder: Path | None = None, threads: int = 1, at_once: Collection[str] = ("full",), parts: Collection[str] = NEEDS
    ) -> None:
        self._folder, self._threads, self._parts = folder or shipped(), threads, parts
        full = read_manifest(self._folder)
        self.names = ("full", *(name for name in VARIANTS[1:] if _is_there(folder_of(self._folder, name), full)))
        self._networks: dict[str, FusedNetwork] = {}
        for name in at_once:
            self.of(name)

    def of(self, name: str) -> FusedNetwork:
        """The network of that variant; the full one where there is no such."""
        name = name if name in self.names else "full"
        if name not in self._networks:
            self._networks[name] = FusedNetwork(folder_of(self._folder, name), self._threads, self._parts)
        return self._networks[name]


def folder_of(folder: Path, variant: str) -> Path:
    return folder if variant == "full" else folder / variant


def _is_there(folder: Path, full: Manifest) -> bool:
    return (folder / "fused.json").exists() and read_manifest(folder).made.get(OF) == full.sha256["fused.safetensors"]
