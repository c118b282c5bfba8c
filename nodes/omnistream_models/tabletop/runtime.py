"""The trained image encoder in ONNX Runtime: boxes in a picture -> kinds, colours and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from omnistream_models.onnx_session import open_session_of
from omnistream_models.tabletop.cutting import SIDE, cut
from omnistream_models.tabletop.weights import checked, read_manifest, shipped

__all__ = ["Glance", "LooksNetwork"]


class Glance(NamedTuple):
    """Of N boxes: probabilities of `kinds` (N, KINDS) and `colours` (N, COLOURS), and unit `vectors` (N, THING), float32."""

    kinds: np.ndarray
    colours: np.ndarray
    vectors: np.ndarray


class LooksNetwork:
    """Of a folder (default: the one that ships). Raises ModelError where it is missing, damaged or of another version."""

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        folder = folder or shipped()
        self.manifest = read_manifest(folder)
        self._session = open_session_of(checked(folder, "looks.onnx", self.manifest), str(folder / "looks.onnx"), threads)

    def look(self, image: np.ndarray, boxes: Sequence[np.ndarray] | np.ndarray) -> Glance:
        """What is in each box (N, 4), in pixels, of an (H, W, 3) uint8 image."""
        crops = [cut(image, box) for box in boxes]
        return self.glance(np.stack(crops) if crops else np.zeros((0, SIDE, SIDE, 3), np.float32))

    def glance(self, crops: np.ndarray) -> Glance:
        """The same of crops (N, SIDE, SIDE, 3) float32 in 0..1."""
        kinds, colours, vectors = self._session.run(
            ["kinds", "colours", "vectors"], {"crops": np.ascontiguousarray(crops.transpose(0, 3, 1, 2))}
        )
        return Glance(_softmax(kinds), _softmax(colours), vectors)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)
