"""A smaller network, or one that rounds, learns from the full one: what it says of each scene, and the truth beside it.

There is no sound in these scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.course import Course
from omnistream_models.fused.data import Data
from omnistream_models.fused.losses import by_words, whole
from omnistream_models.fused.model import SOUNDLESS, FusedModel
from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.train import Trainer

__all__ = ["missed", "taught"]

#: How much the teacher's word weighs beside the truth.
_TAUGHT = 2.0
_Said = tuple[Mapping[str, Tensor], Tensor, Mapping[str, Tensor], Tensor, Tensor]


def taught(
    student: FusedModel, teacher: FusedModel, data: Data, course: Course, seed: int, told: Callable[[int, float], None]
) -> FusedModel:
    """`student` itself, after the course. `told` gets each step and its loss."""
    pupil = _Pupil(data, student, teacher.eval(), course, seed)
    pupil.run(course.steps, told)
    return student.eval()


def missed(model: FusedModel, data: Data, seed: int, batches: int = 4) -> Tensor:
    """How far a network is from the truth of some batches: for `narrowed`."""
    teacher = _Teacher(data, seed=seed, model=model)
    return sum((teacher.misses(np.random.default_rng((seed, n, 1))) for n in range(batches)), torch.zeros(()))


class _Pupil(Trainer):
    """Trains as `Trainer` does in its third stage, at the course's rate."""

    def __init__(self, data: Data, student: FusedModel, teacher: FusedModel, course: Course, seed: int) -> None:
        super().__init__(data, seed=seed, stages=(0, 0, course.steps, 0, 0), model=student)
        self.course, self.teacher = course, _Teacher(data, seed=seed, model=teacher)

    def _rate(self) -> float:
        return self.course.rate_at(self.step)

    def _loss(self, rng: np.random.Generator) -> Tensor:
        wanted = self.teacher.says(deepcopy(rng))
        words, labels, x, y = self._batch(rng)
        found = self.model.embedded(words, labels, x, SOUNDLESS)
        return _missed(found, y) + _TAUGHT * _apart(found, wanted)


class _Teacher(Trainer):
    """Says what it makes of the same batch, which chance brings forth again."""

    def says(self, rng: np.random.Generator) -> _Said:
        with torch.no_grad():
            words, labels, x, _ = self._batch(rng)
            return self.model.embedded(words, labels, x, SOUNDLESS)

    def misses(self, rng: np.random.Generator) -> Tensor:
        """How far it is from the truth of a batch."""
        words, labels, x, y = self._batch(rng)
        return _missed(self.model.embedded(words, labels, x, SOUNDLESS), y)


def _missed(found: _Said, y: Mapping[str, Tensor]) -> Tensor:
    said, enough, heads, target, _ = found
    return whole(heads, target, y) + 0.5 * by_words(said, enough, y)


def _apart(found: _Said, wanted: _Said) -> Tensor:
    """Kullback-Leibler divergence of all that is said, for a scene, heads of the words alone at half weight."""
    total = _divergence(found[3], wanted[3])
    for part, weight in ((0, 0.5), (2, 1.0)):
        ours, theirs = found[part], wanted[part]
        assert isinstance(ours, Mapping)
        assert isinstance(theirs, Mapping)
        total = total + weight * sum((_divergence(ours[n], theirs[n]) for n in HEADS), torch.zeros(()))
        if "needs" in ours:
            total = total + F.binary_cross_entropy_with_logits(ours["needs"], theirs["needs"].sigmoid())
    return total + F.binary_cross_entropy_with_logits(found[1], wanted[1].sigmoid())


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    return F.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), reduction="batchmean", log_target=True)
