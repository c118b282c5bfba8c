"""How well outputs of a network decide on scenes, whether they are of torch or of ONNX Runtime, and how far from sure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from omnistream_models.fused.data import IGNORE, tensors, truth
from omnistream_models.fused.grounding import LOWEST
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.runtime import FusedNetwork, by_all
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.tokens import batch, tokens

__all__ = ["Heads", "Judged", "decisions_ms", "heads_of", "heads_run", "judged"]

#: Of one scene: each head, `target` and `gates`.
Heads = Mapping[str, np.ndarray]
_BATCH = 250
_TURN, _AGAIN = 50, 3


@dataclass(frozen=True, slots=True)
class Judged:
    """Of `scenes` so many `right`, and `wrong` actions; `good` commands, and those refused; `loss`: cross-entropy an answer."""

    scenes: int
    right: int
    wrong: int
    good: int
    refused: int
    loss: float

    @property
    def exact(self) -> float:
        """Per cent of the scenes."""
        return 100 * self.right / max(1, self.scenes)


def judged(made: Sequence[Scene], outputs: Iterable[Heads], limits: Mapping[str, float]) -> Judged:
    """What all of the network leads to."""
    right = wrong = good = refused = 0
    losses: list[float] = []
    for s, heads in zip(made, outputs, strict=True):
        asked = by_all(heads, s.evidence, limits).asked
        right += asked == s.truth.asked
        wrong += asked not in ("rejected", s.truth.asked)
        good += not s.truth.reason
        refused += not s.truth.reason and asked == "rejected"
        losses += _losses(heads, truth(s))
    return Judged(len(made), right, wrong, good, refused, float(np.mean(losses)))


def heads_run(network: FusedNetwork, made: Sequence[Scene]) -> Iterator[Heads]:
    """As ONNX Runtime has them."""
    return (network.outputs(s.evidence)[1] for s in made)


def heads_of(model: FusedModel, made: Sequence[Scene]) -> Iterator[Heads]:
    """As torch has them."""
    for start in range(0, len(made), _BATCH):
        x = tensors(batch([tokens(s.evidence) for s in made[start : start + _BATCH]]))
        with torch.no_grad():
            _, _, heads, target, gates = model(x)
        arrays = {name: value.numpy() for name, value in (heads | {"target": target, "gates": gates}).items()}
        for n in range(len(target)):
            yield {name: value[n] for name, value in arrays.items()}


def decisions_ms(networks: Mapping[str, FusedNetwork], made: Sequence[Scene]) -> dict[str, float]:
    """Mean ms of processor time of a decision of each, the least of three times, in turns: others use the machine, too."""
    spent: dict[str, list[float]] = {name: [] for name in networks}
    for start in range(0, len(made), _TURN):
        for name, network in networks.items():
            spent[name] += [min(_ms(network, s) for _ in range(_AGAIN)) for s in made[start : start + _TURN]]
    return {name: float(np.mean(values)) for name, values in spent.items()}


def _ms(network: FusedNetwork, made: Scene) -> float:
    began = time.thread_time()
    network.decide(made.evidence)
    return (time.thread_time() - began) * 1e3


def _losses(heads: Heads, wanted: Mapping[str, int]) -> list[float]:
    found: list[float] = []
    for name in (*HEADS, "target"):
        if wanted[name] != IGNORE:
            logits = heads[name].astype(np.float64)
            there = wanted[name] < len(logits)  # or things were not looked at
            found.append(min(float(np.logaddexp.reduce(logits) - logits[wanted[name]]), -LOWEST) if there else -LOWEST)
    return found
