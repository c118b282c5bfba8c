"""Fewer channels: those go that matter least to the loss, wherever they are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omnistream_models.ears.products import Products
from omnistream_models.ears.scenes import Batch
from omnistream_models.ears.training import loss_of

__all__ = ["Importance", "importance", "pruned"]


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much the loss would change, to first order, without each channel (C,) and each hidden unit (blocks, units)."""

    channels: Tensor
    hidden: Tensor


def importance(products: Products, batches: Sequence[Batch]) -> Importance:
    """Squared derivative by a factor on each channel, summed over batches (Molchanov et al. 2019, "Importance estimation").

    A factor on a channel is one on the rows that write it, so its derivative is the sum over those of weight times gradient.
    """
    channels = torch.zeros(products.shape.channels)
    hidden = torch.zeros(len(products.widen), products.hidden)
    for batch in batches:
        products.zero_grad()
        loss_of(products(torch.from_numpy(batch.mels)), batch).backward()
        channels += sum((_by_row(layer) for layer in (products.stem, *products.narrow)), torch.zeros(())) ** 2
        hidden += torch.stack([_by_row(layer) for layer in products.widen]) ** 2
    products.zero_grad()
    return Importance(channels, hidden)


def pruned(products: Products, found: Importance, channels: int, hidden: int) -> Products:
    """A copy with the `channels` most important ones, and so many `hidden` units in each block."""
    made = Products(replace(products.shape, channels=channels), hidden)
    kept = _most(found.channels, channels)
    old = products.state_dict()
    new: dict[str, Tensor] = {}
    for name in ("classes", "letters"):
        new |= {f"{name}.weight": old[f"{name}.weight"][:, kept], f"{name}.bias": old[f"{name}.bias"]}
    new |= {"stem.weight": old["stem.weight"][kept], "stem.bias": old["stem.bias"][kept]}
    new |= {"taps": old["taps"][:, :, kept], "offsets": old["offsets"][:, kept]}
    for n, scores in enumerate(found.hidden):
        units = _most(scores, hidden)
        new[f"widen.{n}.weight"] = old[f"widen.{n}.weight"][units][:, kept]
        new[f"widen.{n}.bias"] = old[f"widen.{n}.bias"][units]
        new[f"narrow.{n}.weight"] = old[f"narrow.{n}.weight"][kept][:, units]
        new[f"narrow.{n}.bias"] = old[f"narrow.{n}.bias"][kept]
    made.load_state_dict(new)
    return made


def _by_row(layer: torch.nn.Module) -> Tensor:
    """(rows,) weight times gradient, bias included."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    assert weight.grad is not None
    assert bias.grad is not None
    return (weight * weight.grad).sum(1).detach() + (bias * bias.grad).detach()


def _most(scores: Tensor, count: int) -> Tensor:
    return scores.topk(count).indices.sort().values
