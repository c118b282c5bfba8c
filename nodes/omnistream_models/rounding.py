"""Products of a torch network that round as they will in int8: to learn with, or to see what each costs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from omnistream_models.int8 import LEVELS

__all__ = ["quantization_aware", "rounded"]

_Net = TypeVar("_Net", bound=nn.Module)


def quantization_aware(student: _Net, layers: Sequence[str], tune: Callable[[_Net], _Net], *, whole: bool = False) -> _Net:
    """`tune` the student while its `layers` compute as they will in int8; weights come back as whole steps of their range.

    Rounding lets gradients through as if it were not there (Bengio et al. 2013, straight-through).
    """
    with rounded([student.get_submodule(name) for name in layers], whole=whole, keep=True):
        return tune(student)


@contextmanager
def rounded(products: Sequence[nn.Module], *, whole: bool = False, keep: bool = False) -> Generator[None, None, None]:
    """For as long as it lasts the `products` round weights and inputs; with `keep`, weights stay rounded after it.

    Inputs have a range for each vector, as a step of a stream has one; with `whole` for each item of a batch.
    """
    hooks = [module.register_forward_pre_hook(_whole if whole else _each) for module in products]
    for module in products:
        parametrize.register_parametrization(module, "weight", _RoundedWeight())
    try:
        yield
    finally:
        for module in products:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=keep)
        for hook in hooks:
            hook.remove()


class _RoundedWeight(nn.Module):
    """As `write_int8` rounds: one symmetric range."""

    def forward(self, weight: Tensor) -> Tensor:
        scale = weight.detach().abs().amax() / LEVELS
        return weight + (torch.round(weight / scale) * scale - weight).detach()


def _each(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    return (_rounded(given[0], (-1,)),)


def _whole(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    return (_rounded(given[0], tuple(range(1, given[0].dim()))),)


def _rounded(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """As DynamicQuantizeLinear (ONNX) rounds: 255 steps of the range of the values along `dims`, which holds 0."""
    low, high = x.detach().amin(dims, keepdim=True).clamp(max=0), x.detach().amax(dims, keepdim=True).clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-8)
    zero = torch.round(-low / scale)
    steps = (torch.round(x / scale) + zero).clamp(0, 255) - zero
    return x + (steps * scale - x).detach()
