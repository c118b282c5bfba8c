"""Payloads as bytes: there and back, canonical, and safe against any bytes whatever."""

from __future__ import annotations

import dataclasses
import random
import re
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from link_parts import BY_TYPE, messages, payloads, same

from omnistream.errors import PayloadError
from omnistream.link.batch import decode_batch, encode_batch
from omnistream.link.packed import pack_fast, unpack_fast
from omnistream.link.wire import decode_payload, encode_payload, pack, unpack
from omnistream.message import (
    INFINITY,
    PAYLOADS,
    Action,
    AudioChunk,
    Detections,
    Event,
    Features,
    Gesture,
    Pose,
    Text,
    VideoFrame,
)  # fmt: skip

ARRAY = "\0nd"


def laws(examples: int) -> settings:
    return settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


def refused(data: bytes) -> str:
    with pytest.raises(PayloadError) as error:
        decode_payload(data)
    return str(error.value)


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BY_TYPE, ids=lambda kind: kind.__name__)
def test_a_payload_comes_back_as_it_was(kind: type) -> None:
    @given(BY_TYPE[kind])
    @laws(40)
    def there_and_back(payload: Any) -> None:
        data = encode_payload(payload)
        assert same(decode_payload(data), payload)
        assert encode_payload(decode_payload(data)) == data

    there_and_back()


