"""Payloads between workers: the same values as in files, and safe against any bytes whatever."""

from __future__ import annotations

import enum
import random
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from link_parts import same

from omnistream.errors import PayloadError
from omnistream.link.packed import LARGEST, pack_fast, unpack_fast
from omnistream.link.wire import decode_payload, encode_payload
from omnistream.message import Action, Command, Detections, Event, Features, Gesture, Pose, Text, VideoFrame

EXAMPLES = [
    encode_payload(p)
    for p in (
        VideoFrame(np.zeros((3, 4, 3), np.uint8)), Features(np.ones((2, 3), np.float32), 5), Action("go", 5, {"x_mps": 0.5}),
        Gesture("none"), Detections(np.zeros((2, 4), np.float32), ("a", "b"), np.zeros(2, np.float32)), Pose((1.0, 2.0, 3.0)),
        Event("x", {"a": [1, {"b": None}], "c": True}),
    )
]  # fmt: skip


class Words(str):
    """As parsers and translators give them."""


class Metres(float):
    pass


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    GO = "go"


def body(image: Any) -> bytes:
    return msgpack.packb({"image": image, "encoding": "rgb8"})


@pytest.mark.parametrize(
    ("place", "buffers"),
    [
        ([0, "|u1", [1 << 20, 1 << 20]], [b""]), ([0, "|u1", [1 << 30, 1 << 30, 16]], [b""]),
        ([0, "|u1", [1 << 40, 1]], [b""]), ([0, "|u1", [-1, -1]], [b""]), ([0, "|u1", [2, 2]], [b"abc"]),
        ([0, "|u1", [2, 2]], [b"abcde"]), ([1, "|u1", [1, 1]], [b"a"]), ([-1, "|u1", [1, 1]], [b"a"]),
        (["0", "|u1", [1, 1]], [b"a"]), ([True, "|u1", [1, 1]], [b"a", b"a"]), ([0, "|u1", [1, 1]], []),
        ([0, "|u1", [1.0, 1.0]], [b"a"]), ([0, "|u1", "ab"], [b"a"]), ([0, "|u1", None], [b"a"]), ([0, "|O", [1, 1]], [b"a"]),
        ([0, "<f4", [1, 1]], [b"abcd"]), ([0, ["<f4"], [1, 1]], [b"abcd"]), ([0, None, [1, 1]], [b"a"]),
        ([0, "|V1", [1, 1]], [b"a"]), ([0, "|u1", [1]], [b"a"]), ([0, "|u1", [1, 1, 1, 1]], [b"a"]), ([0, "|u1"], [b"a"]),
        (None, []), (b"a", []), ({}, []), ([0, "<i2", [1, 1]], [b"ab"]), (5, []), ("a", []),
    ],
)  # fmt: skip
def test_a_place_that_lies_about_its_array_is_refused_before_anything_is_allocated(place: Any, buffers: list[bytes]) -> None:
    data = body(place)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError):
            unpack_fast("VideoFrame", data, buffers)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "payload",
    [
        Action("go", 5, {"x_mps": 1}), Pose((1, 2, 3), (0, 0, 0, 1)), Gesture("none", 1), Gesture("none", np.float32(0.5)),
        Event("x", {"a": np.int32(3), "b": np.bool_(True), "c": [np.float64(0.5), (1, 2)]}), Gesture(np.str_("none")),
        Detections(np.zeros((1, 4), np.float32), ["a"], np.zeros(1, np.float32)), Pose([1.0, 2.0, 3.0]),
        VideoFrame(np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))),
        Features(np.zeros((4, 6), np.float32)[::2, ::3]), Text(Words("a")), Command(Word.GO, "b", {Words("c"): Words("d")}),
        Action("go", Level.HIGH, {"x_m": Metres("nan")}, chunk_index=Level.HIGH),
        Event(Words("a"), {"b": [Words("c"), Level.HIGH]}), Gesture("none", Metres(0.5)), Pose([Metres(1), 2, 3]),
    ],
)  # fmt: skip
def test_values_that_are_almost_right_cross_as_files_hold_them(payload: Any) -> None:
    kind, data, arrays = pack_fast(payload)
    assert same(unpack_fast(kind, data, [a.tobytes() for a in arrays]), decode_payload(encode_payload(payload)))


def test_mutated_payloads_are_refused_or_are_others_between_workers() -> None:
    r = random.Random(3)
    good = [pack_fast(decode_payload(data)) for data in EXAMPLES]
    taken = 0
    for _ in range(6_000):
        kind, data, arrays = r.choice(good)
        data, buffers = bytearray(data), [bytearray(a.tobytes()) for a in arrays]
        for _ in range(r.choice([1, 1, 2, 5])):
            part = r.choice([data, data, *buffers])
            at = r.randrange(len(part) + 1)
            part[at : at + r.randrange(3)] = r.randbytes(r.randrange(3))
        try:
            payload = unpack_fast(kind, bytes(data), buffers)
        except PayloadError as error:
            assert len(str(error)) < 250
            continue
        taken += 1
        assert same(decode_payload(encode_payload(payload)), payload)
    assert 0 < taken < 5_000


def test_the_key_that_marks_arrays_is_refused_by_both_forms() -> None:
    for payload in (Action("go", 5, {"\0nd": 1.0}), Event("x", {"\0nd": 1.0}), Command("a", "b", {"\0nd": "c"})):
        for form in (pack_fast, encode_payload):
            with pytest.raises(PayloadError, match="keys"):
                form(payload)
    assert pack_fast(Action("\0nd", 5, text="\0nd")).kind == "Action"


def test_what_no_connection_would_carry_is_refused_by_name() -> None:
    pack_fast(VideoFrame(np.empty((1 << 14, LARGEST >> 15), np.uint8)))
    with pytest.raises(PayloadError, match="VideoFrame of 512 MiB cannot be sent to another worker"):
        pack_fast(VideoFrame(np.empty((1 << 14, LARGEST >> 14), np.uint8)))
