"""Sentences and scenes in one space of sets: what is true of a table is near to it (symmetric InfoNCE).

After Radford et al. 2021, CLIP. It teaches the reader's words and the labels of things the same meanings before any command
is learned, and it ranks scenes by a sentence. Both sides are sets of vectors that meet late (Khattab and Zaharia 2020,
ColBERT, arXiv:2004.12832): a sentence is the words of its two things and how the one stands to the other; a scene is every
pair of its things, in no order. A sentence is as near to a scene as to the pair that it suits best. A kind and a colour
that never met in training are two words like any others.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.fused.grounding import geometry
from omnistream_models.fused.reading import SLOTS, Reader, Residual
from omnistream_models.fused.size import FULL, Size

__all__ = ["Alignment", "Pairs", "Sentences", "contrast"]

#: Kind and colour of the one thing, kind and colour of the other.
_ROLES = 4
_PLACES = 24
#: Where no thing is.
_NOWHERE = -1e3


class Sentences(NamedTuple):
    """`words` (B, ROLES, EMBEDDED), each as long as it counts, and `place` (B, PLACES)."""

    words: Tensor
    place: Tensor


class Pairs(NamedTuple):
    """`labels` (B, N, LABEL_WORDS, EMBEDDED) of length 1, `place` (B, N, N, PLACES), `on` (B, N, N)."""

    labels: Tensor
    place: Tensor
    on: Tensor


class Alignment(nn.Module):
    def __init__(self, size: Size = FULL) -> None:
        super().__init__()
        width = size.width
        self.text, self.seek = Residual(width, width), nn.Linear(width, _ROLES)
        self.counts, self.relation = nn.Linear(width, _ROLES), nn.Linear(width, _PLACES)
        self.place = nn.Sequential(nn.Linear(8, 64), nn.GELU(), nn.Linear(64, _PLACES))
        self.bend = nn.Linear(size.embedded, size.embedded)
        self.heat = nn.Parameter(torch.tensor(0.0))

    def of_words(self, reader: Reader, embedded: Tensor, on: Tensor) -> Sentences:
        """Sentences of embedded words (B, W, EMBEDDED)."""
        _, _, hidden, embedded, slots = reader.read(embedded, on, torch.zeros(on.shape, device=on.device))
        asked = slots[:, SLOTS.index("caption")]
        scores = self.seek(self.text(hidden)).transpose(1, 2).masked_fill(~on.unsqueeze(1), -1e4)
        words = F.normalize(self._bent(scores.softmax(-1) @ embedded), dim=-1, eps=1e-4)
        return Sentences(words * F.softplus(self.counts(asked) + 8).unsqueeze(-1), self.relation(asked))

    def of_scenes(self, labels: Tensor, objects: Tensor, on: Tensor) -> Pairs:
        """Detections with embedded labels (B, N, LABEL_WORDS, EMBEDDED)."""
        there = (labels != 0).any(-1, keepdim=True)
        known = torch.where(there, F.normalize(self._bent(labels), dim=-1, eps=1e-4), torch.zeros_like(labels))
        apart = ~torch.eye(on.shape[1], dtype=torch.bool, device=on.device)
        return Pairs(known, self.place(geometry(objects)), on.unsqueeze(2) & on.unsqueeze(1) & apart)

    def near(self, texts: Sentences, scenes: Pairs) -> Tensor:
        """(T, S): how near each sentence is to each scene, by the pair of things that it suits best."""
        alike = torch.einsum("tre,snle->tsrnl", texts.words, scenes.labels)
        kinds, colours = alike[..., 0], alike[..., 1:].amax(-1)
        one, other = kinds[:, :, 0] + colours[:, :, 1], kinds[:, :, 2] + colours[:, :, 3]
        suits = one.unsqueeze(3) + other.unsqueeze(2) + torch.einsum("tf,snmf->tsnm", texts.place, scenes.place)
        return suits.masked_fill(~scenes.on.unsqueeze(0), _NOWHERE).flatten(2).amax(-1)

    def _bent(self, embedded: Tensor) -> Tensor:
        return embedded + self.bend(embedded)


def contrast(scores: Tensor, heat: Tensor) -> Tensor:
    """Symmetric InfoNCE of (B, B): each sentence to its own scene among the batch, and each scene to its own sentence."""
    scores = scores * heat.exp().clamp(max=10)
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