@pytest.mark.parametrize("size", [0, 255, 256, 65_535, 65_536, 921_600])
def test_canonical_bytes_are_plain_msgpack(size: int) -> None:
    payload = AudioChunk(np.arange(size // 2, dtype=np.int16)[::-1])
    header, arrays = pack(payload)
    assert encode_payload(payload) == msgpack.packb([header, [a.tobytes() for a in arrays]])


@given(messages)
@laws(200)
def test_a_message_comes_back_as_it_was(message: Any) -> None:
    parts = [bytes(p) for p in encode_batch("a", 0, 0, [("m", 1, 2, False, message)])]
    assert same(decode_batch(parts)[3][0][4], message)


@given(payloads)
@laws(200)
def test_both_codecs_hold_the_same(payload: Any) -> None:
    """What crosses to another worker is what a file would give back."""
    kind, body, arrays = pack_fast(payload)
    assert same(unpack_fast(kind, body, [a.tobytes() for a in arrays]), decode_payload(encode_payload(payload)))


@given(payloads)
@laws(100)
def test_canonical_bytes_are_those_of_msgpack(payload: Any) -> None:
    """Which are in recordings already: whoever encodes them has to give the same."""
    header, arrays = pack(payload)
    assert encode_payload(payload) == msgpack.packb([header, [a.tobytes() for a in arrays]])


def test_no_payload_type_is_forgotten_here() -> None:
    assert list(BY_TYPE) == list(PAYLOADS.values())


def test_arrays_come_back_as_read_only_views_and_go_without_a_copy() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    message = dataclasses.replace(example_message(), payload=VideoFrame(image))
    kind, body, arrays = pack_fast(message.payload)
    assert arrays[0] is image
    crossed = unpack_fast(kind, body, [image.tobytes()]).image
    assert not crossed.flags.writeable
    buffers = [memoryview(image).cast("B")]
    crossed = unpack_fast(kind, body, buffers).image
    assert np.shares_memory(crossed, image)
    with pytest.raises(ValueError, match="read-only"):
        crossed[0, 0, 0] = 1


# -- canonical ------------------------------------------------------------------------------------


def shuffled(value: Any, r: random.Random) -> Any:
    """An equal value, put together in another order and with other strides."""
    if isinstance(value, dict):
        return {k: shuffled(value[k], r) for k in r.sample(sorted(value), len(value))}
    if isinstance(value, list):
        return [shuffled(v, r) for v in value]
    if isinstance(value, np.ndarray):
        return np.asfortranarray(value.copy())
    return value


@given(payloads, st.randoms(use_true_random=False))
@laws(200)
def test_equal_payloads_give_equal_bytes(payload: Any, r: random.Random) -> None:
    changes = {f.name: shuffled(getattr(payload, f.name), r) for f in dataclasses.fields(payload)}
    assert encode_payload(dataclasses.replace(payload, **changes)) == encode_payload(payload)


def test_a_whole_number_where_a_float_belongs_is_that_float() -> None:
    for a, b in (
        (Action("go", 5, {"x_mps": 1}), Action("go", 5, {"x_mps": 1.0})),
        (Pose((1, 2, 3), (0, 0, 0, 1)), Pose((1.0, 2.0, 3.0))),
        (Gesture("none", 1), Gesture("none", 1.0)),
        (Gesture("none", np.float32(0.5)), Gesture("none", 0.5)),
    ):  # fmt: skip
        assert encode_payload(a) == encode_payload(b)
    assert encode_payload(Event("x", {"n": 1})) != encode_payload(Event("x", {"n": 1.0}))  # there, a type is data


def test_values_of_numpy_cross_as_plain_ones() -> None:
    got = decode_payload(encode_payload(Event("x", {"a": np.int32(3), "b": np.bool_(True), "c": [np.float64(0.5)]})))
    assert same(got, Event("x", {"a": 3, "b": True, "c": [0.5]}))


# -- what is refused at the sender ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "complex64", "object", "float64", ">f4", "int32", "datetime64[ns]", "U3", "float16"])
@pytest.mark.parametrize(("kind", "field"), [("VideoFrame", "image"), ("AudioChunk", "samples"), ("Features", "data")])
def test_an_array_of_another_dtype_is_refused_by_name(kind: str, field: str, dtype: str) -> None:
    shape = {"VideoFrame": (2, 2), "AudioChunk": (4,), "Features": (2, 2)}[kind]
    with pytest.raises(PayloadError, match=rf"{kind}\.{field} .*{re.escape(str(np.dtype(dtype)))}"):
        encode_payload(PAYLOADS[kind](np.zeros(shape, dtype)))


@pytest.mark.parametrize(
    "payload",
    [
        VideoFrame(np.zeros(4, np.uint8)), VideoFrame(np.zeros((1, 2, 3, 4), np.uint8)), AudioChunk(np.zeros((2, 2), np.int16)),
        AudioChunk(np.zeros((), np.int16)), Features(np.zeros(3, np.float32)),
        Detections(np.zeros((1, 4), np.float32), ("a",), np.zeros((1, 1), np.float32)),
        Gesture("none", landmarks=np.zeros(3, np.float32)),
    ],
)  # fmt: skip
def test_an_array_of_another_shape_is_refused_by_name(payload: Any) -> None:
    for codec in (encode_payload, pack_fast):
        with pytest.raises(PayloadError, match=rf"{type(payload).__name__}\.\w+ .*dimension"):
            codec(payload)


class Handle:
    pass


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (Text(5), "Text.text"), (Text(None), "Text.text"), (VideoFrame([[1]]), "VideoFrame.image"),
        (Action("go", 1.5), "Action.valid_until_ns"), (Action("go", 1 << 70), "Action.valid_until_ns"),
        (Action("go", 1, {"x": "fast"}), "Action.values"), (Action("go", 1, {3: 1.0}), "Action.values"),
        (Event("x", {"a": Handle()}), "Event.data"), (Event("x", {"a": b"raw"}), "Event.data"),
        (Event("x", {"a": np.zeros(2)}), "Event.data"), (Event("x", {"a": 1 << 64}), "Event.data"),
        (Event("x", {"a": -(1 << 63) - 1}), "Event.data"), (Event("x", {1: 2}), "Event.data"),
        (Event("x", {"a": {2}}), "Event.data"), (Event("x", {"a": "\ud800"}), "Event.data"),
        (Text("\udfff"), "Text.text"), (Event("x", {"\ud800": 1}), "Event.data"), (Pose((0.0, 0.0)), "Pose.position_m"),
        (Event("x", [("a", 1)]), "Event.data"), (Event("x", {ARRAY: [0, "<f4", [1]]}), "Event.data"),
    ],
)  # fmt: skip
def test_a_value_that_could_not_be_read_again_is_refused_by_name(payload: Any, where: str) -> None:
    """At the sender, where the fault is; a receiver would refuse the whole batch that it came in."""
    for codec in (encode_payload, pack_fast):
        with pytest.raises(PayloadError, match=rf"^{where}\b"):
            codec(payload)


def test_what_is_no_payload_is_refused_by_name() -> None:
    with pytest.raises(PayloadError, match="Handle is not a payload"):
        encode_payload(Handle())


def test_nesting_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(PayloadError, match=r"Event\.data.*deep"):
            encode_payload(Event("x", {"a": value}))


@pytest.mark.parametrize("number", [(1 << 64) - 1, -(1 << 63), 2**53 + 1, float("nan"), float("-inf"), -0.0, 5e-324])
def test_numbers_at_the_edges_cross(number: float) -> None:
    payload = Event("x", {"a": [number]})
    assert same(decode_payload(encode_payload(payload)), payload)


# -- any bytes whatever ---------------------------------------------------------------------------


def example_message() -> Any:
    from omnistream.message import Message

    return Message("a.out", 0, 3, ("a.out", 0, 3), 10, 5, 205, {"a.out": 5}, Text("go"), None)


