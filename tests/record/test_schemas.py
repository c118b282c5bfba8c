"""Whoever reads a recording without this library finds in it what its messages are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import numpy as np
import pytest
from mcap.reader import make_reader

from omnistream.message import (
    PAYLOADS,
    Action,
    AudioChunk,
    Caption,
    Command,
    Detections,
    Event,
    Features,
    Gesture,
    Imu,
    Pose,
    RobotState,
    Text,
    Transcript,
    VideoFrame,
)
from omnistream.record import RecordedMessage, RecordingWriter
from omnistream.record.schemas import schema_of

EXAMPLES = [
    VideoFrame(np.zeros((4, 6, 3), np.uint8)),
    AudioChunk(np.zeros(160, np.int16)),
    Text("go"),
    Command("forward", "go forward", {"unit": "m"}, {"distance_m": 2}),
    Features(np.zeros((2, 3), np.float32), 5),
    Detections(np.zeros((1, 4), np.float32), ("cup",), np.ones(1, np.float32)),
    Gesture("none"),
    Gesture("open_palm", 0.5, "left", np.zeros((21, 3), np.float32)),
    Transcript("go", True),
    Action("velocity", 5, {"x_mps": 0.1}),
    Caption("c", "going"),
    Pose((1.0, 2.0, 3.0)),
    RobotState({"arm_rad": 1.0}),
    Imu((0.0, 0.0, 9.8), (0.0, 0.0, 0.0)),
    Event("tick", {"i": 1, "deep": [{"x": None}]}),
]


def as_json(value: Any) -> Any:
    """Bytes are text to JSON Schema."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [as_json(v) for v in value]
    return {k: as_json(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_there_is_an_example_of_each_payload() -> None:
    assert {type(e) for e in EXAMPLES} == set(PAYLOADS.values())


@pytest.mark.parametrize("video", ["lossless", "exact"])
@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda p: type(p).__name__)
def test_a_message_is_as_its_schema_says(payload: Any, video: Any, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r.mcap", start_ns=0, video=video) as writer:
        writer.write("t.out", RecordedMessage(5, None, payload, origin=("t.out", 0, 0), cause_ns=4, lineage={"t.out": 4}))
    with (tmp_path / "r.mcap").open("rb") as file:
        ((schema, channel, message),) = make_reader(file).iter_messages()
    assert schema is not None
    assert (channel.message_encoding, schema.encoding) == ("msgpack", "jsonschema")
    described = json.loads(schema.data)
    jsonschema.Draft202012Validator.check_schema(described)
    said = msgpack.unpackb(message.data)
    jsonschema.Draft202012Validator(described).validate(as_json(said))
    if "payload" not in said:
        assert video == "exact"
        assert isinstance(payload, VideoFrame)
        return
    inner = described["properties"]["payload"]["contentSchema"]
    plain = as_json(msgpack.unpackb(said["payload"]))
    jsonschema.Draft202012Validator(inner).validate(plain)
    names = [f["title"] for f in inner["prefixItems"][0]["prefixItems"][1]["prefixItems"]]
    assert names == list(type(payload).__dataclass_fields__)
    plain[0][1].pop()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(inner).validate(plain)


def test_journals_and_truths_are_described_too() -> None:
    for name in ("omnistream.Journal", "omnistream.Truth"):
        encoding, data = schema_of(name)
        assert encoding == "jsonschema"
        jsonschema.Draft202012Validator.check_schema(json.loads(data))
