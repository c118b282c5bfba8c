"""A detector's boxes and the picture they are of -> the same boxes by colour and kind, and a vector of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import Detections, Features, VideoFrame
from omnistream.node import Context, Node
from omnistream_models.fused.grams import split_words
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.tabletop.runtime import Glance, LooksNetwork
from omnistream_nodes.looking import in_picture, picture_fault

__all__ = ["LooksOutputs", "ObjectLooks"]


class LooksOutputs(NamedTuple):
    """`out`: the detections, named anew. `vectors`: (N, 32), a unit vector for each, 0 where nothing could be seen."""

    out: Detections
    vectors: Features | None


@dataclass(kw_only=True)
class ObjectLooks(Node):
    """Names what a plain detector found by its colour: "cup" becomes "red cup", so that "take the red cup" finds one.

    - A label gets a colour (red, blue, green, yellow, white, black) where the network is surer of it than `min_colour`, and
      none where the label has one already, or the colour is another: orange, say.
    - A label that says no kind (empty, or "object") gets one (cup, ball, box, block, bottle, plate, bowl, can, book) where the
      network is surer of it than `min_kind`: for detectors that find things and do not know them. Others keep theirs.
    - Boxes, scores and the order of detections are those that came. Of more than `most`, the surest are looked at.
    - `vectors` are of one space with names and sentences (`omnistream_models.tabletop.network`): rows are detections.

    The picture is the newest that is not later than the detections, which a detector stamps as its picture. Without one, or
    where it is not RGB, labels stay as they are; the ledger says so (`no_picture`, `refused`).

    Network: 0.2 M parameters, trained by ``omnistream train looks`` on rendered scenes; its card lies with the weights.
    `weights` is a folder of others. Raises ModelError (open) where a folder has none.

    ```yaml
    graph: looks
    nodes:
      camera: {use: recording, with: {path: graphs/recordings/table.mcap}}
      boxes: {use: recording, with: {path: graphs/recordings/table.mcap}}
      looks: {use: object_looks, inputs: {detections: boxes, frame: {from: camera, take: latest, hold: 200ms}}}
      screen: {use: console, inputs: {message: looks}}
    ```
    """

    weights: str = ""  # a folder; empty: the network that ships
    min_colour: float = 0.6
    min_kind: float = 0.6
    most: int = 32  # of so many detections the looks are known

    blocking: ClassVar[bool] = True
    inexact = {"data": 1e-3}

    def __post_init__(self) -> None:
        for name in ("min_colour", "min_kind"):
            if not 0 <= getattr(self, name) <= 1:
                raise GraphError(f"object_looks: {name} is {getattr(self, name)}; write a number from 0 to 1")
        if self.most < 1:
            raise GraphError(f"object_looks: most is {self.most}; write 1 or more")

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._network = self._loaded()
        self._network.look(np.zeros((32, 32, 3), np.uint8), np.array([[0.0, 0, 32, 32]]))

    def _loaded(self) -> LooksNetwork:
        return LooksNetwork(Path(self.weights).expanduser() if self.weights else None, self._ctx.threads)

    async def step(self, detections: Detections, frame: VideoFrame | None = None) -> LooksOutputs:
        fault = "there is no picture that the detections are of" if frame is None else picture_fault(frame)
        if frame is None or fault:
            self._ctx.report("refused" if frame else "no_picture", f"{self._ctx.name}: {fault}; labels stay as they are")
            return LooksOutputs(detections, None)
        height, width = frame.image.shape[:2]
        seen = in_picture(detections, width, height)[: self.most]
        glance = self._network.look(frame.image, detections.boxes[seen])
        labels = list(detections.labels)
        vectors = np.zeros((len(labels), glance.vectors.shape[1]), np.float32)
        vectors[seen] = glance.vectors
        for row, n in enumerate(seen):
            labels[n] = self._label(labels[n], glance, row)
        return LooksOutputs(Detections(detections.boxes, tuple(labels), detections.scores), Features(vectors))

    def _label(self, label: str, glance: Glance, row: int) -> str:
        if label in ("", KINDS[0]):
            kind = int(glance.kinds[row].argmax())
            label = KINDS[kind] if glance.kinds[row, kind] > self.min_kind else KINDS[0]
        colour = int(glance.colours[row].argmax())
        if set(split_words(label)) & set(COLOURS[1:]) or glance.colours[row, colour] <= self.min_colour or not COLOURS[colour]:
            return label
        return f"{COLOURS[colour]} {label}"
