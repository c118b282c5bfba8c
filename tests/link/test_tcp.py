"""The way to other hosts: heard is who has the keys, and a bad network loses, doubles and reorders nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from processes import free_port

from omnistream.errors import LinkError
from omnistream.link.pieces import cut
from omnistream.link.post import HostPost
from omnistream.link.tcp import TcpTransport
from omnistream.link.tcp_terms import LinkKeys, Timing
from omnistream.message import Features, Message

QUICK = Timing(beat_s=0.1, silence_s=0.5, again_s=0.01, again_most_s=0.05)
KEYS = LinkKeys.make()


class End:
    """One transport and the numbers and parts that came to it."""

    def __init__(self, keys: LinkKeys = KEYS, ports: tuple[int, int] | None = None, timing: Timing = QUICK) -> None:
        self.transport = TcpTransport(keys, "127.0.0.1", ports, timing)
        self.port = int(self.transport.address.rpartition(":")[2])
        self.got: list[list[bytes]] = []
        self.garbage: list[str] = []
        self.news = asyncio.Event()
        self.transport.listen(self.take, self.trash)

    def take(self, parts: list[Any]) -> None:
        self.got.append([bytes(p) for p in parts])
        self.news.set()

    def trash(self, text: str) -> None:
        self.garbage.append(text)
        self.news.set()

    def numbers(self) -> list[int]:
        return [struct.unpack_from("<Q", parts[0])[0] for parts in self.got]

    async def until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                self.news.clear()
                await self.news.wait()


def numbered(n: int, size: int = 0) -> list[bytes]:
    return [struct.pack("<Q", n), bytes([n % 256]) * size]


def spoken(n: int, line: bytes = b"friendly") -> bytes:
    """A batch as a line puts it into words."""
    ((more, buffers),) = cut(numbered(n))
    return b"".join([struct.pack("<8sQ?", line, n, more), *buffers])


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., End]]:
    ends: list[End] = []

    def end(*args: Any, **more: Any) -> End:
        ends.append(End(*args, **more))
        return ends[-1]

    yield end
    for e in ends:
        await e.transport.close()
        await e.transport.close()


class Relay:
    """A bad network: passes bytes between those who connect to it and `port`, as it is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.delay_s = 0.0
        self.rate = 0  # bytes a second; what a wire holds is little then
        self.passing = asyncio.Event()
        self.passing.set()
        self.refusing = False
        self.made = 0
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        listener = socket.create_server(("127.0.0.1", 0))
        if self.rate:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self._server = await asyncio.start_server(self._met, sock=listener, limit=1 << 14)
        self.address = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self._end(writer, reset=True)
            return
        self.made += 1
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._pairs.add((writer, there))
        for a, b in ((reader, there), (there_reader, writer)):
            task = asyncio.create_task(self._pass(a, b))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 14):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self.passing.wait()
                if self.rate:
                    await asyncio.sleep(len(data) / self.rate)
                writer.write(data)
                await writer.drain()
        self._end(writer)

    def _end(self, writer: asyncio.StreamWriter, reset: bool = False) -> None:
        if reset:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort() if reset else writer.close()

    def cut(self, reset: bool = False) -> None:
        """End all connections; what they held is lost."""
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for writer in pair:
                self._end(writer, reset)


# -- who is heard ---------------------------------------------------------------------------------


async def test_batches_arrive_whole_and_in_order(make: Callable[..., End]) -> None:
    a, b = make(), make()
    there, back = a.transport.dial(b.transport.address), b.transport.dial(a.transport.address)
    r = random.Random(1)
    sent = [[struct.pack("<Q", n), *(r.randbytes(r.choice([0, 1, 70_000])) for _ in range(n % 4))] for n in range(300)]
    for n, parts in enumerate(sent):
        there.send([memoryview(p) for p in parts])
        back.send(numbered(n))
    await b.until(lambda: len(b.got) == 300)
    await a.until(lambda: len(a.got) == 300)
    assert b.got == sent
    assert a.numbers() == list(range(300))
    assert a.garbage == b.garbage == []


async def test_what_was_read_is_no_longer_kept(make: Callable[..., End]) -> None:
    a, b = make(), make()
    line = a.transport.dial(b.transport.address)
    for n in range(100):
        line.send(numbered(n, 1000))
    await b.until(lambda: len(b.got) == 100)
    async with asyncio.timeout(5):
        while line._kept:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert line._bytes == 0


