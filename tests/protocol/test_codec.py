"""The codec: what is encoded is read back; of anything else only PayloadError comes out."""

from __future__ import annotations

import json
import random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.errors import PayloadError
from omnistream.message import INFINITY, Action, Caption, Message
from omnistream.protocol import codec
from omnistream.protocol.codec import (
    Ack,
    ActionFrame,
    Bye,
    CaptionFrame,
    CommandFrame,
    Hello,
    Ping,
    Pong,
    State,
    Unknown,
    Welcome,
    decode,
    encode,
    origin_id,
)

ALL = (ActionFrame, CommandFrame, CaptionFrame, Ack, Hello, Ping, Pong, Welcome, Unknown, Bye, State)
ints = st.integers(-(2**63), 2**63 - 1)
text = st.text(max_size=50)
maps = st.dictionaries(text, st.floats(allow_nan=False, allow_infinity=False), max_size=5)
actions = st.one_of(
    st.builds(
        ActionFrame, id=text, seq=ints, stamp_ns=ints, kind=text, valid_until_ns=ints, values=maps, target=text, text=text,
        chunk_index=ints, model=text, sent_ns=ints,
    ),
    st.builds(ActionFrame, id=text, kind=st.just("stop"), text=text),
)  # fmt: skip
frames = st.one_of(
    actions,
    st.builds(CommandFrame, id=text, text=text, client=text, lang=text),
    st.builds(
        CaptionFrame,
        id=text,
        rev=ints,
        final=st.booleans(),
        text=text,
        t_start=st.floats(-1e12, 1e12),
        deadline_ms=ints,
        origin=text,
    ),
    st.builds(Ack, id=text, status=st.sampled_from(codec.STATUSES), detail=text),
    st.builds(Hello, client=text, role=text, t0_ns=ints),
    st.builds(Welcome, t0_ns=ints, t1_ns=ints, t2_ns=ints, run=ints, heartbeat_ms=ints, watchdog_ms=ints),
    st.builds(State, online=st.booleans(), counts=maps),
)


@given(frames, st.sampled_from(["msgpack", "json"]))
def test_what_is_encoded_is_read_back(frame, form):
    data = encode(frame, form)
    assert codec.form_of(data) == form
    kinds = (CaptionFrame,) if isinstance(frame, CaptionFrame) else ALL
    assert decode(data, *kinds) == frame
    assert encode(decode(data, *kinds), form) == data


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_payload_error(data):
    for kinds in (ALL, (CommandFrame,), (ActionFrame, Ack)):
        try:
            decode(data, *kinds)
        except PayloadError:
            pass


json_like = st.recursive(
    st.none() | st.booleans() | ints | st.floats() | text | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)


@given(frames, st.data())
def test_a_field_of_the_wrong_kind_is_refused_or_read(frame, data):
    value = msgpack.unpackb(encode(frame))
    value[data.draw(st.sampled_from(sorted(value)))] = data.draw(json_like)
    try:
        again = decode(msgpack.packb(value), *ALL)
    except PayloadError:
        return
    encode(again)  # whatever is accepted can be sent


@settings(max_examples=50)
@given(frames, st.integers(0, 2**32))
def test_broken_bytes_raise_only_payload_error(frame, seed):
    rng = random.Random(seed)
    data = bytearray(encode(frame, rng.choice(["msgpack", "json"])))
    for _ in range(3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        decode(bytes(data[: rng.randrange(len(data) + 1)]), *ALL)
    except PayloadError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{" * 5000,
        b'{"v":1,"type":"action","id":"a","kind":"velocity","values":{"x_mps":NaN},"valid_until_ns":1}',
        b'{"v":1,"type":"action","id":"a","kind":"velocity","values":{"x_mps":1e999},"valid_until_ns":1}',
        b'{"v":1,"type":"action","id":"a","kind":"velocity","values":{"x_mps":true},"valid_until_ns":1}',
        b'{"v":1,"type":"action","id":"a","kind":"velocity"}',  # a motion that never expires
        b'{"v":1,"type":"action","kind":"stop"}',  # no id
        b'{"v":2,"type":"bye"}',
        b'{"v":true,"type":"bye"}',
        b'{"type":"bye"}',
        b'{"v":1,"type":["bye"]}',
        b'{"v":1,"type":"ack","id":"a","status":"perhaps"}',
        b'{"v":1,"type":"ack","id":"\\ud800","status":"done"}',
        b'{"v":1,"type":"ping","t0_ns":' + b"9" * 5000 + b"}",
        msgpack.packb({"v": 1, "type": "ack", "id": "x" * 9000, "status": "done"}),
        msgpack.packb({"v": 1, "type": "ping", "t0_ns": 2**64 - 1}),
        msgpack.packb(msgpack.ExtType(1, b"x")),
        b"\x81" * 4000,
        b"\xdf\xff\xff\xff\xff",
        b"x" * (codec.MAX_FRAME_BYTES + 1),
    ],
)
def test_known_bad_frames_are_refused(data):
    with pytest.raises(PayloadError):
        decode(data, *ALL)


def test_nothing_is_sent_that_no_peer_would_accept():
    for frame in (
        ActionFrame(id="a", kind="velocity", valid_until_ns=1, values={"x_mps": float("nan")}),
        CaptionFrame(id="a", text="x" * 100_000),
        CommandFrame(text="\ud800"),
    ):
        with pytest.raises(PayloadError):
            encode(frame)


def test_a_newer_peer_may_say_more_and_a_lone_kind_needs_no_type():
    data = json.dumps({"text": "stop", "id": "1", "mood": "calm"}).encode()
    assert decode(data, CommandFrame) == CommandFrame(text="stop", id="1")
    with pytest.raises(PayloadError):
        decode(data, CommandFrame, Ack)


def test_caption_json_has_the_agreed_names():
    message = Message(
        "r.caption", 0, 0, ("r.caption", 0, 0), 5, 1, 2_500_000_000, {},
        Caption("c1", "Going.", start_ns=1_000_000_000, end_ns=2_000_000_000, anchor="robot"),
    )  # fmt: skip
    value = json.loads(encode(codec.caption_frame(message, run=0), "json"))
    assert value == {
        "v": 1, "id": "c1", "rev": 0, "final": True, "text": "Going.", "lang": "en",
        "t_start": 1.0, "t_end": 2.0, "anchor": "robot", "deadline_ms": 2500, "origin": '0["r.caption",0,0]',
    }  # fmt: skip


def test_an_origin_has_one_string_and_only_a_clients_own_spans_runs():
    mic = ("r.action", "intent", ("p.out", "text", ("mic.out", 0, 7), 0), 0)
    client = ("r.action", "intent", ("p.out", "text", ("client", "c", "7"), 0), 0)
    assert origin_id(mic, 1) != origin_id(mic, 2)
    assert origin_id(client, 1) == origin_id(client, 2)
    others = [("r.action", "intent", ("mic.out", 0, 7), k) for k in range(3)]
    assert len({origin_id(o, 1) for o in [mic, client, *others, ("r.action", 0, 7)]}) == 6


def test_an_endless_stop_has_no_time_on_the_wire():
    stop = Message("r.a", 0, 0, ("r.a", 0, 0), 5, 5, 5, {}, Action("stop", INFINITY))
    assert json.loads(encode(codec.action_frame(stop, run=1, sent_ns=2), "json"))["valid_until_ns"] is None