def valid_examples() -> list[bytes]:
    return [
        encode_payload(p)
        for p in (
            VideoFrame(np.zeros((3, 4, 3), np.uint8)), AudioChunk(np.arange(9, dtype=np.int16)), Text("take the cup"),
            Features(np.ones((2, 3), np.float32), 5), Action("go", INFINITY, {"x_mps": 0.5}), Gesture("none"),
            Detections(np.zeros((2, 4), np.float32), ("a", "b"), np.zeros(2, np.float32)), Pose((1.0, 2.0, 3.0)),
            Event("x", {"a": [1, {"b": None}], "c": True}),
        )
    ]  # fmt: skip


def check_garbage(data: bytes) -> bool:
    """Refused as what it is, or taken for a payload that stands on its own; and no memory beyond what came."""
    try:
        payload = decode_payload(data)
    except PayloadError as error:
        assert len(str(error)) < 200
        return False
    assert same(decode_payload(encode_payload(payload)), payload)
    return True


def test_random_bytes_are_refused() -> None:
    r = random.Random(1)
    starts = [b"", b"\x92", b"\x92\x92\xa4Text\x92", b"\x92\x92\xaaVideoFrame\x92\x81\xa3\0nd\x93"]
    taken = sum(check_garbage(r.choice(starts) + r.randbytes(r.randrange(40))) for _ in range(20_000))
    assert taken < 200


def test_mutated_payloads_are_refused_or_are_others() -> None:
    r = random.Random(2)
    good = valid_examples()
    taken = 0
    for _ in range(6_000):
        data = bytearray(r.choice(good))
        for _ in range(r.choice([1, 1, 2, 5])):
            at = r.randrange(len(data) + 1)
            how = r.randrange(5)
            if how == 0:
                data[at : at + 1] = bytes([r.randrange(256)])
            elif how == 1:
                del data[at:]
            elif how == 2:
                data[at:at] = r.randbytes(r.randrange(4))
            elif how == 3:
                del data[at : at + r.randrange(1, 4)]
            else:
                other = r.choice(good)
                data[at:] = other[r.randrange(len(other)) :]
            data = data or bytearray(1)
        taken += check_garbage(bytes(data))
    assert 0 < taken < 5_000


def header(shape: Any, dtype: Any = "|u1", index: Any = 0, buffers: Any = (b"",)) -> bytes:
    return msgpack.packb([["VideoFrame", [{ARRAY: [index, dtype, shape]}, "rgb8"]], list(buffers)])


@pytest.mark.parametrize(
    "data",
    [
        header([1 << 20, 1 << 20]), header([1 << 30, 1 << 30, 16]), header([1 << 40, 1]), header([(1 << 64) - 1, 1]),
        header([-1, -1]), header([-1, 0]), header([2, 2], buffers=[b"abc"]), header([2, 2], buffers=[b"abcde"]),
        header([1, 1], index=1), header([1, 1], index=-1), header([1, 1], index="0"), header([1, 1], buffers=[]),
        header([1.0, 1.0], buffers=[b"a"]), header(["1", "1"], buffers=[b"a"]), header("ab", buffers=[b"a"]),
        header(None), header(4), header({}), header([]), header([1, 1], "|O", buffers=[b"a"]),
        header([1, 1], "O", buffers=[b"a"]),
        header([1, 1], "<f4", buffers=[b"abcd"]), header([1, 1], ["<f4"]), header([1, 1], None), header([1, 1], "u1, u1"),
        header([1, 1], "|V1", buffers=[b"a"]), header([1, 1], "<M8[ns]", buffers=[b"a" * 8]), header([1, 1], buffers=["a"]),
        header([1, 1], buffers=[[1]]),
    ],
)  # fmt: skip
def test_a_header_that_lies_about_its_array_is_refused_before_anything_is_allocated(data: bytes) -> None:
    tracemalloc.start()
    try:
        refused(data)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_an_empty_array_may_be_long_in_another_direction_only_on_paper() -> None:
    frame = decode_payload(header([0, (1 << 31) - 1, 3]))
    assert isinstance(frame, VideoFrame)
    assert frame.image.nbytes == 0


