"""What each layer costs when it alone is in int8, on scenes that were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from omnistream_models.fused import tables
from omnistream_models.fused.halves import TABLE
from omnistream_models.fused.judging import heads_of, judged
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.scenes import Scene
from omnistream_models.rounding import rounded

__all__ = ["Cost", "costs_by_layer", "float_layers", "layers_of"]

#: A layer stays in float where it alone costs so many points of the scenes and so large a part of the loss: both, because one
#: scene falls either way.
_POINTS, _LOSS = 0.5, 0.02
_ONLY_TAUGHT = "fusion.by_hand"


@dataclass(frozen=True, slots=True)
class Cost:
    """`what` was quantized: points that it cost, and how much larger the loss is, as a part of it."""

    what: str
    points: float
    loss: float


def layers_of(model: FusedModel) -> list[str]:
    """The table and every product that a decision needs, in their order."""
    products = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return [TABLE, *(name for name in products if name != _ONLY_TAUGHT)]


def costs_by_layer(
    model: FusedModel, made: Sequence[Scene], limits: Mapping[str, float], told: Callable[[], None]
) -> list[Cost]:
    """Each layer alone, rounded in torch as int8 rounds. `told` is called after each."""
    found: list[Cost] = []
    full = judged(made, heads_of(model, made), limits)
    for layer in layers_of(model):
        with _table_rounded(model) if layer == TABLE else rounded([model.get_submodule(layer)], whole=True):
            alone = judged(made, heads_of(model, made), limits)
        found.append(Cost(layer, full.exact - alone.exact, alone.loss / full.loss - 1))
        told()
    return found


def float_layers(costs: Sequence[Cost]) -> list[str]:
    """Those that cost too much."""
    return [c.what for c in costs if c.points > _POINTS and c.loss > _LOSS]


@contextmanager
def _table_rounded(model: FusedModel) -> Generator[None, None, None]:
    weight = model.reader.table.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(tables.rounded(before.numpy())))
    yield
    with torch.no_grad():
        weight.copy_(before)
