"""Payloads of all types as hypothesis strategies, and what it means for two of them to be the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st

from omnistream.message import (
    INFINITY,
    Action,
    AudioChunk,
    Caption,
    Command,
    Detections,
    Event,
    Features,
    Gesture,
    Imu,
    Message,
    Pose,
    RobotState,
    Text,
    Transcript,
    VideoFrame,
)  # fmt: skip

#: All but the one key that a map may not have; hypothesis finds it in the source.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda t: t != "\0nd")
times = st.integers(-(1 << 63), (1 << 63) - 1)
floats = st.floats() | st.sampled_from([0.0, -1.5, float("nan"), float("inf")])
readings = st.dictionaries(texts, floats, max_size=4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def arrays(draw: st.DrawFn, dtypes: tuple[Any, ...], *shapes: tuple[int | None, ...]) -> np.ndarray:
    """Of one of the shapes, None being any length, zero too; whole or every second element, turned round, read-only or not."""
    shape = tuple(draw(st.integers(0, 5)) if n is None else n for n in draw(st.sampled_from(shapes)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    step = draw(st.sampled_from([1, 1, 2]))
    raw = draw(st.randoms(use_true_random=False)).randbytes(int(np.prod(shape)) * step ** len(shape) * dtype.itemsize)
    whole = np.frombuffer(raw, dtype).reshape([n * step for n in shape])
    array = whole[tuple(slice(None, None, step) for _ in shape)]
    if draw(st.booleans()):
        array = array[::-1]
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    if draw(st.booleans()):
        array = array.copy()
        array.flags.writeable = draw(st.booleans())
    return array


#: How each payload type is made.
BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    VideoFrame: st.builds(VideoFrame, arrays((np.uint8, np.uint16), (None, None), (None, None, 3)), texts),
    AudioChunk: st.builds(AudioChunk, arrays((np.int16,), (None,)), st.integers(1, 96000)),
    Text: st.builds(Text, texts, texts),
    Command: st.builds(
        Command, texts, texts, st.dictionaries(texts, texts, max_size=3), readings, floats, texts, times, times, texts
    ),
    Features: st.builds(Features, arrays((np.float32,), (None, None)), times),
    Detections: st.builds(
        Detections, arrays((np.float32,), (None, 4)), st.lists(texts, max_size=3).map(tuple), arrays((np.float32,), (None,))
    ),
    Gesture: st.builds(Gesture, texts, floats, texts, st.none() | arrays((np.float32,), (21, 3))),
    Transcript: st.builds(Transcript, texts, st.booleans(), times, times, times, times, floats, texts),
    Action: st.builds(Action, texts, st.integers(0, INFINITY), readings, texts, texts, times, texts),
    Caption: st.builds(Caption, texts, texts, st.booleans(), times, times, times, texts, texts),
    Pose: st.builds(Pose, st.tuples(floats, floats, floats), st.tuples(floats, floats, floats, floats), texts),
    RobotState: st.builds(RobotState, readings, texts),
    Imu: st.builds(Imu, st.tuples(floats, floats, floats), st.tuples(floats, floats, floats)),
    Event: st.builds(Event, texts, st.dictionaries(texts, plain, max_size=3)),
}
payloads = st.one_of(*BY_TYPE.values())
origins: Any = st.recursive(st.tuples(texts, times, times), lambda inner: st.tuples(texts, inner, times), max_leaves=3)
messages = st.builds(
    Message, texts, times, times, origins, times, times, times, st.dictionaries(texts, times, max_size=3), payloads,
    st.none() | times,
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal in type and value down to the bits of floats, whole payloads and messages too."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (a != a and b != b)
