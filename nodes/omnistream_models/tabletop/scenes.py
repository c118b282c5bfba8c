"""Pictures of tables with exact truth: what stands where on the table and in the picture, by seed and number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused.world import SIZE, Thing
from omnistream_models.tabletop.setting import Setting, drawn_setting
from omnistream_models.tabletop.stage import Shot, Stage

__all__ = ["Tabletop", "Tabletops"]

#: So many pictures share one stage.
_ON_ONE_STAGE = 40
#: Of a thing's box so much is to be seen at least, and so many pixels of it.
_SEEN, _PIXELS = 0.55, 30
_TRIES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Tabletop:
    """`image` (H, W, 3) uint8 RGB; `things`; `boxes` (N, 4) float32: x0 y0 x1 y1 of what is to be seen of each."""

    image: np.ndarray
    things: tuple[Thing, ...]
    boxes: np.ndarray
    setting: Setting

    @property
    def detections(self) -> Detections:
        """What a faultless detector sees: labels are colour and kind."""
        labels = tuple(" ".join(w for w in (t.colour, t.kind) if w) for t in self.things)
        return Detections(self.boxes, labels, np.ones(len(labels), np.float32))


class Tabletops:
    """The pictures of a seed, of training or of tests; stages are kept while they are of use.

    Raises ModelError where MuJoCo cannot render here.
    """

    def __init__(self, seed: int, *, test: bool) -> None:
        self._seed, self._test = seed, test
        self._stages: OrderedDict[int, Stage] = OrderedDict()

    def __getitem__(self, number: int) -> Tabletop:
        """The picture of a number: always the same. Every thing in it is to be seen for the most part."""
        stage, rng = self._stage(number // _ON_ONE_STAGE), np.random.default_rng((self._seed, number, int(self._test), 1))
        for _ in range(_TRIES):
            setting = drawn_setting(rng, test=self._test)
            found = _seen(stage.shoot(setting, rng), setting)
            if found is not None:
                return found
        raise AssertionError(f"tabletop {number} of seed {self._seed}: in {_TRIES} draws something was always hidden")

    def close(self) -> None:
        """Give the memory of OpenGL back."""
        while self._stages:
            self._stages.popitem()[1].close()

    def _stage(self, number: int) -> Stage:
        if number not in self._stages:
            while self._stages:
                self._stages.popitem()[1].close()
            self._stages[number] = Stage(self._seed, number, test=self._test)
        return self._stages[number]


def _seen(shot: Shot, setting: Setting) -> Tabletop | None:
    """The picture with its truth; None where something is hidden for the most part, or out of the picture."""
    boxes = np.zeros((len(setting.things), 4), np.float32)
    for n, (x0, y0, x1, y1) in enumerate(shot.whole):
        rows, columns = np.nonzero(shot.owners == n)
        if len(rows) < _PIXELS or x0 < -2 or y0 < -2 or x1 > SIZE[0] + 2 or y1 > SIZE[1] + 2:
            return None
        boxes[n] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        if (boxes[n, 2] - boxes[n, 0]) * (boxes[n, 3] - boxes[n, 1]) < _SEEN * (x1 - x0) * (y1 - y0):
            return None
    return Tabletop(shot.image, setting.things, boxes, setting)
