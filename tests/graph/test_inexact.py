"""Fields that a node declares inexact: what may be declared, and what a digest then leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from omnistream.errors import GraphError
from omnistream.graph.describe import describe
from omnistream.graph.inexact import inexact_of
from omnistream.link.inexact import exact_buffers
from omnistream.link.wire import buffers_of
from omnistream.message import Command, Detections, Event, Gesture, Payload, Text, VideoFrame
from omnistream.node import Node, ports_of


@dataclass(kw_only=True)
class Sees(Node):
    inexact = {"confidence": 1e-3, "landmarks": 0.5}

    async def step(self, frame: VideoFrame) -> Gesture | Event: ...


@dataclass(kw_only=True)
class Names(Node):
    async def step(self, text: Text) -> Command | VideoFrame: ...


def declared(cls: type[Node], said: Any) -> Any:
    return inexact_of(type("Other", (cls,), {"inexact": said}), ports_of(cls))


def test_what_is_declared_is_known_of_the_node() -> None:
    assert inexact_of(Sees, ports_of(Sees)) == {"confidence": 1e-3, "landmarks": 0.5}
    assert inexact_of(Names, ports_of(Names)) == {}
    assert describe("speech_recognizer").inexact == {"confidence": 2e-3}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"confidense": 1e-3}, "did you mean 'confidence'?"),
        ({"text": 1e-3}, "no field with floats"),
        ({"start_ns": 1e-3}, "no field with floats"),
        ({"image": 1e-3}, "no field with floats"),
        ({"confidence": 0}, "write a number above 0"),
        ({"confidence": True}, "write a number above 0"),
        ({"confidence": float("nan")}, "write a number above 0"),
        (["confidence"], "write a map of fields and tolerances"),
        ({7: 1e-3}, "write a map of fields and tolerances"),
    ],
)
def test_what_cannot_be_is_told(said: Any, told: str) -> None:
    with pytest.raises(GraphError, match="inexact") as caught:
        declared(Names, said)
    assert told in str(caught.value)


def digest(payload: Payload, *fields: str) -> bytes:
    return b"".join(bytes(b) for b in exact_buffers(payload, fields))


def boxes(x: float, count: int = 2) -> Detections:
    return Detections(np.full((count, 4), x, np.float32), ("a", "b")[:count], np.full(count, x, np.float32))


def test_only_the_floats_of_the_fields_named_are_left_out() -> None:
    one, other = Command("go", "go", values={"distance_m": 1.0}, confidence=0.5), None
    other = Command("go", "go", values={"distance_m": 1.5}, confidence=0.25)
    assert digest(one) == b"".join(bytes(b) for b in buffers_of(one)) != digest(other)
    assert digest(one, "confidence") != digest(other, "confidence")
    assert digest(one, "confidence", "values") == digest(other, "confidence", "values")
    assert digest(one, "values") != digest(Command("go", "go", values={"angle_rad": 1.0}, confidence=0.5), "values")


def test_of_arrays_the_shape_stays() -> None:
    assert digest(boxes(1), "boxes") != digest(boxes(2), "boxes"), "the scores are still there"
    assert digest(boxes(1), "boxes", "scores") == digest(boxes(2), "boxes", "scores")
    assert digest(boxes(1), "boxes", "scores") != digest(boxes(1, 1), "boxes", "scores")


def test_of_free_data_all_but_floats_stays() -> None:
    def said(probability: float, at_ns: int = 7) -> Event:
        return Event("speech", {"at_ns": at_ns, "deep": [{"probability": probability}], "on": True})

    assert digest(said(0.25), "data") == digest(said(0.75), "data")
    assert digest(said(0.25), "data") != digest(said(0.25, at_ns=8), "data")
    assert digest(Gesture("none", landmarks=None), "landmarks") == digest(Gesture("none"), "landmarks")
