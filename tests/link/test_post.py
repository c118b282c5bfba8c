"""Batches between workers: there and back, safe against any parts, and in order over real sockets."""

from __future__ import annotations

import asyncio
import random
import socket
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from link_parts import messages, same, texts

from omnistream.errors import LinkError, PayloadError
from omnistream.link.batch import MOST_ENDED, decode_batch, encode_batch
from omnistream.link.unix import UnixPost, frame
from omnistream.message import Event, Features, Message

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
counts = st.dictionaries(texts, numbers, max_size=3)
items = st.one_of(
    st.tuples(st.just("m"), numbers, numbers, st.booleans(), messages),
    st.tuples(st.sampled_from(["b", "n"]), numbers, numbers),
    st.tuples(st.just("c"), numbers, numbers, counts),
    st.tuples(st.just("a"), numbers, numbers, st.integers(1, MOST_ENDED), texts),
    st.tuples(st.just("p"), numbers, numbers, numbers),
    st.tuples(
        st.just("h"), st.dictionaries(numbers, st.tuples(numbers, numbers, numbers, counts, numbers, st.booleans()), max_size=3)
    ),
)


# -- the codec ------------------------------------------------------------------------------------


@given(texts, numbers, numbers, st.lists(items, max_size=6))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_batch_comes_back_as_it_was(sender: str, incarnation: int, receiver: int, batch: list[tuple[Any, ...]]) -> None:
    parts = [bytes(p) for p in encode_batch(sender, incarnation, receiver, batch)]
    assert same(decode_batch(parts), (sender, incarnation, receiver, batch))


def text(seq: int, payload: Any = None) -> Message[Any]:
    return Message("a.out", 0, seq, ("a.out", 0, seq), 10 + seq, 5, 205, {"a.out": 5}, payload or Event("m", {"v": seq}))


def features(seq: int, rows: int = 2) -> Message[Any]:
    return text(seq, Features(np.full((rows, 3), seq, np.float32)))


def valid_parts() -> list[bytes]:
    said = {4: (1, 2, 0, {"consumed": 1}, 77, True)}
    batch = [
        ("h", said), ("m", 1, 12, True, features(1)), ("b", 2, 40), ("m", 1, 13, False, text(2)), ("n", 3, 9),
        ("c", 4, 2, {"read": 2}), ("a", 5, 6, 2, "done"), ("p", 7, 8, 9), ("m", 6, 14, True, features(3)),
    ]  # fmt: skip
    return [bytes(p) for p in encode_batch("w", 1, 2, batch)]


def refused(parts: list[Any]) -> None:
    with pytest.raises(PayloadError) as error:
        decode_batch(parts)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("cut", [1, 2])
def test_a_truncated_batch_is_refused(cut: int) -> None:
    parts = valid_parts()
    assert len(parts) == 3
    refused(parts[:-cut])
    refused([parts[0][:-cut], *parts[1:]])
    refused([parts[0], parts[1][:-cut], *parts[2:]])
    refused(parts[1:])
    refused([])


def test_garbage_is_refused() -> None:
    r = random.Random(3)
    for _ in range(3000):
        refused(
            [r.choice([b"", b"\x94", b"\x94\xa1w\x00\x00\x91"]) + r.randbytes(r.randrange(30)) for _ in range(r.randint(1, 3))]
        )


def test_mutated_batches_are_refused_or_are_others() -> None:
    r = random.Random(4)
    taken = 0
    for _ in range(4000):
        parts = [bytearray(p) for p in valid_parts()]
        for _ in range(r.choice([1, 1, 2, 4])):
            part = r.choice(parts)
            at = r.randrange(len(part) + 1)
            if r.random() < 0.5:
                part[at : at + 1] = bytes([r.randrange(256)])
            else:
                part[at : at + r.randrange(3)] = r.randbytes(r.randrange(3))
        if r.random() < 0.1:
            r.shuffle(parts)
        try:
            sender, incarnation, receiver, got = decode_batch([bytes(p) for p in parts])
        except PayloadError:
            continue
        taken += 1
        again = decode_batch([bytes(p) for p in encode_batch(sender, incarnation, receiver, got)])
        assert same(again, (sender, incarnation, receiver, got))
        assert all(hash(i[4].origin) is not None for i in got if i[0] == "m")
    assert 0 < taken < 3900