@pytest.mark.parametrize("kind", [b"\xdd", b"\xdf"])
def test_nested_claims_of_many_elements_allocate_nothing(kind: bytes) -> None:
    """Each claim is no longer than the bytes there are, so it looks honest; together they would take 170 times as much."""
    size = 60_000
    key = b"\xa1a" if kind == b"\xdf" else b""
    for value in (kind + (size).to_bytes(4, "big") + key, kind + (size // 3).to_bytes(4, "big") + key):
        data = (value * 500).ljust(size, b"\0")
        tracemalloc.start()
        try:
            refused(data)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("depth", [10, 100, 1000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    for opening in (b"\x91", b"\x81\xa1a"):
        refused(opening * depth + b"\xc0")
    inner = b"\x91" * depth + b"\xc0"
    event = b"\x92\x92\xa5Event\x92\xa1x\x81\xa1a" + inner + b"\x90"
    if depth > 64:
        refused(event)
    else:
        assert isinstance(decode_payload(event), Event)


def raw(kind: Any, fields: Any, *buffers: bytes) -> bytes:
    return msgpack.packb([[kind, fields], list(buffers)])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", raw("Nothing", []), raw("Payload", []), raw("object", []), raw(5, []), raw(None, []), raw(["Text"], []),
        raw("Text", ["a"]), raw("Text", ["a", "b", "c"]), raw("Text", "ab"), raw("Text", {"text": "a", "lang": "b"}),
        raw("Text", ["a", 5]), raw("Text", [b"a", "en"]), raw("Text", [None, "en"]),
        raw("Action", ["go", True, {}, "", "", 0, ""]), raw("Action", ["go", 1.0, {}, "", "", 0, ""]),
        raw("Action", ["go", 1, {"x": True}, "", "", 0, ""]), raw("Action", ["go", 1, {b"x": 1.0}, "", "", 0, ""]),
        raw("Action", ["go", 1, [], "", "", 0, ""]), raw("Pose", [[1.0, 2.0], [0.0] * 4, "map"]),
        raw("Event", ["x", {"a": b"raw"}]), raw("Event", ["x", {"a": msgpack.ExtType(5, b"abc")}]),
        raw("Event", ["x", {"a": msgpack.Timestamp(5, 0)}]), raw("Event", ["x", {"a": {b"k": 1}}]), raw("Event", ["x", None]),
        msgpack.packb(["Text", ["a", "en"]]), msgpack.packb([["Text", ["a", "en"]]]), msgpack.packb({"Text": 1}),
        encode_payload(Text("a")) + b"\0", encode_payload(Text("a"))[:-1],
        b"\x92\x92\xa5Event\x92\xa1x\x81\xa1a\xa2\xff\xfe\x90",
    ],
)  # fmt: skip
def test_what_is_not_quite_a_payload_is_refused(data: bytes) -> None:
    assert refused(data)


def test_a_received_map_is_not_taken_for_an_array_where_none_belongs() -> None:
    assert "Text.text" in refused(raw("Text", [{ARRAY: [0, "|u1", [1]]}, "en"], b"a"))
    with pytest.raises(PayloadError):
        unpack(["Event", ["x", {ARRAY: [0, "|u1", [1]]}]], [b"a"])


def replaced(n: int, value: Any) -> list[bytes]:
    """A batch of one message with one of its fields changed."""
    parts = encode_batch("a", 0, 0, [("m", 1, 2, False, example_message())])
    head: Any = msgpack.unpackb(parts[0], use_list=False)
    fields = list(head[3][0])
    fields[n] = value
    return [msgpack.packb((*head[:3], [fields], *head[4:]))]


STREAM, EPOCH, SEQ, ORIGIN, STAMP, CAUSE, DEADLINE, LINEAGE, START, KIND, BODY = range(4, 15)


def test_a_batch_that_is_put_together_again_is_read() -> None:
    assert same(decode_batch(replaced(KIND, "Text"))[3][0][4], example_message())


@pytest.mark.parametrize(
    ("n", "value"),
    [
        (STREAM, 5), (EPOCH, "0"), (SEQ, None), (SEQ, 1.0), (ORIGIN, "a"), (ORIGIN, ("a", {"b": 1})), (ORIGIN, ("a", (b"b",))),
        (ORIGIN, (None,)), (ORIGIN, (1.5,)), (STAMP, None), (CAUSE, "1"), (DEADLINE, ()), (LINEAGE, ("a", 1)),
        (LINEAGE, {1: 1}),
        (LINEAGE, {"a": "1"}), (LINEAGE, {"a": None}), (LINEAGE, {"a": (1,)}), (START, "1"), (KIND, None), (KIND, "Nothing"),
        (KIND, "VideoFrame"), (KIND, 5), (BODY, None), (BODY, ("go", "en")), (BODY, {"text": 5}), (BODY, {"lang": "en"}),
        (BODY, {"text": b"go"}), (BODY, {"text": None, "lang": "en"}),
    ],
)  # fmt: skip
def test_what_is_not_quite_a_message_is_refused(n: int, value: Any) -> None:
    """An origin is a key and lineage is compared: what a receiver does with them cannot fail later."""
    with pytest.raises(PayloadError):
        decode_batch(replaced(n, value))
