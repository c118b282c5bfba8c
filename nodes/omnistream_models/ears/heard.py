"""How well a step of the ears hears, by itself: scenes of commands in noise, one step after the other as in a node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnistream_models.ears.features import MELS
from omnistream_models.ears.network import STEM
from omnistream_models.ears.scenes import IGNORED, Batch

__all__ = ["Hearing", "feeds", "hearing", "judged", "open_step", "step_us"]

#: As `spoken_commands` asks: from this probability on some phrase is taken to have ended; so many steps beside the label count.
_ASK, _BESIDE = 0.5, 5


@dataclass(frozen=True, slots=True)
class Hearing:
    """Of `said` commands so many `right`; `false` alarms in `minutes` of sound; `loss`: cross-entropy of a step."""

    said: int
    right: int
    false: int
    minutes: float
    loss: float

    @property
    def exact(self) -> float:
        """Per cent of the commands."""
        return 100 * self.right / max(1, self.said)

    @property
    def false_a_minute(self) -> float:
        return self.false / max(1e-9, self.minutes)


def hearing(session: Any, scenes: Sequence[Batch]) -> Hearing:
    """Run a step over the scenes, each from silence on."""
    total = Hearing(0, 0, 0, 0.0, 0.0)
    frames = 0
    for batch in scenes:
        for mels, labels in zip(batch.mels, batch.labels, strict=True):
            logs = np.stack([out for out, _ in _streamed(session, mels)])
            one = judged(logs, labels)
            frames += 1
            total = Hearing(
                total.said + one.said, total.right + one.right, total.false + one.false, total.minutes + one.minutes,
                total.loss + (one.loss - total.loss) / frames,
            )  # fmt: skip
    return total


def judged(logs: np.ndarray, labels: np.ndarray) -> Hearing:
    """(steps, classes) log-probabilities against (steps,) labels of one scene.

    A command is right where the first rise of all phrases together to 0.5 at its end is its own; other rises are false alarms.
    """
    known = labels != IGNORED
    loss = float(-logs[np.flatnonzero(known), labels[known]].mean())
    ended = 1 - np.exp(logs[:, 0])
    rises = np.flatnonzero((ended >= _ASK) & (np.concatenate([[0.0], ended[:-1]]) < _ASK))
    named = np.maximum(labels, 0)
    begins = np.flatnonzero((named > 0) & (np.concatenate([[0], named[:-1]]) != named))
    right, claimed = 0, np.zeros(len(rises), bool)
    for begin in begins:
        end = begin + int(np.argmin(np.append(named[begin:] == named[begin], False)))
        mine = (rises >= begin - _BESIDE) & (rises < end + _BESIDE)
        claimed |= mine
        if mine.any():
            right += int(1 + np.argmax(logs[rises[mine][0], 1:])) == int(named[begin])
    return Hearing(len(begins), int(right), int((~claimed).sum()), len(labels) / 3000, loss)


def feeds(session: Any, batch: Batch, every: int) -> list[dict[str, np.ndarray]]:
    """What a step is given in those scenes, every so many steps: calibration for static quantization."""
    return [given for mels in batch.mels for n, (_, given) in enumerate(_streamed(session, mels)) if n % every == 0]


def step_us(session: Any, count: int = 1500) -> float:
    """Median microseconds of one step."""
    rng = np.random.default_rng(0)
    shapes = {i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()}
    given = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    given["frames"] = rng.standard_normal((1, 2, MELS)).astype(np.float32)
    took: list[int] = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        session.run(["classes", "next_mels", "next_blocks"], given)
        took.append(time.perf_counter_ns() - begun)
    return float(np.median(took)) / 1000


def open_step(path: Path) -> Any:
    """A session as a node opens it: one thread that does not spin."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _streamed(session: Any, mels: np.ndarray) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """(classes,) log-probabilities of each step of one scene (2 steps, 40), and what was given for it."""
    rows = next(i.shape for i in session.get_inputs() if i.name == "blocks")
    past, blocks = np.zeros((1, STEM - 2, MELS), np.float32), np.zeros(rows, np.float32)
    out: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for n in range(0, len(mels), 2):
        given = {"frames": mels[None, n : n + 2], "mels": past, "blocks": blocks}
        classes, past, blocks = session.run(["classes", "next_mels", "next_blocks"], given)
        out.append((classes[0, -1], given))
    return out
