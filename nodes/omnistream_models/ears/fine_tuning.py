"""Learning a little more with the full ears as teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from omnistream_models.course import Course
from omnistream_models.ears.ahead import Ahead
from omnistream_models.ears.products import Products
from omnistream_models.ears.scenes import Scenes
from omnistream_models.ears.training import loss_of

__all__ = ["fine_tuned"]

#: How much the teacher's word weighs (Kullback-Leibler of the classes, a frame) beside the loss that it was trained with.
_TAUGHT = 4.0
#: Batches before this one are those of training: what is learned here are other scenes of the same voices.
_FIRST_BATCH = 100_000


def fine_tuned(
    student: Products, teacher: Products, scenes: Scenes, course: Course, told: Callable[[int, float], None] = lambda *_: None
) -> Products:
    """`student` itself, trained on, on a GPU meanwhile where torch has one. `told` gets each step and its loss."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    student.to(device).train()
    teacher.to(device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=course.rate, weight_decay=0.01)
    with Ahead(lambda n: scenes.batch(n, course.batch), _FIRST_BATCH, gpu=device == "cuda") as batches:
        for step in range(course.steps):
            batch = batches.take()
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
