"""The ears' network: causal separable convolutions that say for each 20 ms which phrase has just ended, if one has.

A stem of stride 2, then residual blocks (a depthwise convolution over 5 frames of a dilation, and two pointwise ones), each of
which sees the past only: 2.5 s in all. What it has seen is an explicit state, so that a stream in pieces gives what it gives
as a whole, and streams can be batched and reset one by one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnistream_models.ears.features import MELS

__all__ = ["LETTERS", "STEM", "Ears", "Heard", "Shape", "State"]

#: What CTC spells with; 0 is its blank.
LETTERS = "_ abcdefghijklmnopqrstuvwxyz'"
#: Frames that a step of the stem sees.
STEM = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """`classes` counts none, which is class 0; phrase n is class n + 1."""

    classes: int
    channels: int = 128
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    widen: int = 2

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "dilations": list(self.dilations)}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Shape:
        return cls(**{**data, "dilations": tuple(data["dilations"])})  # type: ignore[arg-type]


class State(NamedTuple):
    """The past of each stream: (batch, 40, 4) log-mels, and (batch, channels, sum of 4 dilations) of the blocks."""

    mels: Tensor
    blocks: Tensor


class Heard(NamedTuple):
    """For each 20 ms: `classes` (batch, steps, classes) log-probabilities, `features` (batch, steps, channels), `letters`
    (batch, steps, 29) log-probabilities."""

    classes: Tensor
    features: Tensor
    letters: Tensor


class _Block(nn.Module):
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
        y = self.norm_time(self.mix_time(seen))
        y = self.norm(self.narrow(functional.relu(self.widen(y))))
        return x + y, seen[:, :, -self.past :]


class Ears(nn.Module):
    """Log-mels (batch, 2 steps, 40) -> `Heard`, one row for each step of 20 ms."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Conv1d(MELS, shape.channels, STEM, stride=2)
        self.stem_norm = nn.BatchNorm1d(shape.channels)
        self.blocks = nn.ModuleList(_Block(shape, d) for d in shape.dilations)
        self.classes = nn.Linear(shape.channels, shape.classes)
        self.letters = nn.Linear(shape.channels, len(LETTERS))

    def init_state(self, batch: int) -> State:
        """Streams that have heard nothing yet."""
        weight = self.stem.weight
        past = (self.shape.kernel - 1) * sum(self.shape.dilations)
        return State(weight.new_zeros(batch, MELS, STEM - 2), weight.new_zeros(batch, self.shape.channels, past))

    def reset(self, state: State, mask: Tensor) -> State:
        """The state with the streams forgotten for which `mask`, (batch,) bool, is true."""
        keep = (~mask).to(state.mels.dtype)[:, None, None]
        return State(state.mels * keep, state.blocks * keep)

    def step(self, chunk: Tensor, state: State) -> tuple[Heard, State]:
        """The next frames of each stream: (batch, an even number, 40), with what each has seen before."""
        mels = torch.cat([state.mels, chunk.transpose(1, 2)], dim=2)
        x = functional.relu(self.stem_norm(self.stem(mels)))
        pasts: list[Tensor] = []
        at = 0
        for block in self.blocks:
            size = (self.shape.kernel - 1) * self.shape.dilations[len(pasts)]
            x, past = block(x, state.blocks[:, :, at : at + size])
            pasts.append(past)
            at += size
        features = functional.relu(x).transpose(1, 2)
        heard = Heard(
            functional.log_softmax(self.classes(features), -1), features, functional.log_softmax(self.letters(features), -1)
        )
        return heard, State(mels[:, :, -(STEM - 2) :], torch.cat(pasts, dim=2))

    def forward(self, mels: Tensor) -> Heard:
        """Whole sounds at once, from silence on."""
        return self.step(mels, self.init_state(len(mels)))[0]
