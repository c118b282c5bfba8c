"""The first half of the network: words -> what they ask for, alone, and whether that is enough to decide on."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.size import FULL, HEADS_OF_ATTENTION, Size, folded
from omnistream_models.fused.tokens import NEEDS, WORDS

__all__ = ["NAMED", "SLOTS", "Attention", "Reader", "Residual", "bag", "of_slot"]

#: What is asked of the words: each slot is one query, and each output head reads one of them.
SLOTS = ("verb", "direction", "amount", "manner", "thing", "reason", "relation", "decide", "caption")
#: Heads that read one word each, as it is written, and nothing around it: so that a kind of one colour is known in all others.
NAMED = ("kind", "colour")
_OF_SLOT = {"verb": 0, "direction": 1, "amount": 2, "manner": 3, "kind": 4, "colour": 4, "reason": 5}


def bag(table: nn.Embedding, ids: Tensor) -> Tensor:
    """(..., GRAMS) rows of `grams`, 0 for none -> (..., EMBEDDED) of a table, which may have fewer: their mean."""
    on = (ids > 0).to(table.weight.dtype).unsqueeze(-1)
    return (table(folded(ids, table.num_embeddings)) * on).sum(-2) / on.sum(-2).clamp(min=1.0)


class Residual(nn.Module):
    """An adapter: what comes in, and a small change of it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.change = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(self.norm(x))


class Attention(nn.Module):
    """(B, Q, WIDTH) asks (B, K, WIDTH) with its mask (B, K); where nothing is there the answer is 0."""

    def __init__(self, width: int, heads: int = HEADS_OF_ATTENTION) -> None:
        super().__init__()
        self.heads, self.each = heads, width // heads
        self.ask, self.offer = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, asking: Tensor, there: Tensor, on: Tensor) -> Tensor:
        size = (there.shape[0], -1, self.heads, self.each)
        there = torch.where(on.unsqueeze(-1), there, torch.zeros_like(there))
        q = self.ask(asking).reshape(size).transpose(1, 2)
        k, v = (part.reshape(size).transpose(1, 2) for part in self.offer(there).chunk(2, dim=-1))
        scores = (q @ k.transpose(-1, -2)) / math.sqrt(self.each)
        mask = on[:, None, None, :]
        weights = scores.masked_fill(~mask, -1e4).softmax(-1) * mask.to(scores.dtype)
        return self.out((weights @ v).transpose(1, 2).reshape(asking.shape[0], -1, self.heads * self.each))


class _Layer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm, self.look = nn.LayerNorm(size.width), Attention(size.width)
        self.think = Residual(size.width, size.inner)

    def forward(self, x: Tensor, on: Tensor) -> Tensor:
        y = self.norm(x)
        return self.think(x + self.look(y, y, on))


class Reader(nn.Module):
    """Words and channels -> (what each head says, whether that is enough, hidden words, embedded words, slots).

    `words` (B, WORDS, GRAMS) int, `on` (B, WORDS) bool, `typed` (B, WORDS) 1 for the keyboard and 0 for the voice. Speech and
    typed text have an adapter each.
    """

    def __init__(self, size: Size = FULL) -> None:
        super().__init__()
        width = size.width
        self.table = nn.Embedding(size.rows, size.embedded)
        nn.init.normal_(self.table.weight, std=0.5)
        self.enter = nn.Linear(size.embedded, width)
        self.place = nn.Parameter(torch.randn(WORDS, width) * 0.1)
        self.speech, self.keys = Residual(width, size.adapter), Residual(width, size.adapter)
        self.channel = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList([_Layer(size), _Layer(size)])
        self.slots = nn.Parameter(torch.randn(len(SLOTS), width) * 0.3)
        self.ask, self.think = Attention(width), Residual(width, size.inner)
        self.heads = nn.ModuleDict({name: nn.Linear(width, length) for name, length in HEADS.items() if name not in NAMED})
        self.seek = nn.Linear(width, len(NAMED))
        self.nowhere = nn.Linear(width, len(NAMED))
        self.names = nn.ModuleDict(
            {
                n: nn.Sequential(nn.Linear(size.embedded + 1, size.named), nn.GELU(), nn.Linear(size.named, HEADS[n]))
                for n in NAMED
            }
        )
        self.enough = nn.Linear(width, 1)
        self.needs = nn.Linear(width, len(NEEDS))

    def forward(self, words: Tensor, on: Tensor, typed: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]:
        return self.read(bag(self.table, words), on, typed)

    def read(self, embedded: Tensor, on: Tensor, typed: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]:
        """The same from embedded words (B, W, EMBEDDED), of which W may be as few as there are."""
        embedded = torch.where(on.unsqueeze(-1), embedded, torch.zeros_like(embedded))
        keys = torch.where(on, typed, torch.zeros_like(typed)).unsqueeze(-1)
        x = self.enter(embedded) + self.place[: embedded.shape[1]] + keys * self.channel
        x = keys * self.keys(x) + (1 - keys) * self.speech(x)
        for layer in self.layers:
            x = layer(x, on)
        slots = self.slots.unsqueeze(0).expand(on.shape[0], -1, -1)
        slots = self.think(slots + self.ask(slots, x, on))
        said = {name: head(slots[:, _OF_SLOT[name]]) for name, head in self.heads.items()} | self._named(x, embedded, on, slots)
        decide = slots[:, SLOTS.index("decide")]
        said = {name: said[name] for name in HEADS} | {"needs": self.needs(decide)}
        return said, self.enough(decide).squeeze(-1), x, embedded, slots

    def _named(self, x: Tensor, embedded: Tensor, on: Tensor, slots: Tensor) -> dict[str, Tensor]:
        """What the sought words say, each by its own letters, and whether the sentence has such a word."""
        scores = self.seek(x).transpose(1, 2).masked_fill(~on.unsqueeze(1), -1e4)
        weights = torch.cat([scores, self.nowhere(slots[:, _OF_SLOT["kind"]]).unsqueeze(-1)], -1).softmax(-1)
        found = torch.cat([weights[..., :-1] @ embedded, weights[..., -1:]], -1)
        return {name: part(found[:, n]) for n, (name, part) in enumerate(self.names.items())}


def of_slot(name: str) -> int:
    """Which slot a head reads."""
    return _OF_SLOT[name]
