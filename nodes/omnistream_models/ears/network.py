"""The ears' network: what says for each 20 ms which phrase has just ended, if one has.

A stem of stride 2, blocks of one kind or another (`convolutions`, `conformer`), each of which sees the past only, and heads.
What it has seen is an explicit state, so that a stream in pieces gives what it gives as a whole, and streams can be batched and
reset one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnistream_models.ears.conformer import Conformer
from omnistream_models.ears.convolutions import Convolutions
from omnistream_models.ears.features import MELS
from omnistream_models.ears.shape import Shape

__all__ = ["LETTERS", "STEM", "Ears", "Heard", "Shape", "State"]

#: What CTC spells with; 0 is its blank.
LETTERS = "_ abcdefghijklmnopqrstuvwxyz'"
#: Frames that a step of the stem sees.
STEM = 6


class State(NamedTuple):
    """The past of each stream: (batch, 40, 4) log-mels, and what the blocks keep: (batch, ...), of one size for ever."""

    mels: Tensor
    blocks: Tensor


class Heard(NamedTuple):
    """For each 20 ms: `classes` (batch, steps, classes) log-probabilities, `features` (batch, steps, channels), `letters`
    (batch, steps, 29) log-probabilities."""

    classes: Tensor
    features: Tensor
    letters: Tensor


class Ears(nn.Module):
    """Log-mels (batch, 2 steps, 40) -> `Heard`, one row for each step of 20 ms."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Conv1d(MELS, shape.channels, STEM, stride=2)
        self.stem_norm = nn.BatchNorm1d(shape.channels)
        self.blocks = Conformer(shape) if shape.network == "conformer" else Convolutions(shape)
        self.classes = nn.Linear(shape.channels, shape.classes)
        self.letters = nn.Linear(shape.channels, len(LETTERS))

    def init_state(self, batch: int) -> State:
        """Streams that have heard nothing yet."""
        weight = self.stem.weight
        return State(weight.new_zeros(batch, MELS, STEM - 2), self.blocks.init_past(batch).to(weight))

    def reset(self, state: State, mask: Tensor) -> State:
        """The state with the streams forgotten for which `mask`, (batch,) bool, is true."""
        return State(*(torch.where(mask.view(-1, *[1] * (part.ndim - 1)), torch.zeros_like(part), part) for part in state))

    def step(self, chunk: Tensor, state: State) -> tuple[Heard, State]:
        """The next frames of each stream: (batch, an even number, 40), with what each has seen before."""
        mels = torch.cat([state.mels, chunk.transpose(1, 2)], dim=2)
        x, blocks = self.blocks(functional.relu(self.stem_norm(self.stem(mels))), state.blocks)
        features = functional.relu(x).transpose(1, 2)
        heard = Heard(
            functional.log_softmax(self.classes(features), -1), features, functional.log_softmax(self.letters(features), -1)
        )
        return heard, State(mels[:, :, -(STEM - 2) :], blocks)

    def forward(self, mels: Tensor) -> Heard:
        """Whole sounds at once, from silence on."""
        return self.step(mels, self.init_state(len(mels)))[0]
