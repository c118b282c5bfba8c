"""A camera's frames -> the gesture that a hand shows, and a stop event when it is an open palm."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from omnistream.errors import GraphError
from omnistream.message import MS, Event, Gesture, VideoFrame
from omnistream.node import Context, Node
from omnistream_nodes import hand, palm
from omnistream_nodes.crop import Crop
from omnistream_nodes.hand_shape import classify

__all__ = ["HandGesture", "HandOutputs"]

#: Frames further apart than this are no sequence: tracking, smoothing and counting begin anew.
_MAX_GAP_NS = 500 * MS
_MIN_SIDE, _MAX_SIDE = 16, 8192


class HandOutputs(NamedTuple):
    """`out`: on every frame that shows a hand, and once as "none" when it has gone. `stop`: once for each open palm."""

    out: Gesture | None
    stop: Event | None


class _Model:
    """One TFLite model of one float32 input; the order of its outputs is that of their names."""

    def __init__(self, name: str, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from omnistream_models import model_path

        # LiteRT 2.3 says on stderr that it made its CPU delegate; nothing in its Python package, and no variable, reaches that
        # logger, and stderr is not ours alone to turn away.
        self._run: Any = Interpreter(str(model_path(name)), num_threads=threads)
        self._run.allocate_tensors()
        self._input = self._run.get_input_details()[0]["index"]
        self._outputs = [o["index"] for o in sorted(self._run.get_output_details(), key=lambda o: o["name"])]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        self._run.set_tensor(self._input, image[None])
        self._run.invoke()
        return [self._run.get_tensor(i) for i in self._outputs]


@dataclass(kw_only=True)
class HandGesture(Node):
    """RGB frames (H, W, 3) uint8 of any, also of changing, size -> the gesture of one hand; an open palm is a stop.

    Gestures are point_left, point_right and point_up (the index finger alone, or the thumb alone to a side), open_palm,
    thumbs_up and none. Directions are those of the image: the camera's, so the robot's, own left and right. A person who faces
    the robot and points to their right points to its left. `mirror: true` is for cameras that deliver a mirror image.

    The palm detector runs only while no hand is known; afterwards the hand is followed from frame to frame. Where several
    hands are in sight, one is read: the likeliest at first, then the same one until it is lost. `out` is the vote of the last
    `smooth_frames` frames. `stop` trusts no vote: it is sent when `stop_frames` frames in a row surely show an open palm, and
    again only after as many have not. It is an Event "stop" with `gesture` and `confidence`.

    Variants: `full`; `half_rate`, which looks at every second frame only and gives nothing for the others, so that
    `stop_frames` frames, and what `smooth_frames` smooths, take twice as long; `small`, which does so with smaller models that
    are right less often (of 99 test pictures 89, rather than 99).

    Frames that are not RGB are reported as `refused` and skipped. Raises ModelError (open) where weights are missing.
    Models: MediaPipe palm_detection and hand_landmark, full and lite (Apache-2.0; Zhang et al., arXiv:2006.10214).

    ```yaml
    graph: hands
    nodes:
      camera: {use: recording, with: {path: graphs/recordings/voice_robot.mcap}}
      hands: {use: hand_gesture, inputs: {frame: {from: camera, queue: newest}}, with: {stop_frames: 2}}
      screen: {use: console, inputs: {message: {from: [hands, hands.stop]}}}
    ```
    """

    min_palm: float = 0.5  # the palm detector's score for a hand to be looked at
    min_presence: float = 0.5  # the landmark model's, for it to be a hand
    min_stop: float = 0.75  # the confidence of an open palm that counts for a stop
    stop_frames: int = 2
    smooth_frames: int = 3
    mirror: bool = False  # the camera delivers a mirror image

    # Inference takes 7-15 ms and lets other threads run; the hop costs 0.2 ms.
    blocking: ClassVar[bool] = True
    inexact = {"confidence": 1e-3, "landmarks": 1e-3, "data": 1e-3}
    variants = ("full", "half_rate", "small")

    def __post_init__(self) -> None:
        for name in ("stop_frames", "smooth_frames"):
            if getattr(self, name) < 1:
                raise GraphError(f"hand_gesture: {name} is {getattr(self, name)}; write 1 or more")
        for name in ("min_palm", "min_presence", "min_stop"):
            if not 0 < getattr(self, name) < 1:
                raise GraphError(f"hand_gesture: {name} is {getattr(self, name)}; write a number between 0 and 1")

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._models = {
            size: (_Model(f"palm_detection{size}", ctx.threads), _Model(f"hand_landmark{size}", ctx.threads))
            for size in ("", "_lite")
        }
        for palms, points in self._models.values():
            palms(np.zeros((palm.SIDE, palm.SIDE, 3), np.float32))
            points(np.zeros((hand.SIDE, hand.SIDE, 3), np.float32))
        self._left_out = False
        self._seen_ns = 0
        self._shape: tuple[int, ...] = ()
        self._present = False
        self._votes: deque[tuple[str, float]] = deque(maxlen=self.smooth_frames)
        self._restart()

    async def step(self, frame: VideoFrame) -> HandOutputs | None:
        image = frame.image
        if (fault := _fault(frame)) is not None:
            self._ctx.report("refused", f"{self._ctx.name}: a frame is {fault}; hand_gesture reads RGB images (encoding rgb8)")
            return None
        if self._ctx.now - self._seen_ns > _MAX_GAP_NS:
            self._restart()
        if image.shape != self._shape:
            self._crop, self._shape = None, image.shape
        self._seen_ns = self._ctx.now
        self._left_out = self._ctx.variant in ("half_rate", "small") and not self._left_out
        if self._left_out:
            return None
        self._palm, self._landmarks = self._models["_lite" if self._ctx.variant == "small" else ""]
        found = self._find(image)
        if found is None:
            self._count_palm("", 0.0)
            self._votes.clear()
            was_present, self._present = self._present, False
            return HandOutputs(Gesture("none"), None) if was_present else None
        self._present = True
        name, confidence = classify(found.points, self.mirror)
        stop = self._count_palm(name, confidence * found.presence)
        self._votes.append((name, confidence * found.presence))
        height, width = image.shape[:2]
        scaled = (found.points / (width, height, width)).astype(np.float32)
        voted, weight = self._vote()
        return HandOutputs(Gesture(voted, weight, found.side, scaled), stop)

    def _find(self, image: np.ndarray) -> hand.Hand | None:
        """The hand that is followed, else one that the palm detector finds."""
        if self._crop is not None:
            found = self._read(image, self._crop)
            if found is not None:
                return found
        seen = palm.whole_image(*image.shape[:2])
        boxes, scores = self._palm(seen.sample(image, palm.SIDE))
        for likely in palm.decode(boxes, scores, self.min_palm)[:2]:
            found = self._read(image, palm.hand_crop(likely, seen))
            if found is not None:
                return found
        self._crop = None
        return None

    def _read(self, image: np.ndarray, crop: Crop) -> hand.Hand | None:
        points, presence, right, _ = self._landmarks(crop.sample(image, hand.SIDE))
        if not (presence.item() >= self.min_presence and np.isfinite(points).all()):
            return None
        found = hand.decode(points, float(presence.item()), float(right.item()), crop, self.mirror)
        self._crop = hand.next_crop(found.points)
        return found

    def _count_palm(self, name: str, confidence: float) -> Event | None:
        """Count sure open palms, and frames without, in a row; a stop at the `stop_frames`th of an appearance."""
        if name != "open_palm" or confidence < self.min_stop:
            self._palms, self._others = 0, self._others + 1
            if self._others >= self.stop_frames:
                self._stopped = False
            return None
        self._palms, self._others = self._palms + 1, 0
        if self._stopped or self._palms < self.stop_frames:
            return None
        self._stopped = True
        return Event("stop", {"gesture": "open_palm", "confidence": round(confidence, 4)})

    def _vote(self) -> tuple[str, float]:
        """The name with the most confidence among the last frames, the newest where two are equal, and its mean confidence."""
        total: Counter[str] = Counter()
        for name, confidence in reversed(self._votes):
            total[name] += confidence  # type: ignore[assignment]
        name, weight = total.most_common(1)[0]
        return name, float(weight) / len(self._votes)

    def _restart(self) -> None:
        """Forget what was seen; a palm that is still there counts, and stops, anew."""
        self._crop: Crop | None = None
        self._votes.clear()
        self._palms = self._others = 0
        self._stopped = False


def _fault(frame: VideoFrame) -> str | None:
    image = frame.image
    if frame.encoding != "rgb8" or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        return f"{frame.encoding} of shape {image.shape} and type {image.dtype}"
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in image.shape[:2]):
        return f"{image.shape[1]}x{image.shape[0]} pixels, outside {_MIN_SIDE}..{_MAX_SIDE} a side"
    return None
