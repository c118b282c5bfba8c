"""Tables found by a sentence, by what their crops show or by their things' names: any counts that the sentence is true of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnistream.message import Detections
from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.captions import caption, is_true, stated
from omnistream_models.fused.data import tensors
from omnistream_models.fused.evidence import Evidence, Words
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.reading import bag
from omnistream_models.fused.scenes import Scene, scene
from omnistream_models.fused.schema import Decision
from omnistream_models.fused.tokens import batch, text_tokens, tokens
from omnistream_models.fused.world import SIZE, Thing
from omnistream_models.tabletop.network import Pairs, Said, Sentences
from omnistream_models.tabletop.sayings import words_of

__all__ = ["Sought", "as_scene", "by_alignment", "by_names", "by_vectors", "drawn_scenes", "recall", "sought_of"]

FIRST = 5


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """`texts`, and (C, P) bool: of which of P tables each is true; in tests' words."""

    texts: list[str]
    true: np.ndarray


def as_scene(things: Sequence[Thing], seen: Detections) -> Scene:
    """A table as the fused reasoner's benches have them."""
    return Scene(Evidence(detections=seen, size=SIZE), Decision("wait"), "table", "", shipped=False, things=tuple(things))


def drawn_scenes(seed: int, count: int) -> list[Scene]:
    """The fused reasoner's held-out scenes without pixels, of which something can be said: those of bench_fused.py."""
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
