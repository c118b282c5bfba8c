"""The small network that hears a phrase and its end, over a stream of sound: ONNX Runtime, one thread, 20 ms at a time."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.ears.features import MELS, STEP, LogMel
from omnistream_models.ears.manifest import VARIANTS, Manifest, reach_of, read_manifest, verified_bytes
from omnistream_models.onnx_session import open_session_of
from omnistream_models.trained import folder_of

__all__ = ["STEP", "EarlyEars"]


class EarlyEars:
    """Sound -> for each 20 ms the probability of each phrase to have just ended. `phrases` are those it was trained for.

    There may be smaller `variants` of the network. One that is changed to first hears what it can remember, 2.4 s, so that it
    says what it would have said if it had listened from the beginning.
    """

    def __init__(self, folder: str, threads: int) -> None:
        """`folder`: of trained ears, or "shipped". Raises ModelError where they are missing or not those of their digests."""
        where = folder_of("ears", folder)
        manifest = read_manifest(where)
        self.phrases = manifest.phrases
        self._steps = {v: _Step(where, file, manifest, threads) for v, file in VARIANTS.items() if _is_there(v, manifest)}
        self.variants = tuple(self._steps)
        self._step = self._steps["full"]
        self._mel = LogMel()
        self._heard: deque[np.ndarray] = deque(maxlen=reach_of(manifest))
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._mel.reset()
        self._heard.clear()
        self._step.reset()

    def use(self, variant: str) -> None:
        """Go on as another of the `variants`; the first, where it is none of them."""
        step = self._steps.get(variant, self._steps["full"])
        if step is not self._step:
            self._step = step
            step.reset()
            for frames in self._heard:
                step(frames)

    def step(self, samples: np.ndarray) -> np.ndarray:
        """(320,) int16, the next of the stream -> (1 + phrases,) probabilities; the first is of none."""
        return self.hear(samples)[0]

    def hear(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, and the (1, D) features that they were made from."""
        frames = self._mel.step(samples).reshape(1, -1, MELS)
        self._heard.append(frames)
        logs, features = self._step(frames)
        return np.exp(logs), features


class _Step:
    """One variant with what it remembers."""

    def __init__(self, folder: Path, file: str, manifest: Manifest, threads: int) -> None:
        self._session: Any = open_session_of(verified_bytes(folder, file, manifest), str(folder / file), max(1, threads))
        shapes = {i.name: [n if isinstance(n, int) else 1 for n in i.shape] for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        if set(shapes) != {"frames", "mels", "blocks"} or outputs["classes"][-1] != len(manifest.phrases) + 1:
            raise ModelError(f"{folder}: {file} is not of the phrases in ears.json; 'omnistream train ears' makes both")
        self._empty = [np.zeros(shapes[n], np.float32) for n in ("mels", "blocks")]
        self.reset()

    def reset(self) -> None:
        self._mels, self._blocks = self._empty

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1, 2, 40) -> (1 + phrases,) log-probabilities, and (1, D) features."""
        given = {"frames": frames, "mels": self._mels, "blocks": self._blocks}
        names = ["classes", "features", "next_mels", "next_blocks"]
        classes, features, self._mels, self._blocks = self._session.run(names, given)
        return classes[0, -1], features[0]


def _is_there(variant: str, manifest: Manifest) -> bool:
    return variant == "full" or VARIANTS[variant] in manifest.sha256
