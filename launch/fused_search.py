"""Scenes found by a sentence: recall among many, where any scene counts that the sentence is true of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from omnistream_models.fused.captions import caption, is_true, stated
from omnistream_models.fused.data import tensors
from omnistream_models.fused.evidence import Evidence, Words
from omnistream_models.fused.export import load
from omnistream_models.fused.reading import bag
from omnistream_models.fused.scenes import Scene, scene
from omnistream_models.fused.tokens import batch, text_tokens, tokens

__all__ = ["retrieval"]


def retrieval(folder: Path, seed: int, count: int, first: int = 5) -> tuple[float, float]:
    """Recall among the first five of `count` held-out scenes, one sentence a scene, and what chance would have."""
    torch.set_num_threads(1)
    model, alignment = load(folder)
    made, number = list[Scene](), 0
    while len(made) < count:
        one = scene(seed, number, test=True)
        number += 1
        if stated(one, np.random.default_rng(number)) is not None:
            made.append(one)
    with torch.no_grad():
        x, table = tensors(batch([tokens(s.evidence) for s in made])), model.reader.table
        space = alignment.of_scenes(bag(table, x["labels"]), x["objects"], x["objects_on"])
    hits, by_chance = list[bool](), list[float]()
    for n, one in enumerate(made):
        what = stated(one, np.random.default_rng(n))
        assert what is not None
        text = text_tokens(Evidence(speech=Words(caption(one, np.random.default_rng(n), test=True))))
        with torch.no_grad():
            row = tensors({name: value[None] for name, value in text.items()})
            near = alignment.near(alignment.of_words(model.reader, bag(table, row["words"]), row["words_on"]), space).numpy()[0]
        true = np.array([is_true(what, s.things) for s in made])
        hits.append(bool(true[np.argsort(-near, kind="stable")[:first]].any()))
        by_chance.append(1 - float(np.prod(1 - true.sum() / (count - np.arange(first)))))
    return float(np.mean(hits)), float(np.mean(by_chance))
