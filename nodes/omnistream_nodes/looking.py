"""Boxes in a frame -> vectors of how the things in them look, of what can be looked at."""

from __future__ import annotations

import numpy as np

from omnistream.message import Detections, VideoFrame
from omnistream_models.fused.evidence import LOOKS
from omnistream_models.tabletop.runtime import LooksNetwork

__all__ = ["in_picture", "picture_fault", "vectors_of"]

_MIN_SIDE, _MAX_SIDE = 16, 8192


def picture_fault(frame: VideoFrame) -> str:
    """Why a frame is no picture that can be looked at; empty if it is one."""
    image = frame.image
    if frame.encoding != "rgb8" or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        return f"a frame is {frame.encoding} of shape {image.shape} and type {image.dtype}, not an RGB image (rgb8)"
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in image.shape[:2]):
        return f"a frame has {image.shape[1]}x{image.shape[0]} pixels, outside {_MIN_SIDE}..{_MAX_SIDE} a side"
    return ""


def in_picture(found: Detections, width: int, height: int) -> np.ndarray:
    """Numbers of the boxes of which something lies in the picture, the surest first."""
    boxes = np.nan_to_num(found.boxes.astype(np.float64), nan=-1.0)
    seen = np.minimum(boxes[:, 2:], (width, height)) - np.maximum(boxes[:, :2], 0)
    good = np.flatnonzero((seen >= 1).all(1) & np.isfinite(found.boxes).all(1))
    return good[np.argsort(-np.nan_to_num(found.scores[good]), kind="stable")]


def vectors_of(network: LooksNetwork, image: np.ndarray, found: Detections, numbers: np.ndarray) -> np.ndarray:
    """(N, LOOKS) float32 of the detections with these numbers, 0 of those that the picture does not show."""
    out = np.zeros((len(numbers), LOOKS), np.float32)
    shown = np.flatnonzero(np.isin(numbers, in_picture(found, image.shape[1], image.shape[0])))
    if len(shown):
        out[shown] = network.look(image, found.boxes[numbers[shown]]).vectors
    return out