def batch_of(*batch: Any) -> list[bytes]:
    return [msgpack.packb(("w", 0, 0, batch))]


@pytest.mark.parametrize(
    "parts",
    [
        [msgpack.packb(5)], [msgpack.packb(("w", 0, 0))], [msgpack.packb(("w", 0, 0, 5))], [msgpack.packb((5, 0, 0, []))],
        [msgpack.packb(("w", "0", 0, []))], [msgpack.packb(("w", 0, None, []))], [msgpack.packb({"w": 1})],
        batch_of(()), batch_of("m"), batch_of("b"), batch_of(5), batch_of(("z", 1, 2)), batch_of(("b", 1)),
        batch_of(("b", 1, 2, 3)),
        batch_of(("b", 1, "2")), batch_of(("n", None, 2)), batch_of(("c", 1, 2, [])), batch_of(("c", 1, 2, {"read": "2"})),
        batch_of(("c", 1, 2, {5: 2})), batch_of(("a", 1, 2, 1, 3)), batch_of(("a", 1, 2, 0, "done")),
        batch_of(("a", 1, 2, MOST_ENDED + 1, "done")), batch_of(([], 1, 2)), batch_of(({}, 1, 2)),
        batch_of(("h", [])), batch_of(("h", {"4": (1, 2, 0, {}, 7, True)})), batch_of(("h", {4: 5})),
        batch_of(("h", {4: (1, 2, 0, {})})),
        batch_of(("h", {4: (1, 2, 0, {}, "7", True)})), batch_of(("h", {4: (1, 2, 0, {"read": None}, 7, True)})),
        batch_of(("m", 1, 2, True, (), 0, 0)), batch_of(("m", 1, 2, True, ("a",) * 10, 0, 0)),
        batch_of(("m", 1, 2, 1, (), 0, 0)),
    ],
)  # fmt: skip
def test_what_is_not_quite_a_batch_is_refused(parts: list[bytes]) -> None:
    """What a receiver takes for granted of an item is so."""
    refused(parts)


@pytest.mark.parametrize(("first", "count"), [(0, 2), (1, 1), (-1, 1), (0, -1), (5, 0), (1 << 62, 1), (0, 0)])
def test_a_message_has_only_the_buffers_that_are_there(first: int, count: int) -> None:
    head = list(msgpack.unpackb(encode_batch("w", 0, 0, [("m", 1, 2, True, features(1))])[0], use_list=False))
    item = head[3][0]
    refused([msgpack.packb((*head[:3], [(*item[:-2], first, count)])), bytes(24)])
    assert len(decode_batch([msgpack.packb((*head[:3], [(*item[:-2], 0, 1)])), bytes(24)])[3]) == 1


def test_nested_claims_of_many_elements_allocate_nothing() -> None:
    data = ((b"\xdd" + (60_000).to_bytes(4, "big")) * 500).ljust(60_000, b"\0")
    tracemalloc.start()
    try:
        refused([data])
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


# -- sockets --------------------------------------------------------------------------------------


