"""Networks that may become variants, each in a folder of its own, judged by the same scenes as the full one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnistream_models.fused.calibration import calibrated
from omnistream_models.fused.export import load
from omnistream_models.fused.halves import float_bytes, write_float, write_small
from omnistream_models.fused.judging import Judged, decisions_ms, heads_run, judged
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.variants import OF
from omnistream_models.fused.weights import FILES, Manifest, read_manifest, write_manifest
from omnistream_models.int8 import Way

__all__ = ["Row", "Tries"]

#: Of the judges so many time a decision.
_TIMED = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A variant, or a try at one: bytes of its files, the numbers in it, how it decided, and how long a decision takes."""

    what: str
    bytes: int
    parameters: int
    judged: Judged
    ms: float


class Tries:
    """`folders` and what was `found`, by name; the first is the full network's."""

    def __init__(self, full: Path, work: Path, judges: Sequence[Scene]) -> None:
        self.full, _ = load(full)
        self.manifest, self.judges, self._work = read_manifest(full), judges, work
        self.folders, self._models = {"full": full}, {"full": self.full}
        self._floats = dict[int, Path]()
        self.found = {"full": self._judged(full)}

    def add(self, what: str, model: FusedModel, layers: Collection[str], way: Way, *, limits: bool = False) -> Judged:
        """Write the model with so many `layers` in int8; with `limits` it gets some of its own."""
        folder = self._work / f"{len(self.folders)}"
        folder.mkdir()
        write_small(model, self._as_floats(model), folder, layers, way)
        made = {OF: self.manifest.sha256["fused.safetensors"], "by": "omnistream quantize fused", "what": what}
        write_manifest(folder, Manifest(self.manifest.limits, made, size=model.size))
        if limits:
            write_manifest(folder, Manifest(calibrated(folder)[0], made, size=model.size))
        self.folders[what], self._models[what] = folder, model
        self.found[what] = self._judged(folder)
        return self.found[what]

    def bytes(self, what: str) -> int:
        """Of its files."""
        return sum((self.folders[what] / name).stat().st_size for name in FILES)

    def as_floats(self) -> int:
        """Bytes of the full network, if all of its numbers were floats."""
        return float_bytes(self._as_floats(self.full), self.full)

    def rows(self, names: Sequence[str]) -> list[Row]:
        """All figures of those."""
        ms = decisions_ms({name: FusedNetwork(self.folders[name]) for name in names}, self.judges[:_TIMED])
        counts = {name: sum(p.numel() for p in self._models[name].parameters()) for name in names}
        return [Row(name, self.bytes(name), counts[name], self.found[name], ms[name]) for name in names]

    def _as_floats(self, model: FusedModel) -> Path:
        folder = self._floats.setdefault(id(model), self._work / f"floats-{len(self._floats)}")
        if not folder.exists():
            folder.mkdir()
            write_float(model, folder)
        return folder

    def _judged(self, folder: Path) -> Judged:
        network = FusedNetwork(folder)
        return judged(self.judges, heads_run(network, self.judges), network.manifest.limits)
