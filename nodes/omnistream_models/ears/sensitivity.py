"""What each layer costs when it alone is in int8, and each way to quantize all of them: on voices that choose thresholds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnistream_models.ears.heard import Hearing, feeds, hearing, open_step, step_us
from omnistream_models.ears.scenes import Batch
from omnistream_models.int8 import DYNAMIC, WAYS, layers_of, write_int8

__all__ = ["Cost", "costs_by_layer", "costs_by_way", "float_layers"]

#: A layer stays in float where it alone costs so many points of the commands and so large a part of the loss: both, because
#: one command of three hundred is a third of a point and falls either way.
_POINTS, _LOSS = 0.5, 0.02


@dataclass(frozen=True, slots=True)
class Cost:
    """`what` was quantized, and what came of it beside the float step. Size and time are of whole steps alone."""

    what: str
    points: float
    loss: float
    false_a_minute: float
    bytes: int = 0
    us: float = 0.0

    @classmethod
    def of(cls, what: str, made: Hearing, full: Hearing, size: int = 0, us: float = 0.0) -> Cost:
        return cls(what, full.exact - made.exact, made.loss / full.loss - 1, made.false_a_minute, size, us)


def costs_by_layer(step: Path, full: Hearing, scenes: Sequence[Batch], told: Callable[[], None]) -> list[Cost]:
    """Each layer alone in int8, in the order of the layers. `told` is called after each."""
    found: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.onnx"
        for layer in layers_of(step):
            write_int8(step, one, [layer])
            session = open_step(one)
            found.append(Cost.of(layer, hearing(session, scenes), full))
            told()
    return found


def costs_by_way(step: Path, full: Hearing, scenes: Sequence[Batch], learned: Batch) -> list[Cost]:
    """All layers in int8, each way. `learned`: scenes of training, which calibrate the static ones."""
    found: list[Cost] = []
    calibration = feeds(open_step(step), learned, every=7)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.onnx"
        for way in WAYS:
            write_int8(step, made, layers_of(step), way, calibration)
            session = open_step(made)
            name = f"{way} (taken)" if way == DYNAMIC else str(way)
            found.append(Cost.of(name, hearing(session, scenes), full, made.stat().st_size, step_us(session)))
    return found


def float_layers(costs: Sequence[Cost]) -> list[str]:
    """Those that cost too much."""
    return [c.what for c in costs if c.points > _POINTS and c.loss > _LOSS]
