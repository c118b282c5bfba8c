"""Threads for models: chosen from the cores, never more than there are; what the file says goes first."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers_graph import load, nodes
from hypothesis import given
from hypothesis import strategies as st

from omnistream.graph import host as host_module
from omnistream.graph.graph import Plan
from omnistream.graph.host import Host, Member
from omnistream.graph.plan import make_plan

HEARS = "a: {use: Mic}\nx: {use: Speech, inputs: {audio: a}, on: w}\ny: {use: Speech, inputs: {audio: a}, on: v}"


def planned(host: Host, workers: str = "", body: str = HEARS) -> Plan:
    return make_plan(load(nodes(body, f"workers: {{{workers}}}\n" if workers else "")), host=host)


def threads(plan: Plan) -> dict[str, int]:
    return {w.name: w.threads for w in plan.workers}


def crowded(plan: Plan) -> list[str]:
    return [n for n in plan.notices if "threads" in n]


@pytest.mark.parametrize(("cores", "each"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (7, 3), (8, 3), (9, 4), (64, 4)])
def test_models_share_the_cores_but_one(cores: int, each: int) -> None:
    plan = planned(Host(cores))
    assert threads(plan) == {"a": 1, "w": each, "v": each}
    assert plan.why_threads["a"] == "no model: no step blocks"
    capped = "; 4 at most" if cores > 9 else ""
    said = f"2 models on {cores} cores, one left for all else{capped}" if cores > 1 else "2 models on 1 core"
    assert plan.why_threads["w"] == said
    assert crowded(plan) == []


def test_two_models_in_one_worker_count_twice() -> None:
    both = HEARS.replace("on: v", "on: w")
    assert threads(planned(Host(9), body=both)) == {"a": 1, "w": 4}
    assert threads(planned(Host(5), body=both)) == {"a": 1, "w": 2}
    assert make_plan(load(nodes(both)), "one", Host(5)).workers[0].threads == 2
    assert {w.threads for w in make_plan(load(nodes(both)), "each", Host(5)).workers} == {1, 2}


def test_what_the_file_says_goes_first_and_the_others_share_the_rest() -> None:
    plan = planned(Host(8), "w: {threads: 6}")
    assert threads(plan) == {"a": 1, "w": 6, "v": 1}
    assert plan.why_threads["w"] == "as `threads` says"
    plan = planned(Host(8), "w: {cpu: 3}")
    assert threads(plan) == {"a": 1, "w": 3, "v": 4}
    assert plan.why_threads["w"] == "`cpu: 3` for 1 model"
    assert threads(planned(Host(8), "w: {cpu: 0.5}")) == {"a": 1, "w": 1, "v": 3}


def test_more_threads_than_cores_are_told_with_the_numbers() -> None:
    asks = "w: {threads: 3}, v: {threads: 2}"
    assert crowded(planned(Host(5), asks)) == []
    assert crowded(planned(Host(4), asks)) == [
        "the workers ask for 5 inference threads (w 3, v 2), and there are 4 cores: models will wait for each other; lower "
        "`threads`, or leave it out"
    ]
    assert crowded(planned(Host(1), "w: {threads: 1}, v: {threads: 1}")) == []  # there is no less


@given(st.integers(1, 40), st.integers(0, 6), st.integers(0, 4), st.integers(0, 20))
def test_never_more_in_all_than_cores(cores: int, shared: int, said: int, threads_said: int) -> None:
    body = "a: {use: Mic}\n" + "".join(f"n{i}: {{use: Speech, inputs: {{audio: a}}}}\n" for i in range(shared))
    body += "".join(f"s{i}: {{use: Speech, inputs: {{audio: a}}, on: w{i}}}\n" for i in range(said))
    workers = ", ".join(f"w{i}: {{threads: {threads_said or 1}}}" for i in range(said))
    plan = planned(Host(cores), workers, body)
    found = threads(plan)
    chosen = [found[f"n{i}"] for i in range(shared)]
    taken = said * (threads_said or 1)
    assert all(1 <= n <= 4 for n in chosen)
    assert all(found[f"w{i}"] == (threads_said or 1) for i in range(said))
    assert sum(chosen) + taken <= cores or set(chosen) <= {1}
    assert bool(crowded(plan)) == (threads_said > 1 and taken > cores)


def test_on_a_cluster_the_poorest_host_that_a_worker_may_come_to_counts() -> None:
    small, large = Member(3, {"site": "robot"}), Member(17, {"site": "desk", "gpu": "yes"})
    cluster = Host(20, cluster=(small, large))
    assert threads(planned(cluster)) == {"a": 1, "w": 1, "v": 1}
    assert threads(planned(cluster, "w: {labels: {site: desk}}")) == {"a": 1, "w": 4, "v": 2}
    assert threads(planned(cluster, "w: {labels: {gpu: 'yes'}}, v: {labels: {site: robot}}")) == {"a": 1, "w": 4, "v": 2}
    assert threads(planned(cluster, "w: {labels: {site: moon}}"))["w"] == 1  # Ray refuses it by name
    (notice,) = crowded(planned(cluster, "w: {threads: 18}, v: {threads: 4}"))
    assert "18 inference threads (w 18, v 4), and no host has more than 17 cores" in notice
    assert crowded(planned(cluster, "w: {threads: 16}, v: {threads: 16}")) == []


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "broken"}, 64),
        ({}, 64),
    ],
)
def test_a_container_has_the_cores_that_it_is_given_time_for(
    files: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(host_module, "Path", lambda p: tmp_path / p.removeprefix("/sys/fs/cgroup/"))
    monkeypatch.setattr(host_module, "_gpus", lambda: 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    assert Host.here().cpus == cores


def test_a_host_in_words() -> None:
    assert [str(Host(2)), str(Host(1, 1)), str(Host(16, 2))] == [
        "2 cores and no GPU", "1 core and 1 GPU", "16 cores and 2 GPUs",
    ]  # fmt: skip