class Box:
    """One post and what has come to it."""

    def __init__(self, folder: str, name: str, incarnation: int = 0) -> None:
        self.post = UnixPost(folder, name, incarnation)
        self.got: list[tuple[str, list[tuple[Any, ...]]]] = []
        self.garbage: list[str] = []
        self.news = asyncio.Event()
        self.post.open(self.receive, self.trash)

    def receive(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        self.got.append((peer, items))
        self.news.set()

    def trash(self, sentence: str) -> None:
        self.garbage.append(sentence)
        self.news.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.news.clear()
                await self.news.wait()

    def numbers(self) -> list[int]:
        """The needs that have come, which tests use as bare numbers."""
        return [item[2] for _, batch in self.got for item in batch if item[0] == "n"]


def stranger_to(box: Box) -> socket.socket:
    """A connection of nobody's."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(box.post.address.removeprefix("unix://"))
    return made


Make = Callable[..., Box]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Posts in a folder of their own; at the end all are closed and nothing lies there."""
    boxes: list[Box] = []
    with tempfile.TemporaryDirectory(prefix="os-") as folder:

        def box(name: str, incarnation: int = 0) -> Box:
            boxes.append(Box(folder, name, incarnation))
            return boxes[-1]

        yield box
        for b in boxes:
            await b.post.close()
        assert not list(Path(folder).iterdir())


def join(a: Box, b: Box, incarnation_a: int = 0, incarnation_b: int = 0) -> None:
    a.post.connect("b", incarnation_b, b.post.address)
    b.post.connect("a", incarnation_a, a.post.address)


async def test_batches_arrive_in_order_both_ways(make: Make) -> None:
    a, b = make("a"), make("b")
    join(a, b)
    for n in range(300):
        a.post.send("b", [("n", 1, n), ("m", 2, 50, True, features(n, rows=n % 5))])
        b.post.send("a", [("n", 1, -n)])
    await b.until(lambda: len(b.numbers()) == 300)
    await a.until(lambda: len(a.numbers()) == 300)
    assert b.numbers() == list(range(300))
    assert a.numbers() == [-n for n in range(300)]
    assert {peer for peer, _ in b.got} == {"a"}
    for n, (_, batch) in enumerate(b.got):
        assert same(batch[1][4], features(n, rows=n % 5))
    assert a.garbage == b.garbage == []


async def test_a_large_array_arrives_whole(make: Make) -> None:
    a, b = make("a"), make("b")
    join(a, b)
    data = np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000)
    a.post.send("b", [("m", 1, 2, False, text(0, Features(data)))])
    await b.until(lambda: bool(b.got))
    assert np.array_equal(b.got[0][1][0][4].payload.data, data)


async def test_a_batch_for_another_life_of_the_receiver_is_ignored(make: Make) -> None:
    a, b = make("a"), make("b", 1)
    b.post.connect("a", 0, a.post.address)
    with stranger_to(b) as push:
        for number, life in enumerate([0, 1, 2, 1, 0]):
            push.sendall(b"".join(frame(encode_batch("a", 0, life, [("n", 1, number)]))))
        push.sendall(b"".join(frame(encode_batch("a", 0, 1, [("n", 1, 9)]))))
        await b.until(lambda: 9 in b.numbers())
    assert b.numbers() == [1, 3, 9]
    assert b.garbage == []


async def test_a_batch_of_another_life_of_the_sender_is_ignored(make: Make) -> None:
    old, new, b = make("a", 0), make("a", 1), make("b")
    b.post.connect("a", 1, new.post.address)
    for box in (old, new):
        box.post.connect("b", 0, b.post.address)
    old.post.send("b", [("n", 1, 1)])
    new.post.send("b", [("n", 1, 2)])
    await b.until(lambda: bool(b.got))
    old.post.send("b", [("n", 1, 3)])
    new.post.send("b", [("n", 1, 4)])
    await b.until(lambda: len(b.got) == 2)
    assert b.numbers() == [2, 4]


async def test_a_greeting_that_comes_before_its_sender_is_known_is_kept(make: Make) -> None:
    a, b = make("a", 3), make("b")
    a.post.connect("b", 0, b.post.address)
    for n in range(5):
        a.post.send("b", [("n", 1, n)])
    c = make("c")
    join_c = c.post
    join_c.connect("b", 0, b.post.address)
    b.post.connect("c", 0, c.post.address)
    for n in range(50, 60):  # when these are there, so are the others
        join_c.send("b", [("n", 1, n)])
        await b.until(lambda n=n: n in b.numbers())
    async with asyncio.timeout(20):
        while len(b.post._early) < 5:  # noqa: ASYNC110  the post keeps them to itself
            await asyncio.sleep(0.001)
    assert [n for n in b.numbers() if n < 50] == []
    b.post.connect("a", 3, a.post.address)
    a.post.send("b", [("n", 1, 5)])
    await b.until(lambda: 5 in b.numbers())
    assert [n for n in b.numbers() if n < 50] == [0, 1, 2, 3, 4, 5]


def batch(sender: str, incarnation: int, number: int) -> list[Any]:
    return encode_batch(sender, incarnation, 0, [("n", 1, number)])


