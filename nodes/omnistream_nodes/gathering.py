"""What a reasoner's ports hold at the moment of a decision -> evidence: hands, sound, and looks for where they are needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnistream.message import MS, SECOND, Detections, Features, Gesture, VideoFrame
from omnistream.node import Recent
from omnistream_models.fused.evidence import HEARD, LOOKS, HandSeen, Look
from omnistream_models.tabletop.runtime import LooksNetwork
from omnistream_nodes.looking import picture_fault, vectors_of

__all__ = ["hands_of", "look_of", "sound_of"]

#: Of what follows the words so much is heard, too: the ears know an end a little after it.
_AFTER_NS = 80 * MS


def hands_of(gestures: Recent[Gesture], now: int) -> list[HandSeen]:
    return [HandSeen((m.stamp_ns - now) / SECOND, m.payload.landmarks) for m in gestures if m.payload.landmarks is not None]


def sound_of(heard: Recent[Features], start_ns: int, end_ns: int, refused: Callable[[str], None]) -> np.ndarray | None:
    """(T, HEARD): the rows of the words' time; None where nothing was heard then, or, as `refused` is told, by other ears."""
    rows = list[np.ndarray]()
    for message in heard:
        data = message.payload.data
        if data.ndim != 2 or data.shape[1] != HEARD:
            refused(f"sound of the shape {data.shape} is not of ears of {HEARD} channels, as in training; words alone count")
            return None
        ends = message.stamp_ns - message.payload.hop_ns * np.arange(len(data))[::-1]
        rows.append(data[(ends > start_ns) & (ends <= end_ns + _AFTER_NS)])
    found = np.concatenate(rows) if rows else np.zeros((0, HEARD), np.float32)
    return found if len(found) else None


def look_of(
    network: LooksNetwork | None, seen: Detections | None, frame: VideoFrame | None, size: tuple[int, int],
    refused: Callable[[str], None],
) -> Look | None:  # fmt: skip
    """How detections in pictures of `size` (width, height) look in a frame; `refused` is told why where that cannot be."""
    if seen is None or frame is None or network is None:
        return None

    def look(numbers: np.ndarray) -> np.ndarray:
        if not (fault := picture_fault(frame)) and frame.image.shape[1::-1] != size:
            high, wide = frame.image.shape[:2]
            fault = f"a frame has {wide}x{high} pixels, and detections are of {size[0]}x{size[1]} (width, height)"
        if fault:
            refused(fault)
            return np.zeros((len(numbers), LOOKS), np.float32)
        return vectors_of(network, frame.image, seen, numbers)

    return look
