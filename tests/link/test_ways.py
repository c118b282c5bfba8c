"""Peers on one host meet over the Unix socket and in shared memory, others over TCP, in one post."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.link.segment import LINK_NAME
from omnistream.link.tcp_line import TcpLine
from omnistream.link.tcp_terms import LinkKeys
from omnistream.link.unix import UnixLine
from omnistream.link.ways import ClusterPost
from omnistream.message import Features, Message

KEYS = LinkKeys.make()


@pytest.fixture
async def posts() -> AsyncIterator[tuple[dict[str, ClusterPost], dict[str, list[Any]]]]:
    """`a` and `b` on one host, `c` on another; all know each other."""
    with tempfile.TemporaryDirectory(prefix="os ") as one, tempfile.TemporaryDirectory(prefix="os ") as other:
        for folder in (one, other):
            memory = Path(folder, "memory")
            memory.mkdir(mode=0o700)
            Path(folder, LINK_NAME).symlink_to(memory)
        made = {
            name: ClusterPost(folder, name, 0, host=host, keys=KEYS, address="127.0.0.1")
            for name, folder, host in (("a", one, "host1"), ("b", one, "host1"), ("c", other, "host2"))
        }
        got: dict[str, list[Any]] = {name: [] for name in made}
        for name, post in made.items():
            post.open(lambda _, items, name=name: got[name].extend(items), pytest.fail)
        for name, post in made.items():
            for peer, there in made.items():
                if peer != name:
                    post.connect(peer, 0, there.address)
        yield made, got
        for post in made.values():
            await post.close()


async def until(done: Any) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_each_peer_is_reached_by_its_own_way(posts: Any) -> None:
    made, got = posts
    kinds = {(name, peer): type(line) for name, post in made.items() for peer, (_, line) in post._peers.items()}
    assert {k for k, kind in kinds.items() if kind is UnixLine} == {("a", "b"), ("b", "a")}
    assert {k for k, kind in kinds.items() if kind is TcpLine} == {("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")}
    await until(lambda: made["a"]._sharing)
    data = np.arange(100_000, dtype=np.float32)
    message = Message("a.out", 0, 0, ("a.out", 0, 0), 10, 5, 205, {"a.out": 5}, Features(data.reshape(1, -1)))
    for peer in ("b", "c"):
        made["a"].send(peer, [("m", 1, 11, True, message)])
    await until(lambda: got["b"] and got["c"])
    for peer in ("b", "c"):
        assert np.array_equal(got[peer][0][4].payload.data[0], data)
    assert set(made["a"]._sharing) == {"b"}
    assert set(made["c"]._sharing) == set()


async def test_the_address_says_no_secret(posts: Any) -> None:
    made, _ = posts
    for post in made.values():
        for key in (KEYS.server_secret, KEYS.client_secret):
            assert key.decode() not in post.address
