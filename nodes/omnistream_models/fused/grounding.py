"""Words, things and a hand -> which thing is meant: scores that say why, so that the whole composes.

A thing's score is how well its label's words are those that the sentence has for it, in what relation it stands to the thing
that the sentence has for that, where it lies, and how near it is to the finger's way. After modular attention networks
(Yu et al., MAttNet, 2018, arXiv:1801.08186); none of the parts depends on the order of things.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.fused.evidence import LOOKS
from omnistream_models.fused.reading import SLOTS
from omnistream_models.fused.size import FULL, Size

__all__ = ["LOWEST", "Grounded", "Grounding", "Shown", "Spoken", "Things", "geometry", "masked"]

_FEATURES = 16
#: The word for the thing, for its colour, for the thing that it is told from, for that one's colour.
_ROLES = 4
LOWEST = -30.0


class Grounded(NamedTuple):
    """`target` (B, N) logits, LOWEST where no thing is; `why` (B, N, 12), what they are made of; `facts` (B, 12), of all."""

    target: Tensor
    why: Tensor
    facts: Tensor


class Spoken(NamedTuple):
    """Hidden and embedded words (B, W, ...) with their mask, and the slots."""

    hidden: Tensor
    embedded: Tensor
    on: Tensor
    slots: Tensor


class Things(NamedTuple):
    """`objects` (B, N, OBJECT_SIZE), `labels` (B, N, L, EMBEDDED), `looks` (B, N, LOOKS), 0 for none, and the mask (B, N)."""

    objects: Tensor
    labels: Tensor
    looks: Tensor
    on: Tensor


class Shown(NamedTuple):
    """Hands (B, H, WIDTH) encoded, knuckle and tip of the index finger (B, H, 4), mask, and the gate (B, 1) of hands."""

    hands: Tensor
    finger: Tensor
    on: Tensor
    gate: Tensor


def masked(scores: Tensor, on: Tensor) -> Tensor:
    return scores.masked_fill(~on, LOWEST)


class Grounding(nn.Module):
    def __init__(self, size: Size = FULL) -> None:
        super().__init__()
        width = size.width
        self.role = nn.Linear(width, _ROLES)
        self.nobody = nn.Linear(width, _ROLES)
        self.sharp = nn.Parameter(torch.tensor([8.0, 8.0, 8.0, 8.0]))
        self.sure = nn.Sequential(nn.Linear(1, 8), nn.GELU(), nn.Linear(8, 1))
        self.between = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, _FEATURES))
        self.relation = nn.Linear(width, _FEATURES)
        self.where = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, _FEATURES))
        self.position = nn.Linear(width, _FEATURES)
        self.along = nn.Sequential(nn.Linear(8, 24), nn.GELU(), nn.Linear(24, 1))
        self.steady, self.points = nn.Linear(width, 1), nn.Linear(width, 1)
        self.weight = nn.Linear(width, 3)
        self.look = nn.Linear(LOOKS, 2 * size.embedded, bias=False)
        self.trust = nn.Parameter(torch.ones(2))

    def forward(self, spoken: Spoken, things: Things, shown: Shown | None) -> Grounded:
        """`shown` is None where no hand is seen."""
        objects, objects_on = things.objects, things.on
        ask = spoken.slots[:, SLOTS.index("relation")]
        meant, named = self._roles(spoken)
        alike = self._alike(meant, things)
        sharp = F.softplus(self.sharp) * named
        seen = self.sure(objects[..., 4:]).squeeze(-1)
        own = (alike[:, :2] * sharp[:, :2, None]).sum(1) + seen
        to = (alike[:, 2:] * sharp[:, 2:, None]).sum(1) + seen
        anchor = masked(to, objects_on).softmax(-1) * objects_on
        share = masked(own, objects_on).softmax(-1) * objects_on
        weight = F.softplus(self.weight(ask))
        pairs = torch.einsum("bnmf,bm->bnf", self.between(geometry(objects)), anchor)
        related = torch.einsum("bnf,bf->bn", pairs, self.relation(ask)) * weight[:, :1]
        middle = objects[..., :2]
        lead = middle - torch.einsum("bn,bnc->bc", share, middle).unsqueeze(1)
        places = self.where(torch.cat([middle, lead, objects[..., 2:4]], -1))
        placed = torch.einsum("bnf,bf->bn", places, self.position(ask)) * weight[:, 1:2]
        aimed, points = torch.zeros_like(own), torch.zeros_like(own[:, :1])
        if shown is not None:
            aimed, points = self._aimed(objects, shown)
            aimed = aimed * shown.gate * points * weight[:, 2:]
        words = own + related + placed
        target = masked(words + aimed, objects_on)
        by_words, by_hand = masked(words, objects_on), masked(aimed, objects_on)
        why = torch.stack([own, to, related, placed, aimed, seen, share, anchor, by_words.softmax(-1), target.softmax(-1),
                           by_hand.softmax(-1) * points, alike[:, 0] * named[:, :1]], -1)  # fmt: skip
        why = torch.where(objects_on.unsqueeze(-1), why, torch.zeros_like(why))
        first = by_words.topk(2, -1).values
        both = target.topk(2, -1).values
        agree = (by_words.softmax(-1) * by_hand.softmax(-1) * objects_on).sum(-1, keepdim=True) * points
        best = masked(to, objects_on).amax(-1, keepdim=True)
        facts = torch.cat([first / 10, both / 10, points, agree, best / 10, named, objects_on.sum(-1, keepdim=True) / 10], -1)
        return Grounded(target, why, facts)

    def _roles(self, spoken: Spoken) -> tuple[Tensor, Tensor]:
        """The embedding (B, ROLES, EMBEDDED) of the words of each role, and how surely the sentence has any (B, ROLES)."""
        scores = self.role(spoken.hidden).transpose(1, 2).masked_fill(~spoken.on.unsqueeze(1), -1e4)
        nobody = self.nobody(spoken.slots[:, SLOTS.index("thing")])
        weights = torch.cat([scores, nobody.unsqueeze(-1)], -1).softmax(-1)
        return weights[..., :-1] @ spoken.embedded, 1 - weights[..., -1]

    def _alike(self, meant: Tensor, things: Things) -> Tensor:
        """(B, ROLES, N): kinds by the cosine with a label's last word, colours by that with the nearest of the others; to each
        is added the cosine with the word that the look would have."""
        seen = self.look(things.looks).unflatten(-1, (2, -1))
        words = torch.cat([things.labels, seen], 2)
        cosines = torch.einsum("bre,bnle->brnl", F.normalize(meant, dim=-1, eps=1e-4), F.normalize(words, dim=-1, eps=1e-4))
        kinds = cosines[..., 0] + self.trust[0] * cosines[..., -2]
        colours = cosines[..., 1:-2].amax(-1) + self.trust[1] * cosines[..., -1]
        return torch.stack([kinds[:, 0], colours[:, 1], kinds[:, 2], colours[:, 3]], 1)

    def _aimed(self, objects: Tensor, shown: Shown) -> tuple[Tensor, Tensor]:
        """How near each thing is to the finger's way, in the frames that tell most; and whether the hand points at all."""
        there = shown.on.to(objects.dtype)
        knuckle, tip = shown.finger[..., :2], shown.finger[..., 2:]
        way = F.normalize(tip - knuckle, dim=-1, eps=1e-4).unsqueeze(2)
        to = objects[:, None, :, :2] - tip.unsqueeze(2)
        far = to.square().sum(-1).clamp(min=1e-6).sqrt()
        cos = (way * to).sum(-1) / far
        sin = (way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0]) / far
        bells = [torch.exp(k * (cos - 1)) for k in (10.0, 60.0, 300.0)]
        features = torch.stack([cos, sin, sin.abs(), far, *bells, cos * far], -1)
        near = self.along(features).squeeze(-1)
        weights = self.steady(shown.hands).squeeze(-1).masked_fill(~shown.on, -1e4).softmax(-1) * there
        points = torch.sigmoid((self.points(shown.hands).squeeze(-1) * weights).sum(-1, keepdim=True)) * there.amax(
            -1, keepdim=True
        )
        return torch.einsum("bhn,bh->bn", near, weights), points


def geometry(objects: Tensor) -> Tensor:
    """(B, N, N, 8): where each thing is from each other, in pictures' heights."""
    middle, base = objects[..., :2], objects[..., 1] + objects[..., 3] / 2
    d = middle.unsqueeze(2) - middle.unsqueeze(1)
    dy = (base.unsqueeze(2) - base.unsqueeze(1)).unsqueeze(-1)
    far = (d[..., :1].square() + dy.square()).clamp(min=1e-6).sqrt()
    return torch.cat(
        [
            d,
            dy,
            far,
            d[..., :1] / far,
            dy / far,
            torch.exp(-4 * far),
            objects[..., 2:3].unsqueeze(1).expand(-1, d.shape[1], -1, -1),
        ],
        -1,
    )
