"""Graphs whose workers have real posts between them, sockets and shared memory, in one process where both can be disturbed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import post_nodes
import pytest
from running import check_accounts

from omnistream.clock import SystemClock
from omnistream.engine import news
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.worker import Worker
from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan
from omnistream.link import views
from omnistream.link.segment import LINK_NAME
from omnistream.link.unix import UnixPost
from omnistream.message import Message, VideoFrame

TEXT = """\
graph: posts
nodes:
  s: {use: "post_nodes:Frames"}
  k: {use: "post_nodes:Looks", inputs: {frame: {from: s, queue: QUEUE}}}
"""


class PostedCrew(LocalCrew):
    """Workers of one process that talk as those of several do."""

    def __init__(self, plan: Plan, clock: SystemClock, options: RunOptions) -> None:
        super().__init__(plan, clock, options)
        self.posts: dict[str, UnixPost] = {}

    def _make(self, name: str, options: RunOptions) -> Worker:
        worker = super()._make(name, options)
        post = self.posts[name] = UnixPost(options.run_dir, name, options.incarnation)
        worker.exchange.post = post
        post.open(worker.receive, lambda text: worker.report(name, "garbage", text))
        return worker

    def addresses(self) -> dict[str, tuple[int, str]]:
        return {name: (self.incarnations[name], self.posts[name].address) for name in self.workers}

    async def end(self) -> None:
        await super().end()
        for post in self.posts.values():
            await post.close()


@pytest.fixture
def run_dir() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="os-") as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        Path(folder, LINK_NAME).symlink_to(memory)
        yield folder


def planned(queue: str) -> Plan:
    return make_plan(parse_graph(TEXT.replace("QUEUE", queue), str(Path(post_nodes.__file__).with_name("g.yaml"))), "each")


async def run(queue: str, run_dir: str) -> Any:
    plan = planned(queue)
    clock = SystemClock()
    crew = PostedCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns, run_dir=run_dir))
    return await asyncio.wait_for(Conductor(plan, crew, clock, fresh=False).run(), 20)


@pytest.mark.parametrize("queue", ["{block: 1}", "newest"])
async def test_a_slot_that_cannot_be_mapped_costs_its_message_and_not_the_run(
    run_dir: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = views.attach
    failed: list[int] = []

    def attach_later(*args: Any) -> Any:
        if not failed:
            failed.append(1)
            raise OSError(12, "Cannot allocate memory")
        return attach(*args)

    monkeypatch.setattr(views, "attach", attach_later)
    outcome = await run(queue, run_dir)
    assert failed
    assert outcome.ledger["garbage"] == 1
    fates = next(iter(outcome.edges.values()))["fates"]
    assert fates["garbage"] == 1
    assert sum(fates.values()) == 30
    check_accounts(outcome)


async def test_a_peer_that_speaks_of_edges_it_has_no_end_of_is_not_heard(run_dir: str) -> None:
    clock = SystemClock()
    crew = PostedCrew(planned("{block: 1}"), clock, RunOptions(offset_ns=clock.offset_ns, run_dir=run_dir))
    await crew.begin()
    try:
        exchange = crew.workers["k"].exchange
        known = next(iter(exchange.inbound))
        message = Message("s.out", 0, 0, ("s.out", 0, 0), 1, 1, 1, {}, VideoFrame(np.zeros((2, 2), np.uint8)))
        items = [
            ("m", 99, 5, False, message), ("u", 99, 5, False, 0), ("b", 99, 5), ("n", known, 5), ("c", known, 1, {}),
            ("a", known, 0, 1, "done"), ("p", known, 0, 0), ("h", {known: (0, 0, 0, {}, 0, False)}),
        ]  # fmt: skip
        exchange.receive("s", [*items, ("b", known, 7)])
        assert exchange.inbound[known].edge.bound == 7
        exchange.receive("x", [("b", known, 8)])
        assert exchange.inbound[known].edge.bound == 7
        assert crew.workers["k"].ledger.counts == {"garbage": len(items) + 1}
    finally:
        await crew.end()


async def test_who_waits_for_news_of_a_worker_hears_at_once_that_it_is_gone(
    run_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_SILENT_S", 3600)
    clock = SystemClock()
    crew = LocalCrew(planned("{block: 1}"), clock, RunOptions(offset_ns=clock.offset_ns, run_dir=run_dir))
    await crew.begin()
    await crew.call("k", "news")
    waiting = asyncio.ensure_future(crew.call("k", "news"))
    await asyncio.sleep(0)
    await crew.kill("k")
    with pytest.raises(OmniStreamError, match="k was killed"):
        await asyncio.wait_for(waiting, 20)
    await crew.end()
