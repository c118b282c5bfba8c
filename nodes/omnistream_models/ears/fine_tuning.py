"""Learning a little more with the full ears as teacher: with int8 in mind, or with fewer channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from omnistream_models.ears.int8 import LEVELS
from omnistream_models.ears.products import Products
from omnistream_models.ears.scenes import Scenes
from omnistream_models.ears.training import loss_of

__all__ = ["Course", "fine_tuned", "quantization_aware"]

#: How much the teacher's word weighs (Kullback-Leibler of the classes, a frame) beside the loss that it was trained with.
_TAUGHT = 4.0
_WARM = 0.05
#: Batches before this one are those of training: what is learned here are other scenes of the same voices.
_FIRST_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Course:
    """`steps` of `batch` scenes, at a rate that falls along a cosine."""

    steps: int
    rate: float
    batch: int = 16

    def rate_at(self, step: int) -> float:
        part = step / self.steps
        return self.rate * min(1.0, part / _WARM + 0.02) * (0.5 + 0.5 * float(np.cos(np.pi * part))) + 1e-6


def fine_tuned(
    student: Products, teacher: Products, scenes: Scenes, course: Course, told: Callable[[int, float], None] = lambda *_: None
) -> Products:
    """`student` itself, trained on, on a GPU meanwhile where torch has one. `told` gets each step and its loss."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    student.to(device).train()
    teacher.to(device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=course.rate, weight_decay=0.01)
    with ThreadPoolExecutor(1, "scenes") as ahead:
        following = ahead.submit(scenes.batch, _FIRST_BATCH, course.batch)
        for step in range(course.steps):
            batch = following.result()
            following = ahead.submit(scenes.batch, _FIRST_BATCH + step + 1, course.batch)
            mels = torch.from_numpy(batch.mels).to(device)
            with torch.no_grad():
                wanted = teacher(mels).classes
            heard = student(mels)
            apart = functional.kl_div(heard.classes, wanted, reduction="none", log_target=True).sum(-1).mean()
            loss = loss_of(heard, batch) + _TAUGHT * apart
            for group in optimizer.param_groups:
                group["lr"] = course.rate_at(step)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            told(step + 1, float(loss.detach()))
    teacher.to("cpu")
    return student.to("cpu").eval()


def quantization_aware(student: Products, layers: Sequence[str], tune: Callable[[Products], Products]) -> Products:
    """`tune` the student while its `layers` compute as they will in int8; weights come back as whole steps of their range.

    Rounding lets gradients through as if it were not there (Bengio et al. 2013, straight-through).
    """
    products = [student.get_submodule(name) for name in layers]
    hooks = [module.register_forward_pre_hook(_rounded_input) for module in products]
    for module in products:
        parametrize.register_parametrization(module, "weight", _RoundedWeight())
    tuned = tune(student)
    for module in products:
        parametrize.remove_parametrizations(module, "weight")
    for hook in hooks:
        hook.remove()
    return tuned


class _RoundedWeight(nn.Module):
    """As `write_int8` rounds: one symmetric range."""

    def forward(self, weight: Tensor) -> Tensor:
        scale = weight.detach().abs().amax() / LEVELS
        return weight + (torch.round(weight / scale) * scale - weight).detach()


def _rounded_input(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    """As DynamicQuantizeLinear (ONNX) rounds: 255 steps of the range of this step's values, which holds 0."""
    (x,) = given
    low, high = x.detach().amin(-1, keepdim=True).clamp(max=0), x.detach().amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-8)
    zero = torch.round(-low / scale)
    rounded = (torch.round(x / scale) + zero).clamp(0, 255) - zero
    return (x + (rounded * scale - x).detach(),)
