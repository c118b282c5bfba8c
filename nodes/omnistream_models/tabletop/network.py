"""What crops show and what sentences say, in one space: an image encoder, a text encoder, and scores of sentences for tables.

A thing's crop and its name lie near each other (symmetric InfoNCE; Radford et al. 2021, CLIP). A table is the set of its pairs
of things, each with how they stand; a sentence is two names and how they stand; the best pair counts (late interaction,
Yao et al. 2021, FILIP). Names are made of their own words alone, so what was never named together can be.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from omnistream_models.fused.grams import BUCKETS
from omnistream_models.fused.grounding import geometry
from omnistream_models.fused.reading import bag
from omnistream_models.fused.schema import COLOURS, KINDS

__all__ = ["Images", "Pairs", "Said", "Seen", "Sentences", "contrast"]

#: Lengths of the vectors of a thing and of how two stand.
THING, PLACE = 32, 16
_EMBEDDED, _HIDDEN, _CONTEXT = 32, 32, 16
_LOWEST = -1e4


class Seen(NamedTuple):
    """Of crops: logits of `kinds` (N, KINDS) and `colours` (N, COLOURS), and unit `vectors` (N, THING)."""

    kinds: Tensor
    colours: Tensor
    vectors: Tensor


class Said(NamedTuple):
    """Of sentences: unit vectors of the one thing and of the `other` (B, THING), and of how they stand (B, PLACE)."""

    one: Tensor
    relation: Tensor
    other: Tensor


def _conv(into: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _conv(width, width, 1), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.change(x))


class Images(nn.Module):
    """Crops (N, 3, SIDE, SIDE) float32 RGB in 0..1 -> what is seen on them.

    A vector is made of what kind and what colour it may be, as a name is made of its words: so a red bowl is known by its name
    where no bowl was red.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 16, 2), _conv(16, 32, 2), _Residual(32), _conv(32, 64, 2), _Residual(64), _conv(64, 96, 2)
        )  # fmt: skip
        self.whole = nn.Sequential(nn.Linear(2 * 96, 96), nn.ReLU())
        self.kinds, self.colours = nn.Linear(96, len(KINDS)), nn.Linear(96, len(COLOURS))
        self.vectors = nn.Linear(len(KINDS) + len(COLOURS), THING)

    def forward(self, crops: Tensor) -> Seen:
        x = self.trunk((crops - 0.5) * 4)
        x = self.whole(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))
        kinds, colours = self.kinds(x), self.colours(x)
        shares = torch.cat([kinds.softmax(-1), colours.softmax(-1)], -1)
        return Seen(kinds, colours, F.normalize(self.vectors(shares.detach()), dim=-1))


class Sentences(nn.Module):
    """Words (B, W, GRAMS) as rows of letter groups, 0 for none -> what they say. A name alone is the `one`."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS, _EMBEDDED)
        self.order = nn.GRU(_EMBEDDED, _HIDDEN, batch_first=True, bidirectional=True)
        self.ask = nn.Linear(2 * _HIDDEN, 3)
        self.thing, self.relation = nn.Linear(_EMBEDDED, THING, bias=False), nn.Linear(2 * _HIDDEN, PLACE)

    def forward(self, words: Tensor) -> Said:
        embedded, on = bag(self.table, words), words[..., 0] > 0
        lengths = on.sum(1).clamp(min=1).cpu()
        packed, _ = self.order(pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False))
        hidden, _ = pad_packed_sequence(packed, batch_first=True, total_length=words.shape[1])
        one, relation, other = self.ask(hidden).masked_fill(~on.unsqueeze(-1), _LOWEST).softmax(1).unbind(-1)
        things = self.thing(embedded)
        return Said(
            F.normalize(torch.einsum("bw,bwd->bd", one, things), dim=-1),
            F.normalize(self.relation(torch.einsum("bw,bwd->bd", relation, hidden)), dim=-1),
            F.normalize(torch.einsum("bw,bwd->bd", other, things), dim=-1),
        )


class Pairs(nn.Module):
    """Scores of sentences for tables, by the things' vectors and boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.context = nn.Sequential(nn.Linear(4 + THING, 48), nn.GELU(), nn.Linear(48, _CONTEXT))
        self.place = nn.Sequential(
            nn.Linear(16 + _CONTEXT, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, PLACE)
        )  # fmt: skip
        self.heat, self.names, self.places = (nn.Parameter(torch.tensor(v)) for v in (2.0, 2.5, 1.5))

    def places_of(self, vectors: Tensor, boxes: Tensor, on: Tensor) -> Tensor:
        """(B, N, N, PLACE) unit vectors of how things stand. `boxes` (B, N, 4): middle and size, in pictures' heights."""
        there = on.unsqueeze(-1).to(boxes.dtype)
        about = (self.context(torch.cat([boxes, vectors], -1)) * there).sum(1) / there.sum(1).clamp(min=1)
        count = boxes.shape[1]
        ones, others = boxes.unsqueeze(2).expand(-1, -1, count, -1), boxes.unsqueeze(1).expand(-1, count, -1, -1)
        known = [geometry(boxes), ones, others, about[:, None, None].expand(-1, count, count, -1)]
        return F.normalize(self.place(torch.cat(known, -1)), dim=-1)

    def forward(self, said: Said, vectors: Tensor, boxes: Tensor, on: Tensor) -> Tensor:
        """(C, B): how well each sentence suits each table (B, N, ...)."""
        one, other = (torch.einsum("cd,bnd->cbn", v, vectors) for v in (said.one, said.other))
        stand = torch.einsum("cd,bnmd->cbnm", said.relation, self.places_of(vectors, boxes, on))
        names, places = F.softplus(self.names) * 4, F.softplus(self.places) * 4
        scores = names * (one.unsqueeze(3) + other.unsqueeze(2) - 2) + places * (stand - 1)
        apart = ~torch.eye(boxes.shape[1], dtype=torch.bool, device=on.device)
        both = on.unsqueeze(2) & on.unsqueeze(1) & apart
        return scores.masked_fill(~both, _LOWEST).flatten(2).logsumexp(-1)


def contrast(scores: Tensor, true: Tensor) -> Tensor:
    """Symmetric InfoNCE where several may be right, `true` (C, B); a row or column for which none is says nothing."""
    return (_nearest(scores, true) + _nearest(scores.T, true.T)) / 2


def _nearest(scores: Tensor, true: Tensor) -> Tensor:
    on = true.any(1)
    share = true[on].to(scores.dtype)
    return -(scores[on].log_softmax(1) * share / share.sum(1, keepdim=True)).sum(1).mean()