def keyed(kind: str, context: zmq.Context[Any], end: End) -> Any:
    """A socket without keys, with keys of its own, with all but the secret one, or with all: that of a friend."""
    s = context.socket(zmq.DEALER)
    s.setsockopt(zmq.LINGER, 0)
    s.setsockopt(zmq.HANDSHAKE_IVL, 500)
    if kind != "none":
        s.curve_serverkey = KEYS.server_public if kind != "another run's" else LinkKeys.make().server_public
        s.curve_publickey, s.curve_secretkey = zmq.curve_keypair()
        if kind == "the public one":
            s.curve_publickey = KEYS.client_public
        elif kind == "friend":
            s.curve_publickey, s.curve_secretkey = KEYS.client_public, KEYS.client_secret
            s.setsockopt(zmq.ROUTING_ID, b"Lfriendly")
    s.connect(end.transport.address)
    return s


@pytest.mark.parametrize("kind", ["none", "its own", "another run's", "the public one"])
async def test_nobody_without_the_keys_is_heard(make: Callable[..., End], kind: str) -> None:
    b = make()
    with zmq.Context() as context:
        stranger = keyed(kind, context, b)
        for n in range(5):
            stranger.send(spoken(n, b"stranger"), zmq.NOBLOCK)
        await asyncio.sleep(0.4)
        a = make()
        a.transport.dial(b.transport.address).send(numbered(77))
        await b.until(lambda: bool(b.got))
        await asyncio.sleep(0.2)
        stranger.close()
    assert b.numbers() == [77]
    assert [("without the keys" in text) for text in b.garbage] == ([True] if kind == "its own" else [])


async def test_a_listener_without_the_secret_is_told_nothing(make: Callable[..., End]) -> None:
    """Who sits at a worker's address after it does not get what was meant for it."""
    a = make()
    impostor = LinkKeys(*zmq.curve_keypair(), KEYS.client_public, KEYS.client_secret)
    b = make(impostor)
    line = a.transport.dial(b.transport.address)
    line.send(numbered(1))
    await asyncio.sleep(0.5)
    assert b.got == []
    assert len(line._kept) == 1


async def test_garbage_and_what_is_too_large_harm_nobody(make: Callable[..., End], monkeypatch: pytest.MonkeyPatch) -> None:
    b = make()
    r = random.Random(2)
    for start in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03", b"\xff" * 9 + b"\x7f"):
        with socket.create_connection(("127.0.0.1", b.port)) as raw, contextlib.suppress(OSError):
            raw.sendall(start + r.randbytes(5000))
    with zmq.Context() as context:
        friend = keyed("friend", context, b)
        for parts in ([b""], [b"x"], [b"x", b"y", b"z"], [b"", b"", b""], [spoken(0), b"a"], [bytes(17)], [bytes(18)]):
            friend.send_multipart(parts)
        await b.until(lambda: len(b.garbage) == 7)
        friend.close()
    a = make()
    monkeypatch.setattr("omnistream.link.tcp_line._LARGEST", 1000)
    line = a.transport.dial(b.transport.address)
    line.send(numbered(0))
    line.send(numbered(1, 1001))
    line.send(numbered(2))
    await b.until(lambda: len(b.got) == 2)
    assert b.numbers() == [0, 2]
    assert "too large" in a.garbage[0]


async def test_keys_are_not_shown() -> None:
    for key in (KEYS.server_secret, KEYS.client_secret):
        assert key.decode() not in repr(KEYS)


# -- a bad network --------------------------------------------------------------------------------


@pytest.mark.parametrize("ill", ["delay", "stall", "long stall", "cut", "reset", "refused"])
async def test_nothing_is_lost_twice_or_out_of_order(make: Callable[..., End], ill: str) -> None:
    a, b = make(), make()
    async with Relay(b.port) as relay:
        line = a.transport.dial(relay.address)
        count = 400
        for n in range(count):
            line.send(numbered(n, 200_000 if n % 50 == 7 else 20))
            if n % 20 == 0:
                await asyncio.sleep(0.005)
            if n % 100 == 50:
                if ill == "delay":
                    relay.delay_s = 0.02
                elif "stall" in ill:
                    relay.passing.clear()
                    asyncio.get_running_loop().call_later(1.2 if ill == "long stall" else 0.2, relay.passing.set)
                elif ill == "refused":
                    relay.refusing = True
                    relay.cut()
                    asyncio.get_running_loop().call_later(0.3, setattr, relay, "refusing", False)
                else:
                    relay.cut(reset=ill == "reset")
                await asyncio.sleep(0.05)
        await b.until(lambda: len(b.got) >= count)
        await asyncio.sleep(0.1)
        assert relay.made == 1 if ill in ("delay", "stall") else relay.made > 1
    assert b.numbers() == list(range(count))
    assert all(parts[1] == bytes([n % 256]) * len(parts[1]) for n, parts in enumerate(b.got))
    assert a.garbage == b.garbage == []


