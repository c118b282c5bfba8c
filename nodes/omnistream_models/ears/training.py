"""Training the ears: frames of phrases and letters (CTC) at once, checkpointed, and the same again from the same seed."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from omnistream.errors import ModelError
from omnistream_models.ears.ahead import Ahead
from omnistream_models.ears.network import LETTERS, Ears, Heard, Shape
from omnistream_models.ears.scenes import IGNORED, Batch, Scenes

__all__ = ["Progress", "Schedule", "device_name", "loss_of", "spent", "train"]

#: The loss is so much of the frames' cross-entropy and so much of CTC's.
_FRAMES, _SPELLING = 4.0, 0.3
_WARM_UP = 0.05
_CHECKPOINT_S = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps` of `batch` scenes each, or fewer where `minutes` (0: no limit) are over first; the rate falls along a cosine."""

    steps: int
    batch: int = 16
    minutes: float = 0.0
    rate: float = 3e-3

    def part(self, step: int, elapsed_s: float) -> float:
        """How much of the training is done, from 0 to 1."""
        return min(1.0, max(step / self.steps, elapsed_s / 60 / self.minutes if self.minutes else 0.0))

    def rate_at(self, part: float) -> float:
        warm = min(1.0, part / _WARM_UP + 0.02)
        return self.rate * warm * (0.5 + 0.5 * float(np.cos(np.pi * part))) + 1e-6


@dataclass(frozen=True, slots=True)
class Progress:
    """After each step: which, how much of the training is done, and the loss."""

    step: int
    part: float
    loss: float


def loss_of(heard: Heard, batch: Batch) -> Tensor:
    """What training makes small."""
    labels = torch.from_numpy(batch.labels).to(heard.classes.device)
    frames = functional.nll_loss(heard.classes.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    spelled = [[LETTERS.index(c) for c in t.lower() if c in LETTERS[1:]] for t in batch.texts]
    steps = [heard.letters.shape[1]] * len(spelled)
    targets, given, wanted = (
        torch.tensor(n, device=labels.device) for n in ([c for s in spelled for c in s], steps, [len(s) for s in spelled])
    )
    letters = functional.ctc_loss(heard.letters.transpose(0, 1), targets, given, wanted, zero_infinity=True)
    return _FRAMES * frames + _SPELLING * letters


def train(
    start: Shape | Ears, scenes: Scenes, schedule: Schedule, seed: int, checkpoint: Path | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Ears:  # fmt: skip
    """The trained network, on the CPU, in its evaluating mode; on a GPU meanwhile where torch has one.

    It begins with chance where `start` is a shape, else with those ears. With `checkpoint` the training is written there once a
    minute and goes on from there. Raises ModelError where that file is of another training.
    """
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ears = (start if isinstance(start, Ears) else Ears(start)).to(device).train()
    optimizer = torch.optim.AdamW(ears.parameters(), lr=schedule.rate, weight_decay=0.01)
    about: dict[str, object] = {"shape": ears.shape.to_json(), "seed": seed, "batch": schedule.batch}
    if isinstance(start, Ears):
        about["start"] = hashlib.sha256(b"".join(p.detach().cpu().numpy().tobytes() for p in start.parameters())).hexdigest()
    kept = _Checkpoint(checkpoint, ears, optimizer, about)
    step, before_s = kept.read()
    begun = saved = time.monotonic()
    with Ahead(lambda n: scenes.batch(n, schedule.batch), step, gpu=device == "cuda") as batches:
        while (part := schedule.part(step, before_s + time.monotonic() - begun)) < 1:
            loss = _learn(ears, optimizer, batches.take(), schedule.rate_at(part), device)
            step += 1
            report(Progress(step, part, loss))
            if time.monotonic() - saved > _CHECKPOINT_S:
                saved = time.monotonic()
                kept.write(step, before_s + saved - begun)
    kept.write(step, before_s + time.monotonic() - begun)
    return ears.to("cpu").eval()


def _learn(ears: Ears, optimizer: torch.optim.AdamW, batch: Batch, rate: float, device: str) -> float:
    """One step of gradient descent; the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(device, torch.bfloat16, enabled=_has_bf16(device)):
        heard = ears(torch.from_numpy(batch.mels).to(device))
    loss = loss_of(Heard(*(part.float() for part in heard)), batch)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(ears.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


@functools.cache
def _has_bf16(device: str) -> bool:
    """Whether products of bfloat16 are faster there; where they are emulated they are slower by far."""
    return device == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def device_name() -> str:
    """What `train` trains on here."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"


def spent(checkpoint: Path) -> tuple[int, float]:
    """How many steps a checkpoint has behind it, and how many seconds they took."""
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        about = file.metadata()
    return int(about["step"]), float(about["elapsed_s"])


class _Checkpoint:
    """Weights and the optimizer's moments as safetensors, with where the training is in its metadata."""

    def __init__(self, path: Path | None, ears: Ears, optimizer: torch.optim.AdamW, about: dict[str, object]) -> None:
        self._path, self._ears, self._optimizer = path, ears, optimizer
        self._about = json.dumps(about, sort_keys=True)

    def write(self, step: int, elapsed_s: float) -> None:
        if self._path is None:
            return
        from safetensors.torch import save_file

        tensors = {f"ears.{k}": v for k, v in self._ears.state_dict().items()}
        for name, parameter in self._ears.named_parameters():
            tensors |= {f"optimizer.{name}.{k}": v for k, v in self._optimizer.state.get(parameter, {}).items()}
        part = self._path.with_suffix(".part")
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part,
            {"about": self._about, "step": str(step), "elapsed_s": f"{elapsed_s:.1f}"},
        )  # fmt: skip
        part.replace(self._path)

    def read(self) -> tuple[int, float]:
        """The step to go on with, and the seconds that went before it."""
        if self._path is None or not self._path.exists():
            return 0, 0.0
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, "pt") as file:
                about = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (SafetensorError, OSError) as e:
            raise ModelError(f"{self._path}: this checkpoint cannot be read ({e}); delete it to begin anew") from e
        if about.get("about") != self._about:
            raise ModelError(f"{self._path}: this checkpoint is of another training; delete it, or train into another folder")
        self._ears.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("ears.")})
        for name, parameter in self._ears.named_parameters():
            found = {k: v for k, v in tensors.items() if k.startswith(f"optimizer.{name}.")}
            self._optimizer.state[parameter] = {
                k.rpartition(".")[2]: v if k.endswith(".step") else v.to(parameter.device) for k, v in found.items()
            }
        return int(about["step"]), float(about["elapsed_s"])
