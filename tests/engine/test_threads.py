"""A worker's process keeps to the threads of its plan, on both engines, and in a replay to those of the run."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import keep, replayed, run_fresh, run_live

from omnistream.engine.priority import FIRST
from omnistream.engine.threads import keep_to
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS


def counting(folder: Path, first: int, second: int) -> Plan:
    """A source, and two workers that count, with so many threads each: the first what flows, the second commands."""

    def counts(name: str, stream: str) -> NodeInfo:
        queue = Queue("drop_oldest", 4) if name == "a" else Queue("block", 4)
        inputs = (Input(PortConfig("item", "each", queue), (stream,), "message"),)
        options = {"file": str(folder / name)}
        return NodeInfo(name, "", "thread_nodes:Counts", "node", options, inputs, ("out",), blocking=True)

    stamps = [10 * MS, 20 * MS]
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", {"stamps": stamps, "pace": True}, (), ("out",)),
        "a": counts("a", "s.out"),
        "b": counts("b", "a.out"),
    }
    workers = (WorkerPlan("s", ("s",)), WorkerPlan("a", ("a",), threads=first), WorkerPlan("b", ("b",), threads=second))
    return Plan(Graph("counting", 200 * MS, nodes), workers)


def found(folder: Path, name: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    (folder / name).unlink()
    return rows


def all_say(rows: list[dict[str, Any]], threads: int) -> None:
    assert len(rows) == 2
    for row in rows:
        assert (row["ctx"], row["torch"], row["blas"]) == (threads, threads, [threads])
        assert set(row["variables"].values()) == {str(threads)}


def nicest() -> int:
    """How far this user may come first."""
    said = subprocess.run(["nice", "-n", str(FIRST), "nice"], capture_output=True, text=True, check=True).stdout
    return int(said)


@pytest.fixture(autouse=True)
def _one_again():
    yield
    keep_to(1)


@pytest.mark.ray
async def test_workers_on_ray_keep_to_their_own_threads_and_those_with_commands_come_first(tmp_path: Path) -> None:
    from test_ray import on_ray

    plan = counting(tmp_path, 3, 1)
    await on_ray(plan, fresh=False)
    frames, commands = found(tmp_path, "a"), found(tmp_path, "b")
    all_say(frames, 3)
    all_say(commands, 1)
    assert {row["nice"] for row in frames} == {os.getpriority(os.PRIO_PROCESS, 0)}, "not behind the others, as Ray has it"
    assert {row["nice"] for row in commands} == {nicest()}


async def test_workers_of_one_process_keep_to_the_most_of_them_together_and_a_fresh_replay_to_one(tmp_path: Path) -> None:
    plan = counting(tmp_path, 2, 1)
    assert (await run_live(plan)).nodes["b"]["out"] == 2
    assert [{row["ctx"] for row in found(tmp_path, n)} for n in "ab"] == [{2}, {1}]
    await run_fresh(plan)
    all_say(found(tmp_path, "a"), 1)
    all_say(found(tmp_path, "b"), 1)


async def test_an_as_recorded_replay_has_the_threads_of_the_run(tmp_path: Path) -> None:
    plan = counting(tmp_path, 2, 3)
    outcome = await run_live(plan, record_in=str(tmp_path))
    for name in "ab":
        found(tmp_path, name)
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    elsewhere = dataclasses.replace(plan, workers=tuple(dataclasses.replace(w, threads=1) for w in plan.workers))
    again, cut = await replayed(elsewhere, tmp_path / "run.mcap")
    assert (again.digest, cut) == (outcome.digest, {})
    assert [{(row["ctx"], row["torch"]) for row in found(tmp_path, n)} for n in "ab"] == [{(2, 2)}, {(3, 3)}]


def test_who_may_not_change_it_is_told_what_would_help() -> None:
    program = """if True:
        import os
        from omnistream.engine.priority import take_place
        os.nice(15)
        if os.geteuid() == 0:  # who may do all becomes nobody
            os.setgid(65534)
            os.setuid(65534)
        print(take_place(first=True))
        """
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "(nice 15)" in said
    assert "RAY_worker_niceness=0" in said