async def test_the_last_batch_before_a_break_comes_with_the_new_connection(make: Callable[..., End]) -> None:
    """Though nothing follows it that would show the gap, and long before anything is thought late."""
    a, b = make(timing=Timing(again_s=0.01)), make(timing=Timing())
    async with Relay(b.port) as relay:
        line = a.transport.dial(relay.address)
        line.send(numbered(0))
        await b.until(lambda: bool(b.got))
        relay.passing.clear()
        for n in range(1, 4):
            line.send(numbered(n))
        await asyncio.sleep(0.1)
        relay.cut(reset=True)
        relay.passing.set()
        await b.until(lambda: len(b.got) == 4, seconds=3)
    assert b.numbers() == [0, 1, 2, 3]


async def test_a_batch_that_takes_longer_than_the_silence_crosses_a_slow_wire(
    make: Callable[..., End], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be cut off and begun again for ever, if heartbeats waited behind it."""
    monkeypatch.setattr("omnistream.link.tcp_terms._UNSENT", 1 << 14)
    monkeypatch.setattr("omnistream.link.pieces.PIECE", 1 << 15)
    timing = Timing(beat_s=0.1, silence_s=0.6, again_s=0.01)
    a, b = make(timing=timing), make(timing=timing)
    relay = Relay(b.port)
    relay.rate = 400_000
    async with relay:
        line = a.transport.dial(relay.address)
        line.send(numbered(0, 1_000_000))
        line.send(numbered(1))
        await b.until(lambda: len(b.got) == 2, seconds=12)
    assert relay.made == 1
    assert b.numbers() == [0, 1]
    assert b.got[0][1] == bytes(1_000_000)


async def test_a_gap_is_asked_for_and_not_jumped(make: Callable[..., End]) -> None:
    b = make()
    with zmq.Context() as context:
        friend = keyed("friend", context, b)
        for n in (0, 1, 3, 4, 1):
            friend.send(spoken(n))
        said: list[tuple[Any, ...]] = []
        async with asyncio.timeout(5):
            while not said or not said[-1][2]:
                if friend.poll(0):
                    said.append(struct.unpack("<8sQ?", friend.recv()))
                await asyncio.sleep(0.01)
        assert said[-1] == (b"friendly", 2, True)
        for n in (2, 3, 4):
            friend.send(spoken(n))
        await b.until(lambda: len(b.got) == 5)
        friend.close()
    assert b.numbers() == [0, 1, 2, 3, 4]


@pytest.mark.slow
async def test_any_weather_for_a_while(make: Callable[..., End]) -> None:
    """Both directions at once, through whatever comes."""
    await asyncio.gather(*(_weather(make, seed) for seed in range(3)))


async def _weather(make: Callable[..., End], seed: int) -> None:
    r = random.Random(seed)
    a, b = make(), make()
    async with Relay(b.port) as up, Relay(a.port) as down:
        lines = [a.transport.dial(up.address), b.transport.dial(down.address)]
        n = 0
        until = asyncio.get_running_loop().time() + 6
        while asyncio.get_running_loop().time() < until:
            for _ in range(r.randrange(60)):
                for line in lines:
                    line.send(numbered(n, r.choice([0, 10, 100, 100_000])))
                n += 1
            relay = r.choice([up, down])
            ill = r.random()
            if ill < 0.1:
                relay.cut(reset=r.random() < 0.5)
            elif ill < 0.2:
                relay.passing.clear()
            elif ill < 0.5:
                relay.passing.set()
                relay.delay_s = r.choice([0, 0, 0, 0.01])
            await asyncio.sleep(r.random() * 0.05)
        for relay in (up, down):
            relay.delay_s = 0
            relay.passing.set()
        for end in (a, b):
            await end.until(lambda end=end: len(end.got) >= n)
        await asyncio.sleep(0.2)
        assert up.made + down.made > 4
    assert a.numbers() == b.numbers() == list(range(n))


async def test_a_peer_that_comes_up_late_gets_all(make: Callable[..., End]) -> None:
    a = make()
    port = free_port()
    line = a.transport.dial(f"tcp://127.0.0.1:{port}")
    for n in range(50):
        line.send(numbered(n))
    await asyncio.sleep(0.1)
    b = make(ports=(port, port))
    await b.until(lambda: len(b.got) == 50)
    assert b.numbers() == list(range(50))


async def test_a_new_life_at_the_same_port_is_not_taken_for_the_old(make: Callable[..., End]) -> None:
    """What the old one had not read does not come to the new one from the middle on."""
    a, b = make(), make()
    line = a.transport.dial(b.transport.address)
    line.send(numbered(0))
    await b.until(lambda: bool(b.got))
    async with asyncio.timeout(5):
        while line._kept:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await b.transport.close()
    for n in range(1, 20):
        line.send(numbered(n))
    again = make(ports=(b.port, b.port))
    await asyncio.sleep(0.3)
    assert again.got == []
    line.close()
    a.transport.dial(again.transport.address).send(numbered(99))
    await again.until(lambda: bool(again.got))
    assert again.numbers() == [99]


async def test_a_peer_that_reads_nothing_for_ever_is_told_of(make: Callable[..., End], monkeypatch: pytest.MonkeyPatch) -> None:
    a = make()
    monkeypatch.setattr("omnistream.link.tcp_line.WINDOW", 1000)
    told: list[str] = []
    a.transport.broken = told.append
    line = a.transport.dial("tcp://127.0.0.1:9")
    for n in range(100):
        line.send(numbered(n, 100))
    assert len(told) == 1


# -- ports and addresses --------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of which the next two are free, and which is not."""
    while True:
        port = free_port()
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(socket.socket()) for _ in range(3)]
            try:
                for n, s in enumerate(socks):
                    s.bind(("127.0.0.1", port + n))
            except OSError:
                continue
            socks[1].close()
            socks[2].close()
            socks[0].listen()
            yield port
            return


