"""The ears' blocks as a causal Conformer (Gulati et al. 2020, arXiv:2005.08100): attention to a bounded past, and convolution.

A block is half a feedforward layer, attention of `heads` to the `window` frames that end with the present one, a gated
depthwise convolution over `kernel` frames, half a feedforward layer again, and a norm. Norms are over one frame's channels, or
fixed after training, so that nothing reaches a frame but itself and its past. Where a key lies is told by a bias that each head
learned for each distance; before its beginning a stream has keys and values of zero, which a head may look at when it wants
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnistream_models.ears.shape import Shape

__all__ = ["Conformer"]

#: Added to the score of a key that must not be seen: its weight becomes exactly 0 in float32.
_NEVER = -1e4


def banded(bias: Tensor, steps: int) -> Tensor:
    """(heads, window) by distance -> (heads, steps, window - 1 + steps): of each of `steps` frames, to each key it may see.

    Rows of one more than a row's length, read on: each begins one further to the right.
    """
    heads, window = bias.shape
    rows = functional.pad(bias, (0, steps), value=_NEVER)[:, None].expand(heads, steps, window + steps)
    return rows.reshape(heads, steps * (window + steps))[:, : steps * (window + steps - 1)].reshape(heads, steps, -1)


class _HalfFeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        c = shape.channels
        self.norm = nn.LayerNorm(c)
        self.widen = nn.Linear(c, c * shape.widen)
        self.narrow = nn.Linear(c * shape.widen, c)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.narrow(functional.silu(self.widen(self.norm(x))))


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.size = shape.heads, shape.channels // shape.heads
        self.past = shape.window - 1
        self.norm = nn.LayerNorm(shape.channels)
        self.look = nn.Linear(shape.channels, 3 * shape.channels)
        self.distance = nn.Parameter(torch.zeros(shape.heads, shape.window))
        self.out = nn.Linear(shape.channels, shape.channels)

    def forward(self, x: Tensor, band: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`keys` and `values` (batch, heads, window - 1, size) are of the frames before `x`; `band` is of `banded`."""
        batch, steps, channels = x.shape
        looked = self.look(self.norm(x)).view(batch, steps, 3 * self.heads, self.size).transpose(1, 2)
        query, key, value = looked.split(self.heads, dim=1)
        keys, values = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        seen = _see(query * self.size**-0.5, keys, values, band).transpose(1, 2).reshape(batch, steps, channels)
        return x + self.out(seen), keys[:, :, -self.past :], values[:, :, -self.past :]


def _see(query: Tensor, keys: Tensor, values: Tensor, band: Tensor) -> Tensor:
    """(batch, heads, steps, size); as many queries at a time as `band` has, for no key further away can matter."""
    steps, size = query.shape[2], band.shape[1]
    if torch.onnx.is_in_onnx_export() or steps == size:
        return (query @ keys.transpose(2, 3) + band).softmax(-1) @ values
    seen: list[Tensor] = []
    for some in query.split(size, dim=2):
        near = slice(size * len(seen), size * len(seen) + keys.shape[2] - steps + some.shape[2])
        scores = some @ keys[:, :, near].transpose(2, 3)
        scores = scores + band[:, : some.shape[2], : scores.shape[3]]
        seen.append(scores.softmax(-1) @ values[:, :, near])
    return torch.cat(seen, dim=2)


class _Convolution(nn.Module):
    def __init__(self, shape: Shape, dilation: int) -> None:
        super().__init__()
        c = shape.channels
        self.past = (shape.kernel - 1) * dilation
        self.norm = nn.LayerNorm(c)
        self.gate = nn.Linear(c, 2 * c)
        self.mix_time = nn.Conv1d(c, c, shape.kernel, groups=c, dilation=dilation, bias=False)
        self.norm_time = nn.BatchNorm1d(c)
        self.out = nn.Linear(c, c)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """`past` (batch, channels, frames) is what the depthwise convolution had before `x`."""
        seen = torch.cat([past, functional.glu(self.gate(self.norm(x)), -1).transpose(1, 2)], dim=2)
        y = functional.silu(self.norm_time(self.mix_time(seen)))
        return x + self.out(y.transpose(1, 2)), seen[:, :, -self.past :]


class _Block(nn.Module):
    def __init__(self, shape: Shape, dilation: int) -> None:
        super().__init__()
        self.first = _HalfFeedForward(shape)
        self.attention = _Attention(shape)
        self.convolution = _Convolution(shape, dilation)
        self.second = _HalfFeedForward(shape)
        self.norm = nn.LayerNorm(shape.channels)
        self.parts = [self.attention.past, self.attention.past, self.convolution.past]

    def forward(self, x: Tensor, band: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """`past` (batch, heads, frames, size): keys, values, and the convolution's, one behind the other."""
        batch, _, channels = x.shape
        heads, size = self.attention.heads, self.attention.size
        keys, values, mixed = past.split(self.parts, dim=2)
        x, keys, values = self.attention(self.first(x), band, keys, values)
        x, mixed = self.convolution(x, mixed.transpose(2, 3).reshape(batch, channels, self.parts[2]))
        mixed = mixed.view(batch, heads, size, self.parts[2]).transpose(2, 3)
        return self.norm(self.second(x)), torch.cat([keys, values, mixed], dim=2)


class Conformer(nn.ModuleList):
    """(batch, channels, steps) with what went before -> the same shape."""

    def __init__(self, shape: Shape) -> None:
        blocks = [_Block(shape, d) for d in shape.dilations]
        super().__init__(blocks)
        self._heads, self._size = shape.heads, shape.channels // shape.heads
        self._window = shape.window
        self._past = [sum(b.parts) for b in blocks]

    def init_past(self, batch: int) -> Tensor:
        """(batch, heads, sum of the blocks' pasts, channels / heads) of streams that have heard nothing yet."""
        return torch.zeros(batch, self._heads, sum(self._past), self._size)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The new frames of each stream, and the new past."""
        x = x.transpose(1, 2)
        pasts: list[Tensor] = []
        for block, band, before in zip(self, self._bands(x.shape[1]), past.split(self._past, dim=2), strict=True):
            x, after = block(x, band, before)
            pasts.append(after)
        return x.transpose(1, 2), torch.cat(pasts, dim=2)

    def _bands(self, steps: int) -> Sequence[Tensor]:
        """Each block's, of all steps, or of a window of them where there are more; the exported step is one piece."""
        size = steps if torch.onnx.is_in_onnx_export() else min(steps, self._window)
        biases = torch.cat([block.attention.distance for block in self])  # type: ignore[union-attr]
        return banded(biases, size).split(self._heads)
