"""Graphs whose workers have real posts between them, sockets and shared memory, in one process where both can be disturbed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import post_nodes
import pytest
from running import check_accounts

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.worker import Worker
from omnistream.graph.graph import Plan
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan
from omnistream.link import views
from omnistream.link.segment import LINK_NAME
from omnistream.link.unix import UnixPost

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
        post.open(worker.exchange.receive, lambda text: worker.report(name, "garbage", text))
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


async def run(queue: str, run_dir: str) -> Any:
    plan = make_plan(parse_graph(TEXT.replace("QUEUE", queue), str(Path(post_nodes.__file__).with_name("g.yaml"))), "each")
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