async def test_the_first_free_port_of_the_range_is_taken(make: Callable[..., End], taken: int) -> None:
    assert make(ports=(taken, taken + 2)).port == taken + 1
    assert make(ports=(taken, taken + 2)).port == taken + 2
    with pytest.raises(LinkError, match=f"no port of {taken}-{taken + 2} is free"):
        make(ports=(taken, taken + 2))


async def test_an_address_from_outside_is_told_and_all_are_listened_at(make: Callable[..., End]) -> None:
    transport = TcpTransport(KEYS, "robot.example", None, QUICK)
    port = transport.address.removeprefix("tcp://robot.example:")
    b = End.__new__(End)
    b.transport, b.got, b.garbage, b.news = transport, [], [], asyncio.Event()
    transport.listen(b.take, b.trash)
    make().transport.dial(f"tcp://127.0.0.1:{port}").send(numbered(5))
    await b.until(lambda: bool(b.got))
    await transport.close()


# -- with a post ----------------------------------------------------------------------------------


async def test_arrays_cross_between_posts_that_share_no_memory() -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        posts = {n: HostPost(d, n, 0, TcpTransport(KEYS, "127.0.0.1", None, QUICK)) for n, d in (("a", one), ("b", other))}
        got: list[Any] = []
        there = asyncio.Event()

        def take(_: str, items: list[Any]) -> None:
            got.extend(items)
            there.set()

        posts["a"].open(lambda *_: None, pytest.fail)
        posts["b"].open(take, pytest.fail)
        posts["a"].connect("b", 0, posts["b"].address)
        posts["b"].connect("a", 0, posts["a"].address)
        data = np.arange(300_000, dtype=np.float32).reshape(100, 3000)
        message = Message("a.out", 0, 0, ("a.out", 0, 0), 10, 5, 205, {"a.out": 5}, Features(data))
        posts["a"].send("b", [("m", 1, 11, True, message)])
        await asyncio.wait_for(there.wait(), 10)
        assert np.array_equal(got[0][4].payload.data, data)
        for post in posts.values():
            await post.close()
