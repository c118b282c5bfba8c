"""Posts that share memory, over either transport: whole, written once, freed, and inline where memory is not shared."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link_parts import same

from omnistream.errors import LinkError
from omnistream.link.batch import encode_batch
from omnistream.link.post import HostPost
from omnistream.link.segment import LINK_NAME
from omnistream.link.unix import Frames, UnixPost, frame
from omnistream.message import Event, Features, Message, VideoFrame

# -- frames ---------------------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.binary(max_size=50) | st.integers(60_000, 70_000).map(bytes), min_size=1, max_size=5), max_size=6),
    st.lists(st.integers(1, 100_000), min_size=1),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_frames_cut_anywhere_are_the_same_frames(batches: list[list[bytes]], cuts: list[int], through_room: bool) -> None:
    stream = b"".join(bytes(b) for parts in batches for b in frame(parts))
    frames, got, at, n = Frames(), [], 0, 0
    while at < len(stream):
        size = cuts[n % len(cuts)]
        n += 1
        room = frames.room()
        if room is not None and through_room:
            size = min(size, len(room), len(stream) - at)
            room[:size] = stream[at : at + size]
            got += frames.filled(size)
        elif room is not None:
            size = min(len(room), len(stream) - at)
            room[:size] = stream[at : at + size]
            got += frames.filled(size)
        else:
            got += frames.feed(stream[at : at + size])
        at += size
    assert [[bytes(p) for p in parts] for parts in got] == batches


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"OS1\n\0\0\0\0", b"OS1\n\xff\xff\xff\xff", b"OS1\n\1\0\0\0" + b"\xff" * 8,
     b"OS1\n\1\0\0\0" + (1 << 31).to_bytes(8, "little")],
)  # fmt: skip
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        Frames().feed(data)


# -- posts ----------------------------------------------------------------------------------------


class Box:
    """One post and what has come to it."""

    def __init__(self, kind: type[HostPost], folder: str, name: str, incarnation: int = 0) -> None:
        self.post = kind(folder, name, incarnation)  # type: ignore[call-arg]
        self.got: list[tuple[str, list[tuple[Any, ...]]]] = []
        self.garbage: list[str] = []
        self.notices: list[str] = []
        self.post.open(lambda peer, items: self.got.append((peer, items)), self.garbage.append, self.notices.append)

    def payloads(self) -> list[Any]:
        return [item[4].payload for _, batch in self.got for item in batch if item[0] == "m"]

    @property
    def busy(self) -> int:
        return self.post.pool.busy()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


Make = Callable[..., Box]


@pytest.fixture(params=[UnixPost])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    boxes: list[Box] = []
    with tempfile.TemporaryDirectory(prefix="os-") as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        Path(folder, LINK_NAME).symlink_to(memory)

        def box(name: str, incarnation: int = 0) -> Box:
            boxes.append(Box(request.param, folder, name, incarnation))
            return boxes[-1]

        box.folder, box.memory = Path(folder), Path(memory)  # type: ignore[attr-defined]
        yield box
        for b in boxes:
            await b.post.close()
        assert not list(Path(folder).glob("*.sock"))


async def join(a: Box, *others: Box) -> None:
    for b in others:
        a.post.connect(b.post._name, b.post._incarnation, b.post.address)
        b.post.connect(a.post._name, a.post._incarnation, a.post.address)
    await until(lambda: all(b.post._name in a.post._sharing and a.post._name in b.post._sharing for b in others))


def text(seq: int, payload: Any = None, stream: str = "a.out") -> Message[Any]:
    return Message(stream, 0, seq, (stream, 0, seq), 10 + seq, 5, 205, {stream: 5}, payload or Event("m", {"v": seq}))


def m(message: Message[Any]) -> tuple[Any, ...]:
    return ("m", 1, 2, False, message)


def image(n: int, shape: tuple[int, ...] = (120, 160, 3)) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 255, shape, np.uint8)


async def test_many_batches_both_ways_whole_and_in_order(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    r = random.Random(1)
    sent = [text(n, r.choice([None, VideoFrame(image(n, (r.randrange(300), 100, 3))), VideoFrame(image(n)[::2, ::-1])]))
            for n in range(200)]  # fmt: skip
    for n in range(0, 200, 4):
        a.post.send("b", [m(s) for s in sent[n : n + 4]])
        b.post.send("a", [m(s) for s in sent[n : n + 2]])
        if n % 40 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: len(b.payloads()) == 200 and len(a.payloads()) == 100)
    assert all(same(x, y.payload) for x, y in zip(b.payloads(), sent, strict=True))
    assert a.garbage == b.garbage == a.notices == []
    assert not any(p.image.flags.writeable for p in b.payloads() if isinstance(p, VideoFrame))
    a.got, b.got = [], []
    gc.collect()
    await until(lambda: a.busy == b.busy == 0)


async def test_all_readers_share_one_slot(make: Make) -> None:
    a, readers = make("a"), [make(n) for n in "bcde"]
    await join(a, *readers)
    message = text(1, VideoFrame(image(1)))
    for reader in readers:
        a.post.send(reader.post._name, [m(message), m(message)])
    await until(lambda: all(len(b.payloads()) == 2 for b in readers))
    assert a.busy == 1
    assert all(same(p, message.payload) for b in readers for p in b.payloads())
    for reader in readers:
        assert a.busy == 1
        reader.got = []
        await asyncio.sleep(0.01)
    await until(lambda: a.busy == 0)


async def test_small_arrays_take_no_slot(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    a.post.send("b", [m(text(1, Features(np.ones((3, 3), np.float32)))), m(text(2, VideoFrame(image(2)))),
                      m(text(3, Features(np.zeros((0, 3), np.float32))))])  # fmt: skip
    await until(lambda: len(b.payloads()) == 3)
    assert b.payloads()[0].data.tolist() == np.ones((3, 3)).tolist()
    assert b.payloads()[2].data.shape == (0, 3)
    assert a.busy == 1


async def test_the_slots_of_a_reader_that_is_dead_are_free_and_a_survivor_reads_on(make: Make) -> None:
    a, b, c = make("a"), make("b"), make("c")
    await join(a, b, c)
    for n in range(5):
        message = text(n, VideoFrame(image(n)))
        a.post.send("b", [m(message)])
        a.post.send("c", [m(message)])
    await until(lambda: len(b.payloads()) == len(c.payloads()) == 5)
    assert a.busy == 5
    c.got = []
    await asyncio.sleep(0.02)
    assert a.busy == 5
    a.post.disconnect("b")
    await until(lambda: a.busy == 0)
    b.post.disconnect("a")
    again = make("a", 1)  # and the writer, too
    assert all(same(p.image, image(n)) for n, p in enumerate(b.payloads()))
    await join(again, b)
    again.post.send("b", [m(text(5, VideoFrame(image(5))))])
    await until(lambda: len(b.payloads()) == 6)
    assert all(same(p.image, image(n)) for n, p in enumerate(b.payloads()))
    b.got = []
    await until(lambda: again.busy == 0)
    assert not b.garbage


async def test_without_room_arrays_go_inline_with_one_notice(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    a.post.pool._limit = 5 << 20
    sent = [image(n, (800, 800, 3)) for n in range(8)]
    for n, array in enumerate(sent):
        a.post.send("b", [m(text(n, VideoFrame(array)))])
    await until(lambda: len(b.payloads()) == 8)
    assert all(same(p.image, array) for p, array in zip(b.payloads(), sent, strict=True))
    assert len(a.notices) == 1
    assert 0 < a.busy < 8


async def test_a_peer_that_looks_elsewhere_gets_bytes(make: Make, tmp_path: Path) -> None:
    a = make("a")
    link = make.folder / LINK_NAME  # type: ignore[attr-defined]
    link.unlink()
    tmp_path.chmod(0o700)
    link.symlink_to(tmp_path)  # as in another container
    b = make("b")
    a.post.connect("b", 0, b.post.address)
    b.post.connect("a", 0, a.post.address)
    for n in range(20):
        a.post.send("b", [m(text(n, VideoFrame(image(n))))])
        await asyncio.sleep(0.001)
    await until(lambda: len(b.payloads()) == 20)
    assert all(same(p.image, image(n)) for n, p in enumerate(b.payloads()))
    assert a.busy == 0
    assert a.post.alloc((200, 200, 3), np.uint8).base is None
    link.unlink()
    c = make("c")  # nothing there at all
    assert c.post.pool is None
    c.post.connect("b", 0, b.post.address)
    b.post.connect("c", 0, c.post.address)
    c.post.send("b", [m(text(20, VideoFrame(image(20))))])
    await until(lambda: len(b.payloads()) == 21)


async def test_memory_that_others_may_enter_is_not_used(make: Make) -> None:
    make.memory.chmod(0o755)  # type: ignore[attr-defined]
    assert make("a").post.pool is None


async def test_a_peer_that_cannot_map_any_more_is_sent_bytes(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    a.post.send("b", [m(text(0, VideoFrame(image(0))))])
    await until(lambda: len(b.payloads()) == 1)
    a.post.pool._numbers += 5
    large = image(1, (400, 400, 3))
    place = a.post.pool.place(large, 0, "b")
    (make.memory / f"a.0.{place[0]}").unlink()  # type: ignore[attr-defined]
    a.post.send("b", [m(text(1, VideoFrame(large)))])
    await until(lambda: len(b.garbage) == 1)
    await until(lambda: "b" not in a.post._sharing)
    a.post.send("b", [m(text(2, VideoFrame(large)))])
    await until(lambda: len(b.payloads()) == 2)
    assert same(b.payloads()[1].image, large)


async def test_a_message_that_cannot_be_packed_takes_no_other_with_it(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    a.post.send("b", [m(text(1)), m(text(2, Features(np.zeros((2, 2), np.float64)))), m(text(3, VideoFrame(image(3))))])
    await until(lambda: len(b.payloads()) == 2)
    first, hole, last = b.got[0][1]
    assert (first[4].seq, last[4].seq) == (1, 3)
    assert hole == ("u", 1, 2, False, 2)  # its receiver gives the credit back
    assert len(a.garbage) == 1
    assert "Features.data" in a.garbage[0]


async def test_what_cannot_be_read_takes_no_other_with_it(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    batch = encode_batch("a", 0, 0, [m(text(n, VideoFrame(image(n)))) for n in range(3)], a.post._sharing["b"])
    seq, segment = 1, next(iter(a.post.pool._segments.values()))  # type: ignore[union-attr]
    segment.seqs[seq] += 1  # the second one's slot is filled anew
    a.post._peers["b"][1].send(batch)
    await until(lambda: bool(b.got))
    assert [(i[0], i[4] if i[0] == "u" else i[4].seq) for i in b.got[0][1]] == [("m", 0), ("u", 1), ("m", 2)]
    assert len(b.garbage) == 1
    assert "no longer holds filling" in b.garbage[0]


async def test_what_is_filled_in_place_arrives(make: Make) -> None:
    a, b = make("a"), make("b")
    assert a.post.alloc((200, 200), np.uint8).base is None  # nobody shares yet
    await join(a, b)
    array = a.post.alloc((480, 640, 3), np.uint8)
    array[:] = image(1, (480, 640, 3))
    assert a.busy == 1
    a.post.send("b", [m(text(1, VideoFrame(array)))])
    await until(lambda: len(b.payloads()) == 1)
    assert same(b.payloads()[0].image, image(1, (480, 640, 3)))
    assert a.busy == 1
    b.got = []
    del array
    await until(lambda: a.busy == 0)


async def test_forged_descriptors_and_words_are_garbage_and_the_next_batch_arrives(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    r = random.Random(2)
    message = text(0, VideoFrame(image(0)))
    line = a.post._peers["b"][1]
    forged = 0
    for _ in range(300):
        field = lambda: r.choice([r.randrange(3), -1, 1 << 60, "x", None, b"../a", 57_600, (), [], {}])  # noqa: E731
        place = tuple(field() for _ in range(r.choice([5, 5, 5, 0, 4, 6])))
        told = [(r.choice(["free", "seen", "look", "blind", "x"]), *(field() for _ in range(r.randrange(3))))]
        line.send(encode_batch("a", 0, 0, [m(message)], lambda *_, p=place: p))
        line.send(encode_batch("a", 0, 0, [("n", 1, 1)], None, [("free", [(field(), field(), field())])]))
        line.send(encode_batch("a", 0, 0, [("n", 1, 1)], None, told))
        forged += 3
    a.post.send("b", [("n", 1, 7)])
    await until(lambda: bool(b.got) and b.got[-1][1] == [("n", 1, 7)])
    assert len(b.garbage) > 300
    assert all(len(g) < 250 for g in b.garbage)
    assert not b.payloads()


# -- the transport --------------------------------------------------------------------------------


async def test_more_than_a_socket_holds_goes_when_it_can(make: Make) -> None:
    a, b = make("a"), make("b")
    a.post.connect("b", 0, b.post.address)
    b.post.connect("a", 0, a.post.address)  # not yet sharing: all of it goes through the socket
    sent = [image(n, (500, 500, 3)) for n in range(20)]
    for n, array in enumerate(sent):
        a.post.send("b", [m(text(n, VideoFrame(array))), ("n", 1, n)])
        array[:] = 0  # what was sent has been taken
    await until(lambda: len(b.payloads()) == 20)
    assert all(same(p.image, image(n, (500, 500, 3))) for n, p in enumerate(b.payloads()))


async def test_a_peer_that_is_gone_costs_nothing(make: Make) -> None:
    a, b = make("a"), make("b")
    await join(a, b)
    await b.post.close()
    for n in range(100):
        a.post.send("b", [m(text(n, VideoFrame(image(1)))), ("n", 1, n)])
        if n % 10 == 0:
            await asyncio.sleep(0.001)
    a.post.disconnect("b")
    await until(lambda: a.busy == 0)
    again = make("b", 1)
    await join(a, again)
    a.post.send("b", [("n", 1, 5)])
    await until(lambda: again.got == [("a", [("n", 1, 5)])])


async def test_a_stranger_on_the_socket_harms_nobody() -> None:
    with tempfile.TemporaryDirectory(prefix="os-") as folder:
        a, b = Box(UnixPost, folder, "a"), Box(UnixPost, folder, "b")
        b.post.connect("a", 0, a.post.address)
        a.post.connect("b", 0, b.post.address)
        r = random.Random(6)
        for n in range(30):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(b.post.address.removeprefix("unix://"))
                raw.sendall(r.choice([b"", b"OS1\n", b"OS1\n\1\0\0\0" + bytes([n, 0, 0, 0, 0, 0, 0, 0])]) + r.randbytes(n))
        a.post.send("b", [("n", 1, 7)])
        await until(lambda: bool(b.got))
        assert b.got == [("a", [("n", 1, 7)])]
        await until(lambda: len(b.post._transport._readers) == 1)  # type: ignore[attr-defined]
        await a.post.close()
        await b.post.close()
        await b.post.close()


async def test_a_path_that_is_too_long_or_taken_is_one_sentence() -> None:
    with pytest.raises(LinkError, match="TMPDIR"):
        UnixPost("/tmp/" + "x" * 100, "a", 0)
    with tempfile.TemporaryDirectory(prefix="os-") as folder:
        Path(folder, "a.0.sock").touch()
        with pytest.raises(LinkError, match="no socket"):
            Box(UnixPost, folder, "a")
