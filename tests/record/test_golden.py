"""Golden files: read back as they were written, refused if they are none, and compared message by message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.errors import RecordingError
from omnistream.message import MS, Action, Event, Features, Gesture, Message, Payload, Text, VideoFrame
from omnistream.record.compare import difference
from omnistream.record.golden import About, Golden, read_golden, write_golden

T0 = 1_000_000 * MS
INEXACT = {"eye": {"confidence": 1e-3, "landmarks": 1e-2}, "drive": {}}


def message(payload: Payload, at_ms: int, stream: str = "drive.out") -> Message[Any]:
    stamp = T0 + at_ms * MS
    return Message(stream, 0, 0, (stream, 0, 0), stamp, stamp, stamp, {"mic.out": stamp - MS}, payload)


def golden(*messages: Message[Any], where: str = "robot.action", **about: Any) -> Golden:
    found = Golden(About("g", "r.mcap", **about))
    for m in messages:
        found.add(where, m, INEXACT.get(m.stream.partition(".")[0], {}))
    return found


def told(then: Golden, now: Golden) -> str | None:
    return difference(then, now, INEXACT, T0, "golden.jsonl")


PAYLOADS: list[Payload] = [
    Action("velocity", T0 + 500 * MS, {"x_mps": 0.1 + 0.2, "yaw_radps": -0.0}, text="größer"),
    Text("日本"),
    Event("e", {"n": None, "list": [1, 2.5, {"deep": True}], "big": 1 << 63}),
    Gesture("point_left", 0.75, "", np.arange(63, dtype=np.float32).reshape(21, 3)),
    Features(np.full((3, 4), np.nan, np.float32)),
    VideoFrame(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)),
]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "golden.jsonl"
    made = golden(*(message(p, 10 * i) for i, p in enumerate(PAYLOADS)), from_ns=5, digest="ab")
    made.add("glasses.caption", message(Text("hi"), 3), {})
    write_golden(file, made)
    again = read_golden(file)
    assert again.about == made.about
    assert told(again, made) is None
    assert told(made, again) is None
    assert len(file.read_text().splitlines()) == len(PAYLOADS) + 2


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        (message(Action("velocity", T0 + 500 * MS, {"x_mps": 0.25}), 100), ["values.x_mps", "0.3", "0.25"]),
        (message(Action("velocity", T0 + 600 * MS, {"x_mps": 0.3}), 100), ["valid_until_ns", "0.500 s", "0.600 s"]),
        (message(Action("stop", T0 + 500 * MS, {"x_mps": 0.3}), 100), ["kind", "'velocity'", "'stop'"]),
        (message(Action("velocity", T0 + 500 * MS, {"x_mps": 0.3}), 140), ["stamp", "0.100 s", "0.140 s"]),
        (message(Action("velocity", T0 + 500 * MS), 100), ["values.x_mps", "0.3", "None"]),
        (message(Text("go"), 100), ["type", "'Action'", "'Text'"]),
        (None, ["message", "Action of drive.out", "none"]),
    ],
)
def test_the_first_difference_is_shown_side_by_side(now: Message[Any] | None, lines: list[str]) -> None:
    first = message(Action("velocity", T0 + 400 * MS, {"x_mps": 0.3}), 50)
    then = golden(first, message(Action("velocity", T0 + 500 * MS, {"x_mps": 0.3}), 100))
    text = told(then, golden(first, *([now] if now else [])))
    assert text is not None
    head, titles, *rows = text.splitlines()
    assert head == "robot.action, message 2 at 0.100 s, is not as in golden.jsonl"
    assert titles.split() == ["golden", "now"]
    assert all(word in rows[0] for word in lines), rows
    assert "mic.out up to 0." in rows[-1], "the inputs that led there"


def test_the_earliest_of_several_places_is_the_first() -> None:
    then, now = golden(message(Text("a"), 300)), golden(message(Text("b"), 300))
    for found, text in ((then, "c"), (now, "d")):
        found.add("glasses.caption", message(Text(text), 200), {})
    text = told(then, now)
    assert text is not None
    assert text.startswith("glasses.caption, message 1 at 0.200 s")


@pytest.mark.parametrize(
    ("value", "point", "equal"),
    [(0.7505, 1.0, True), (0.752, 1.0, False), (0.75, 1.005, True), (0.75, 1.05, False), (0.75, 100.5, False)],
)
def test_declared_fields_have_their_tolerance(value: float, point: float, equal: bool) -> None:
    def seen(confidence: float, x: float) -> Golden:
        points = np.ones((21, 3), np.float32)
        points[4, 1] = x
        return golden(message(Gesture("none", confidence, "", points), 10, "eye.out"))

    text = told(seen(0.75, 1.0), seen(value, point))
    assert (text is None) == equal, text
    if text is not None and value == 0.75:
        assert "landmarks[4, 1]" in text
        assert "(1 of 63 differ)" in text


def test_a_difference_of_a_last_digit_is_one_where_nothing_is_declared() -> None:
    text = told(golden(message(Action("v", 0, {"x": 0.3}), 1)), golden(message(Action("v", 0, {"x": 0.1 + 0.2}), 1)))
    assert text is not None
    assert "0.30000000000000004" in text


def test_large_arrays_are_compared_by_their_hash() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    other = image.copy()
    other[7, 7, 0] = 1
    assert told(golden(message(VideoFrame(image), 1)), golden(message(VideoFrame(image.copy()), 1))) is None
    assert "image" in str(told(golden(message(VideoFrame(image), 1)), golden(message(VideoFrame(other), 1))))


@pytest.mark.parametrize(
    ("about", "said"), [({"kind": "as recorded"}, "another kind of replay"), ({"to_ns": 9}, "another part of replay")]
)
def test_what_cannot_be_compared_is_told(about: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        told(golden(), golden(**about))


GOOD = '{"golden": 1, "graph": "g", "recording": "r", "kind": "fresh", "from_ns": null, "to_ns": null, "digest": ""}\n'


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "7", '{"golden": 2}', '{"golden": 1, "strange": 1}', '{"golden": 1, "graph": 7}', GOOD + "[1]",
        GOOD + "{}",
        GOOD + '{"at": "a", "stream": 7, "stamp_ns": 1, "type": "T", "fields": {}, "lineage": {}}',
        GOOD + '{"at": "a", "stream": "s", "stamp_ns": 1, "type": "T", "fields": 7, "lineage": {}}',
        GOOD + '{"at": "a", "stream": "s", "stamp_ns": 1, "type": "T", "fields": {}, "lineage": {"s": "x"}}',
        GOOD + "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_golden_file_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "g.jsonl"
    file.write_text(text)
    with pytest.raises(RecordingError, match="g.jsonl"):
        read_golden(file)


@pytest.mark.parametrize(
    "array", [{"dtype": "O", "shape": [1]}, {"dtype": "<f4", "shape": [9], "base64": "AAAA"}, {"shape": 1}]
)
def test_an_array_that_is_none_is_a_difference(array: dict[str, Any]) -> None:
    then, now = (
        golden(message(Features(np.ones((1, 1), np.float32)), 1)),
        golden(message(Features(np.ones((1, 1), np.float32)), 1)),
    )
    then.seen["robot.action"][0]["fields"]["data"] = array  # type: ignore[index]
    assert "data" in str(told(then, now))


def test_a_folder_that_is_not_there_and_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"):
        write_golden(tmp_path / "no" / "g.jsonl", golden())
    with pytest.raises(RecordingError, match="cannot be read"):
        read_golden(tmp_path / "none.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match="no golden file"):
        read_golden(tmp_path / "bytes")
