"""Batches to train on, by chance alone: crops shifted, lit and blurred anew, names of them, and sentences about tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.fused.world import SIZE
from omnistream_models.tabletop.crops import MOST, Pictures
from omnistream_models.tabletop.cutting import MARGIN, ROOM, SIDE
from omnistream_models.tabletop.sayings import named, sentence, words_of

__all__ = ["Grid", "Statement", "holds", "names", "recoloured", "sampled", "statements", "varied"]

Statement = tuple[tuple[int, int], int, tuple[int, int]]


class Grid:
    """Pictures by rows of MOST things: `numbers` of the things, -1 for none, `kinds`, `colours`, and `boxes` in heights."""

    def __init__(self, pictures: Pictures) -> None:
        counts = np.diff(pictures.first)
        at = np.arange(MOST)
        self.on = at < counts[:, None]
        self.numbers = np.where(self.on, pictures.first[:-1, None] + at, -1)
        self.kinds, self.colours = (np.where(self.on, a[self.numbers], 0) for a in (pictures.kinds, pictures.colours))
        corners = np.where(self.on[..., None], pictures.boxes[self.numbers], 0) / SIZE[1]
        self.boxes = np.concatenate([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], -1)
        self.relations = pictures.relations

    def moved(self, rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """(B, MOST, 4) float32 boxes that are a little off, as another lens and another cut of the picture would have them."""
        boxes = self.boxes[rows]
        off = rng.normal(0, 0.03, boxes.shape) * np.concatenate([boxes[..., 2:]] * 2, -1)
        zoom = np.exp(rng.uniform(-0.25, 0.25, (len(rows), 1, 1)))
        shift = rng.uniform(-0.1, 0.1, (len(rows), 1, 2))
        middle, size = np.split(boxes + off, 2, -1)
        moved = np.concatenate([(middle - (0.67, 0.5)) * zoom + (0.67, 0.5) + shift, size * zoom], -1)
        return np.where(self.on[rows][..., None], moved, 0).astype(np.float32)


def sampled(rng: np.random.Generator, groups: list[np.ndarray], count: int) -> np.ndarray:
    """Numbers of things: a kind and colour m by P(m) = log N_m / sum log N_i, then any thing of it."""
    logs = np.log(np.maximum(2, [len(g) for g in groups]))
    chosen = rng.choice(len(groups), count, p=logs / logs.sum())
    return np.array([groups[g][rng.integers(len(groups[g]))] for g in chosen])


def varied(rng: np.random.Generator, crops: np.ndarray) -> Tensor:
    """Crops (N, S, S, 3) uint8 of ROOM about their boxes -> (N, 3, SIDE, SIDE) float32 as the network may get them."""
    n = len(crops)
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    size = MARGIN / ROOM * np.exp(rng.normal(0, 0.08, n))
    shift = rng.normal(0, 0.05, (2, n)) / ROOM * 2
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    nil = np.zeros(n)
    affine = np.stack([np.stack([size * flip, nil, shift[0]], 1), np.stack([nil, size, shift[1]], 1)], 1)
    grid = F.affine_grid(torch.from_numpy(affine).float(), [n, 3, SIDE, SIDE], align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    blurred = torch.from_numpy(rng.random(n) < 0.3)
    low = int(rng.integers(12, 28))
    coarse = F.interpolate(F.interpolate(x, size=(low, low), mode="area"), size=(SIDE, SIDE), mode="bilinear")
    x = torch.where(blurred[:, None, None, None], coarse, x)
    gain = np.exp(rng.normal(0, 0.16, (n, 1))) * np.exp(rng.normal(0, 0.05, (n, 3)))
    power = np.exp(rng.normal(0, 0.15, n))
    light = torch.from_numpy(gain).float()[:, :, None, None]
    x = (x * light).clamp(0, 1) ** torch.from_numpy(power).float()[:, None, None, None]
    grain = torch.from_numpy(rng.standard_normal(x.shape, np.float32) * rng.uniform(0, 0.04, (n, 1, 1, 1)).astype(np.float32))
    return (x + grain).clamp(0, 1)


def recoloured(rng: np.random.Generator, x: Tensor) -> Tensor:
    """Crops (N, 3, S, S) in colours that they never had: what is left of them is their shape.

    Without these a network learns of each colour which kinds never have it, and takes a red bowl for a red cup.
    """
    n = len(x)
    mixing = rng.dirichlet((0.4, 0.4, 0.4), (n, 3)).astype(np.float32)
    mixed = torch.einsum("nij,njhw->nihw", torch.from_numpy(mixing), x)
    low, high = rng.uniform(-0.1, 0.35, (n, 3)), rng.uniform(0.6, 1.2, (n, 3))
    swap = rng.random((n, 1)) < 0.2
    low, high = np.where(swap, high, low), np.where(swap, low, high)
    first, last = (torch.from_numpy(v.astype(np.float32))[:, :, None, None] for v in (low, high))
    return (first + (last - first) * mixed).clamp(0, 1)


def names(rng: np.random.Generator, kinds: np.ndarray, colours: np.ndarray) -> tuple[Tensor, Tensor]:
    """Words for every second thing that has a kind and a colour, and of which things they are true (B, N)."""
    chosen = np.flatnonzero((kinds > 0) & (colours > 0))[::2]
    said = [named(rng, int(kinds[i]), int(colours[i])) for i in chosen]
    k, c = (np.array([s[i] for s in said])[:, None] for i in (1, 2))
    true = ((k == 0) | (k == kinds)) & ((c == 0) | (c == colours))
    return torch.from_numpy(words_of([s[0] for s in said])), torch.from_numpy(true)


class Told(NamedTuple):
    statements: list[Statement]
    words: Tensor


def statements(rng: np.random.Generator, grid: Grid, rows: np.ndarray) -> Told:
    """One sentence that is true of each table that has two things with a name and a colour."""
    found, texts = list[Statement](), list[str]()
    for row in rows:
        good = np.flatnonzero((grid.kinds[row] > 0) & (grid.colours[row] > 0))
        if len(good) < 2:
            continue
        i, j = (int(v) for v in rng.choice(good, 2, replace=False))
        sure = np.flatnonzero(grid.relations[row, 1:, i, j]) + 1
        relation = int(sure[0]) if len(sure) and rng.random() < 0.9 else 0
        one, other = ((int(grid.kinds[row, n]), int(grid.colours[row, n])) for n in (i, j))
        found.append((one, relation, other))
        texts.append(sentence(rng, one, relation, other))
    return Told(found, torch.from_numpy(words_of(texts)))


def holds(said: list[Statement], grid: Grid, rows: np.ndarray) -> np.ndarray:
    """(C, B) bool: of which tables each statement is true. As `omnistream_models.fused.captions.is_true`."""
    kinds, colours, relations = grid.kinds[rows], grid.colours[rows], grid.relations[rows]
    out = np.zeros((len(said), len(rows)), bool)
    for n, ((k1, c1), relation, (k2, c2)) in enumerate(said):
        ones, others = (kinds == k1) & (colours == c1), (kinds == k2) & (colours == c2)
        out[n] = (ones[:, :, None] & others[:, None, :] & relations[:, relation]).any((1, 2))
    return out
