"""One space for sentences and scenes: what is true of a table lies near it (symmetric InfoNCE; Radford et al. 2021, CLIP).

It teaches the reader's words and the labels of things the same meanings before any command is learned, and it ranks scenes by a
sentence. A scene is what its pairs of things are, each with where the one stands to the other, in no order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.fused.grounding import geometry
from omnistream_models.fused.reading import EMBEDDED, SLOTS, WIDTH, Reader, Residual
from omnistream_models.fused.tokens import LABEL_WORDS

__all__ = ["Alignment", "contrast"]

SPACE = 96
_PAIR = 64


class Alignment(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.thing = nn.Linear(LABEL_WORDS * EMBEDDED, 2 * _PAIR)
        self.place = nn.Linear(8, _PAIR)
        self.scene = nn.Sequential(nn.Linear(2 * _PAIR + 2 * _PAIR, WIDTH * 2), nn.GELU(), nn.Linear(WIDTH * 2, SPACE))
        self.text = nn.Sequential(Residual(WIDTH, WIDTH), nn.Linear(WIDTH, SPACE))
        self.heat = nn.Parameter(torch.tensor(2.6))

    def of_words(self, reader: Reader, embedded: Tensor, on: Tensor) -> Tensor:
        """Sentences of embedded words -> (B, SPACE) unit vectors, by the reader's slot for captions."""
        slots = reader.read(embedded, on, torch.zeros(on.shape, device=on.device))[4]
        return F.normalize(self.text(slots[:, SLOTS.index("caption")]), dim=-1)

    def of_scenes(self, labels: Tensor, objects: Tensor, on: Tensor) -> Tensor:
        """Detections with embedded labels (B, N, LABEL_WORDS, EMBEDDED) -> (B, SPACE) unit vectors."""
        one, other = self.thing(labels.flatten(2)).chunk(2, dim=-1)
        pairs = F.gelu(one.unsqueeze(2) + other.unsqueeze(1) + self.place(geometry(objects)))
        both = (on.unsqueeze(2) & on.unsqueeze(1)).unsqueeze(-1)
        pairs = torch.where(both, pairs, torch.zeros_like(pairs)).flatten(1, 2)
        alone = torch.where(on.unsqueeze(-1), F.gelu(one), torch.zeros_like(one))
        pooled = torch.cat([pairs.amax(1), pairs.sum(1) / 10, alone.amax(1), alone.sum(1) / 4], -1)
        return F.normalize(self.scene(pooled), dim=-1)


def contrast(texts: Tensor, scenes: Tensor, heat: Tensor) -> Tensor:
    """Symmetric InfoNCE: each sentence to its own scene among all of the batch, and each scene to its own sentence."""
    scores = texts @ scenes.T * heat.exp().clamp(max=100)
    own = torch.arange(len(texts), device=texts.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
