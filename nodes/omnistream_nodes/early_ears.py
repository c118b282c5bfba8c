"""The small network that hears a phrase and its end, over a stream of sound: ONNX Runtime, one thread, 20 ms at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.ears.features import MELS, STEP, LogMel
from omnistream_models.ears.manifest import read_manifest, shipped_folder, verified_bytes
from omnistream_nodes.onnx_session import open_session_of

__all__ = ["STEP", "EarlyEars"]


class EarlyEars:
    """Sound -> for each 20 ms the probability of each phrase to have just ended. `phrases` are those it was trained for."""

    def __init__(self, folder: str, threads: int) -> None:
        """`folder`: of trained ears, or "shipped". Raises ModelError where they are missing or not those of their digests."""
        where = shipped_folder() if folder == "shipped" else Path(folder).expanduser()
        manifest = read_manifest(where)
        self.phrases = manifest.phrases
        self._session: Any = open_session_of(
            verified_bytes(where, "ears.onnx", manifest), str(where / "ears.onnx"), max(1, threads)
        )
        shapes = {i.name: i.shape for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        if set(shapes) != {"frames", "mels", "blocks"} or outputs["classes"][-1] != len(self.phrases) + 1:
            raise ModelError(f"{where}: ears.onnx is not of the phrases in ears.json; 'omnistream train ears' makes both")
        self._empty = [np.zeros((1, *shapes[n][1:]), np.float32) for n in ("mels", "blocks")]
        self._mel = LogMel()
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._mel.reset()
        self._mels, self._blocks = self._empty

    def step(self, samples: np.ndarray) -> np.ndarray:
        """(320,) int16, the next of the stream -> (1 + phrases,) probabilities; the first is of none."""
        return self.hear(samples)[0]

    def hear(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, and the (1, D) features that they were made from."""
        frames = self._mel.step(samples).reshape(1, -1, MELS)
        given = {"frames": frames, "mels": self._mels, "blocks": self._blocks}
        names = ["classes", "features", "next_mels", "next_blocks"]
        classes, features, self._mels, self._blocks = self._session.run(names, given)
        return np.exp(classes[0, -1]), features[0]
