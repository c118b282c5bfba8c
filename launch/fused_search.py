"""Scenes found by a sentence: recall among many, where any scene counts that the sentence is true of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.captions import caption, is_true, stated
from omnistream_models.fused.data import tensors
from omnistream_models.fused.evidence import Evidence, Words
from omnistream_models.fused.export import load
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.reading import bag
from omnistream_models.fused.scenes import Scene, scene
from omnistream_models.fused.tokens import batch, text_tokens, tokens

__all__ = ["Sought", "by_alignment", "drawn_scenes", "recall", "retrieval", "sought_of"]

FIRST = 5


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """`texts`, and (C, P) bool: of which of P tables each is true; in tests' words."""

    texts: list[str]
    true: np.ndarray


def drawn_scenes(seed: int, count: int) -> list[Scene]:
    """Held-out scenes without pixels, of which something can be said."""
    made, number = list[Scene](), 0
    while len(made) < count:
        one = scene(seed, number, test=True)
        number += 1
        if stated(one, np.random.default_rng(number)) is not None:
            made.append(one)
    return made


def sought_of(made: Sequence[Scene]) -> Sought:
    """One sentence for each table of which something can be said."""
    texts, rows = list[str](), list[np.ndarray]()
    for n, one in enumerate(made):
        what = stated(one, np.random.default_rng(n))
        if what is not None:
            texts.append(caption(one, np.random.default_rng(n), test=True))
            rows.append(np.array([is_true(what, s.things) for s in made]))
    return Sought(texts, np.stack(rows))


def recall(scores: np.ndarray, sought: Sought) -> tuple[list[bool], float]:
    """Whether one of the FIRST tables by (C, P) scores is right, for each sentence; and what chance would have."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :FIRST]
    hits = [bool(some.any()) for some in np.take_along_axis(sought.true, best, 1)]
    tables, right = sought.true.shape[1], sought.true.sum(1)
    missed = np.prod([1 - right / (tables - k) for k in range(FIRST)], axis=0)
    return hits, float(np.mean(1 - np.clip(missed, 0, 1)))


def by_alignment(model: FusedModel, alignment: Alignment, texts: list[str], made: Sequence[Scene]) -> np.ndarray:
    """(C, P) scores by the fused reasoner's own alignment of words with detections."""
    table = model.reader.table
    x: dict[str, Any] = tensors(batch([tokens(s.evidence) for s in made]))
    read = [text_tokens(Evidence(speech=Words(text))) for text in texts]
    rows = tensors({name: np.stack([r[name] for r in read]) for name in read[0]})
    with torch.no_grad():
        space = alignment.of_scenes(bag(table, x["labels"]), x["objects"], x["objects_on"])
        said = alignment.of_words(model.reader, bag(table, rows["words"]), rows["words_on"])
        near = [alignment.near(type(said)(*(part[n : n + 1] for part in said)), space) for n in range(len(texts))]
        return torch.cat(near).numpy()


def retrieval(folder: Path, seed: int, count: int) -> tuple[float, float]:
    """Recall among the FIRST of `count` held-out scenes, one sentence a scene, and what chance would have."""
    torch.set_num_threads(1)
    made = drawn_scenes(seed, count)
    sought = sought_of(made)
    hits, by_chance = recall(by_alignment(*load(folder), sought.texts, made), sought)
    return float(np.mean(hits)), by_chance
