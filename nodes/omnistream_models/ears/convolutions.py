"""The ears' blocks as causal separable convolutions: 2.5 s of the past, and nothing of the future."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnistream_models.ears.shape import Shape

__all__ = ["Convolutions"]


class _Block(nn.Module):
    """A depthwise convolution over `kernel` frames of a dilation and two pointwise ones, beside the input."""

    def __init__(self, shape: Shape, dilation: int) -> None:
        super().__init__()
        c = shape.channels
        self.past = (shape.kernel - 1) * dilation
        self.mix_time = nn.Conv1d(c, c, shape.kernel, groups=c, dilation=dilation, bias=False)
        self.norm_time = nn.BatchNorm1d(c)
        self.widen = nn.Conv1d(c, c * shape.widen, 1)
        self.narrow = nn.Conv1d(c * shape.widen, c, 1, bias=False)
        self.norm = nn.BatchNorm1d(c)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels, steps) after `past` -> the same shape, and the new past."""
        seen = torch.cat([past, x], dim=2)
        y = self.norm_time(self.mix_time(seen)).transpose(1, 2)
        y = _product(functional.relu(_product(y, self.widen)), self.narrow).transpose(1, 2)
        return x + self.norm(y.contiguous()), seen[:, :, -self.past :]


def _product(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """The pointwise layer on (batch, steps, channels): a product learns faster than a convolution does."""
    return functional.linear(x, layer.weight[:, :, 0], layer.bias)


class Convolutions(nn.ModuleList):
    """(batch, channels, steps) with what went before -> the same shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(_Block(shape, d) for d in shape.dilations)
        self._channels = shape.channels
        self._past = [(shape.kernel - 1) * d for d in shape.dilations]

    def init_past(self, batch: int) -> Tensor:
        """(batch, channels, sum of the blocks' pasts) of streams that have heard nothing yet."""
        return torch.zeros(batch, self._channels, sum(self._past))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The new frames of each stream, and the new past."""
        pasts: list[Tensor] = []
        for block, before in zip(self, past.split(self._past, dim=2), strict=True):
            x, after = block(x, before)
            pasts.append(after)
        return x, torch.cat(pasts, dim=2)
