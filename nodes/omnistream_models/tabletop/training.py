"""Training from rendered tables: what crops show, then crops and their names into one space, then tables and sentences.

One thread; a GPU where there is one. Batches depend on the seed and the step alone, so a training that was broken off goes on
from its checkpoint as if it had not been. In the last stage the image encoder rests: its vectors are made once, some for each
crop, each time seen otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream.errors import ModelError
from omnistream_models.tabletop.batches import Grid, holds, names, recoloured, sampled, statements, varied
from omnistream_models.tabletop.crops import Pictures
from omnistream_models.tabletop.network import Images, Pairs, Said, Sentences, contrast
from omnistream_models.tabletop.sayings import name_of, words_of

__all__ = ["BATCH", "STEPS", "TABLES", "Trainer", "stages_of"]

#: Steps of all stages, of `BATCH` crops or twice `TABLES` tables a step.
STEPS = 4500
BATCH, TABLES = 128, 64
_RATE, _WARM, _VERSIONS = 3e-3, 100, 4


def stages_of(steps: int) -> tuple[int, int, int]:
    """The steps of each stage: four tenths, two tenths, the rest."""
    first, second = steps * 4 // 10, steps * 2 // 10
    return first, second, steps - first - second


class Trainer:
    """Networks, optimizer and step; `run` goes on from wherever they are. Stages end at `ends`.

    `seen` are rendered pictures; `unseen` are tables of which only boxes and names are known.
    """

    def __init__(
        self,
        seen: Pictures,
        unseen: Pictures,
        *,
        seed: int,
        stages: tuple[int, int, int] = stages_of(STEPS),
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.seed, self.device, self.step = seed, device, 0
        self.ends = tuple(int(n) for n in np.cumsum(stages))
        self.images, self.sentences, self.pairs = Images().to(device), Sentences().to(device), Pairs().to(device)
        self.networks = nn.ModuleDict({"images": self.images, "sentences": self.sentences, "pairs": self.pairs})
        self.optimizer = torch.optim.AdamW(self.networks.parameters(), lr=_RATE, weight_decay=0.02, betas=(0.9, 0.98))
        self._seen, self._grids = seen, (Grid(seen), Grid(unseen))
        pairs = seen.kinds * 100 + seen.colours
        self._groups = [np.flatnonzero(pairs == p) for p in np.unique(pairs)]
        self._vectors: Tensor | None = None

    def run(self, until: int, told: Callable[[int, float], None] = lambda _n, _loss: None) -> None:
        """Train up to a step. `told` gets every step and its loss."""
        while self.step < min(until, self.ends[-1]):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
            loss = self._loss(np.random.default_rng((self.seed, self.step)))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            told(self.step, float(loss.detach()))

    def _rate(self) -> float:
        """In each stage: warm-up, then the half of a cosine."""
        stage = int(np.searchsorted(self.ends, self.step, "right"))
        start = self.ends[stage - 1] if stage else 0
        at, length = self.step - start, self.ends[stage] - start
        warm = min(1.0, (at + 1) / min(_WARM, max(1, length // 10)))
        return _RATE * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * at / length)))

    def _loss(self, rng: np.random.Generator) -> Tensor:
        if self.step >= self.ends[1]:
            return self._tables(rng)
        self.images.train()
        numbers = sampled(rng, self._groups, BATCH)
        kinds, colours = self._seen.kinds[numbers], self._seen.colours[numbers]
        crops, half = varied(rng, self._seen.crops[numbers]), BATCH // 2
        seen = self.images(torch.cat([crops[:half], recoloured(rng, crops[half:])]).to(self.device))
        loss = F.cross_entropy(seen.colours[:half], self._moved(colours[:half]))
        loss = loss + F.cross_entropy(seen.kinds[half:], self._moved(kinds[half:]))
        if self.step < self.ends[0]:
            return loss
        words, true = names(rng, kinds[:half], colours[:half])
        return loss + self._named(words, seen.vectors[:half], true)

    def _named(self, words: Tensor, vectors: Tensor, true: Tensor) -> Tensor:
        """Names and the vectors of crops into one space."""
        said = self.sentences(words.to(self.device)).one
        return contrast(said @ vectors.T * self.pairs.heat.exp().clamp(max=100), true.to(self.device))

    def _tables(self, rng: np.random.Generator) -> Tensor:
        """Sentences and tables into one space: tables by their crops, and by their names."""
        if self.step == self.ends[1]:
            self._rarer()
        vectors, lists = self._cached(), list[Any]()
        for grid, by_name in ((self._grids[0], False), (self._grids[1], True)):
            rows = rng.choice(len(grid.on), TABLES)
            numbers = grid.numbers[rows]
            if by_name:
                things = self._by_name(rng, grid.kinds[rows], grid.colours[rows])
            else:
                things = vectors[torch.from_numpy(rng.integers(0, _VERSIONS, numbers.shape)), torch.from_numpy(numbers)]
            lists.append((grid, rows, statements(rng, grid, rows), things, grid.moved(rng, rows), grid.on[rows]))
        told = [t for *_, t, _, _, _ in lists]
        every = [s for t in told for s in t.statements]
        true = np.concatenate([holds(every, grid, rows) for grid, rows, *_ in lists], 1)
        said: Said = self.sentences(torch.cat([t.words for t in told]).to(self.device))
        things = torch.cat([x[3] for x in lists])
        boxes, on = (self._moved(np.concatenate([x[i] for x in lists])) for i in (4, 5))
        loss = contrast(self.pairs(said, things, boxes, on), self._moved(true))
        numbers = sampled(rng, self._groups, BATCH)
        words, fits = names(rng, self._seen.kinds[numbers], self._seen.colours[numbers])
        return loss + self._named(words, vectors[0, torch.from_numpy(numbers)], fits)

    def _by_name(self, rng: np.random.Generator, kinds: np.ndarray, colours: np.ndarray) -> Tensor:
        """(B, MOST, THING) vectors of what things are called."""
        texts = [name_of(int(k), int(c), rng) for k, c in zip(kinds.flat, colours.flat, strict=True)]
        different = {text: n for n, text in enumerate(dict.fromkeys(texts))}
        said = self.sentences(torch.from_numpy(words_of(list(different))).to(self.device)).one
        return said[torch.tensor([different[t] for t in texts])].reshape(*kinds.shape, -1)

    def _rarer(self) -> None:
        """Let the heads know how rare things are, for sampling showed all alike (Menon et al. 2021, arXiv:2007.07314)."""
        drawn = np.log(np.maximum(2, [len(g) for g in self._groups]))
        for head, values in ((self.images.kinds, self._seen.kinds), (self.images.colours, self._seen.colours)):
            count = head.bias.shape[0]
            share = np.bincount(values, minlength=count) / len(values)
            shown = np.bincount([values[g[0]] for g in self._groups], drawn / drawn.sum(), minlength=count)
            with torch.no_grad():
                head.bias.add_(self._moved(np.log((share + 1e-4) / (shown + 1e-4))).float())

    def _cached(self) -> Tensor:
        """(VERSIONS, T, THING): the vectors of all crops."""
        if self._vectors is None:
            self.images.eval()
            found = list[Tensor]()
            with torch.no_grad():
                for version in range(_VERSIONS):
                    rng = np.random.default_rng((self.seed, 1 << 30, version))
                    parts = np.array_split(np.arange(len(self._seen.kinds)), max(1, len(self._seen.kinds) // 512))
                    found += [
                        torch.cat([self.images(varied(rng, self._seen.crops[p]).to(self.device)).vectors for p in parts])
                    ]  # fmt: skip
            self._vectors = torch.stack(found)
        return self._vectors

    def _moved(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # keeping

    def state(self) -> dict[str, np.ndarray]:
        """All that a training goes on from."""
        out = {name: v.detach().cpu().numpy() for name, v in self.networks.state_dict().items()}
        for name, p in self.networks.named_parameters():
            for kind, value in self.optimizer.state.get(p, {}).items():
                out[f"{kind}:{name}"] = np.asarray(value.cpu().numpy(), np.float32)
        return out | {"step": np.array([self.step], np.int64)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave. Raises ModelError where it is of another network."""
        try:
            self.networks.load_state_dict({n: torch.from_numpy(arrays[n]) for n in self.networks.state_dict()})
            for name, p in self.networks.named_parameters():
                kinds = [k.split(":")[0] for k in arrays if k.endswith(f":{name}")]
                if kinds:
                    self.optimizer.state[p] = {
                        k: torch.from_numpy(arrays[f"{k}:{name}"]).to("cpu" if k == "step" else self.device) for k in kinds
                    }
            self.step = int(arrays["step"][0])
        except (KeyError, RuntimeError) as e:
            raise ModelError(f"the checkpoint is of another network ({e}); delete it to begin anew") from None
