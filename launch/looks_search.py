"""Tables found by a sentence, by what their crops show or by their things' names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from omnistream.message import Detections
from omnistream_models.fused.evidence import Evidence
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.schema import Decision
from omnistream_models.fused.world import SIZE, Thing
from omnistream_models.tabletop.network import Pairs, Said, Sentences
from omnistream_models.tabletop.sayings import words_of

__all__ = ["as_scene", "by_names", "by_vectors"]


def as_scene(things: Sequence[Thing], seen: Detections) -> Scene:
    """A table as the fused reasoner's benches have them."""
    return Scene(Evidence(detections=seen, size=SIZE), Decision("wait"), "table", "", shipped=False, things=tuple(things))


def by_vectors(
    sentences: Sentences, pairs: Pairs, texts: list[str], made: Sequence[Scene], vectors: Sequence[np.ndarray | Tensor]
) -> np.ndarray:
    """(C, P) scores by a vector of each thing and its box."""
    most = max(len(v) for v in vectors)
    things, boxes = torch.zeros(len(made), most, vectors[0].shape[1]), torch.zeros(len(made), most, 4)
    on = torch.zeros(len(made), most, dtype=torch.bool)
    for n, (one, known) in enumerate(zip(made, vectors, strict=True)):
        seen = one.evidence.detections
        assert seen is not None
        corners = torch.from_numpy(seen.boxes.astype(np.float32)) / SIZE[1]
        count = len(known)
        things[n, :count] = torch.as_tensor(known)
        boxes[n, :count] = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
        on[n, :count] = True
    with torch.no_grad():
        said = sentences(torch.from_numpy(words_of(texts)))
        parts = [pairs(Said(*(v[i : i + 20] for v in said)), things, boxes, on) for i in range(0, len(texts), 20)]
    return torch.cat(parts).numpy()


def by_names(sentences: Sentences, pairs: Pairs, texts: list[str], made: Sequence[Scene]) -> np.ndarray:
    """(C, P) scores by the labels and boxes of detections."""
    labels = [s.evidence.detections.labels for s in made if s.evidence.detections is not None]
    different = list(dict.fromkeys(label for some in labels for label in some))
    with torch.no_grad():
        known = dict(zip(different, sentences(torch.from_numpy(words_of(different))).one, strict=True))
    return by_vectors(sentences, pairs, texts, made, [torch.stack([known[label] for label in some]) for some in labels])