async def test_what_comes_right_after_the_introduction_does_not_overtake_the_greeting(make: Make) -> None:
    b = make("b")
    b.post._handle(batch("a", 0, 1))
    b.post._handle(batch("a", 0, 2))
    b.post.connect("a", 0, "ipc:///nowhere")
    b.post._handle(batch("a", 0, 3))
    await b.until(lambda: len(b.got) == 3)
    b.post._handle(batch("a", 0, 4))
    assert b.numbers() == [1, 2, 3, 4]


async def test_of_what_came_early_only_the_life_that_is_introduced_is_heard(make: Make) -> None:
    b = make("b")
    for incarnation in (0, 1, 2, 1):
        b.post._handle(batch("a", incarnation, incarnation))
    b.post.connect("a", 1, "ipc:///nowhere")
    await asyncio.sleep(0.01)
    assert b.numbers() == [1, 1]
    b.post.connect("a", 2, "ipc:///nowhere")  # it had died and greeted again before it was introduced at all
    await asyncio.sleep(0.01)
    assert b.numbers() == [1, 1, 2]


async def test_nothing_is_heard_of_a_peer_that_is_gone_before_its_greeting_is_read(make: Make) -> None:
    b = make("b")
    b.post._handle(batch("a", 0, 1))
    b.post.connect("a", 0, "ipc:///nowhere")
    b.post.disconnect("a")
    await asyncio.sleep(0.01)
    assert b.got == []


async def test_a_flood_of_strangers_is_bounded(make: Make) -> None:
    b = make("b")
    for n in range(3000):
        b.post._handle(batch(f"stranger{n}", 0, n))
    assert len(b.post._early) <= 1000


async def test_garbage_from_a_stranger_is_reported_and_the_next_good_batch_arrives(make: Make) -> None:
    a, b = make("a"), make("b")
    join(a, b)
    r = random.Random(5)
    stranger = stranger_to(b)
    sent: list[list[Any]] = [[b""], [b"", b""], [b"\x93"], [bytes(100_000)], [msgpack.packb(("a", 0, 0, [("m",)]))]]
    sent += [[r.randbytes(r.randrange(1, 60)) for _ in range(r.randint(1, 4))] for _ in range(60)]
    for parts in sent:
        stranger.sendall(b"".join(frame(parts)))
    await b.until(lambda: len(b.garbage) == len(sent))
    a.post.send("b", [("n", 1, 7)])
    await b.until(lambda: bool(b.got))
    assert b.got == [("a", [("n", 1, 7)])]
    assert all(0 < len(sentence) < 250 for sentence in b.garbage)
    stranger.close()


async def test_bytes_that_are_not_even_frames_harm_nobody(make: Make) -> None:
    a, b = make("a"), make("b")
    join(a, b)
    r = random.Random(6)
    path = b.post.address.removeprefix("unix://")
    for start in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" + bytes(8) + b"\x7f\x03",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.sendall(start + r.randbytes(5000))
    a.post.send("b", [("n", 1, 7)])
    await b.until(lambda: bool(b.got))
    assert b.numbers() == [7]


async def test_a_new_life_takes_the_place_of_the_old(make: Make) -> None:
    a, b = make("a"), make("b", 0)
    join(a, b)
    a.post.send("b", [("n", 1, 1)])
    await b.until(lambda: bool(b.got))
    await b.post.close()
    assert not Path(b.post.address.removeprefix("unix://")).exists()
    for n in range(50):
        a.post.send("b", [("n", 1, n)])  # to nobody; it neither waits nor raises
    again = make("b", 1)
    join(a, again, incarnation_b=1)
    a.post.send("b", [("n", 1, 99)])
    await again.until(lambda: bool(again.got))
    assert again.numbers() == [99]


async def test_a_post_can_be_closed_before_it_is_open_and_twice() -> None:
    with tempfile.TemporaryDirectory(prefix="os-") as folder:
        post = UnixPost(folder, "a", 0)
        await post.close()
        box = Box(folder, "b")
        assert [p.name for p in Path(folder).iterdir()] == ["b.0.sock"]
        await box.post.close()
        await box.post.close()
        assert not list(Path(folder).iterdir())


async def test_a_path_that_is_too_long_for_the_system_is_refused_with_a_way_out() -> None:
    with pytest.raises(LinkError, match="TMPDIR"):
        UnixPost("/tmp/" + "x" * 100, "a", 0)
