from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from helpers_graph import load, nodes
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import GraphError
from omnistream.graph import host as host_module
from omnistream.graph.graph import Plan
from omnistream.graph.host import Host
from omnistream.graph.plan import label_notices, make_plan, workers_by_node

ONE_GPU = Host(cpus=4, gpus=1)
NO_GPU = Host(cpus=4, gpus=0)


def grouped(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {w.name: w.nodes for w in plan.workers}


def test_the_example_of_the_design(example: str) -> None:
    plan = make_plan(load(example), host=ONE_GPU)
    assert grouped(plan) == {
        "mic": ("mic",), "camera": ("camera",), "typed": ("typed",), "ears": ("speech", "parse"), "eyes": ("hands",),
        "mind": ("reason", "drive", "robot", "glasses"),
    }  # fmt: skip
    assert plan.notices == ()
    assert plan.why["drive"] == "rides along with reason, the only node it reads from"
    assert plan.why["mic"] == "its own: a source, which no model may delay"
    assert plan.why["speech"] == "on: ears"
    mind = plan.workers[-1]
    assert (mind.cpu, mind.gpu, mind.threads, mind.labels) == (1, 0.5, 1, {"site": "edge"})
    assert all((w.cpu, w.gpu) == (0, 0) for w in plan.workers[:-1])
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_one_and_each(example: str) -> None:
    graph = load(example)
    one = make_plan(graph, "one", ONE_GPU)
    assert grouped(one) == {"main": tuple(graph.nodes)}
    assert (one.workers[0].cpu, one.workers[0].gpu) == (0, 0.5)
    each = make_plan(graph, "each", ONE_GPU)
    assert grouped(each) == {n: (n,) for n in graph.nodes}
    assert sum(w.cpu for w in each.workers) == 1


@given(st.sampled_from(["planned", "one", "each"]), st.integers(1, 3), st.integers(0, 3))
def test_every_node_is_on_exactly_one_worker(layout: str, cpus: int, gpus: int) -> None:
    from helpers_graph import EXAMPLE

    graph = load(EXAMPLE)
    plan = make_plan(graph, layout, Host(cpus, gpus))
    placed = [n for w in plan.workers for n in w.nodes]
    assert sorted(placed) == sorted(graph.nodes)
    assert len({w.name for w in plan.workers}) == len(plan.workers)
    assert plan.why.keys() == graph.nodes.keys()
    assert workers_by_node(plan).keys() == graph.nodes.keys()


def test_who_rides_along() -> None:
    graph = load(
        nodes(
            """
            a: {use: Typed}
            b: {use: Mic}
            near: {use: Pass, inputs: {x: a}}
            nearer: {use: Pass, inputs: {x: near}}
            blocks: {use: Speech, inputs: {audio: b}}
            joins: {use: Show, inputs: {value: [near, b]}}
            loops: {use: Loop, inputs: {x: a, back: {from: loops, take: latest, delay: 1s}}}
            hears: {use: Loop, inputs: {x: a, back: {from: near, take: latest, delay: 1s}}}
            """
        )
    )
    plan = make_plan(graph, host=NO_GPU)
    assert grouped(plan) == {
        "a": ("a", "near", "nearer", "loops"), "b": ("b",), "blocks": ("blocks",), "joins": ("joins",), "hears": ("hears",),
    }  # fmt: skip
    assert plan.why["blocks"] == "its own: its step blocks: it computes for long"
    assert plan.why["joins"] == "its own: it reads from 2 nodes"


def test_a_worker_of_its_own_never_shares_a_name_that_others_use() -> None:
    graph = load(nodes("mic: {use: Mic}\nx: {use: Speech, inputs: {audio: mic}, on: mic}"))
    assert grouped(make_plan(graph, host=NO_GPU)) == {"mic_own": ("mic",), "mic": ("x",)}


def test_gpu_without_one_runs_on_the_cpu_with_a_notice(example: str) -> None:
    plan = make_plan(load(example), host=NO_GPU)
    assert plan.workers[-1].gpu == 0
    assert plan.notices == ("worker 'mind' asks for `gpu: 0.5`, and there is none here: it runs on the CPU",)


def test_labels_count_on_a_cluster_only(example: str) -> None:
    (notice,) = label_notices(load(example))
    assert notice.startswith("worker 'mind' asks for a host with site=edge: labels choose among the hosts of a Ray cluster")
    assert label_notices(load(example.replace("on: mind", "on: ears"))) == []  # no node is there


def test_gpu_required_without_one_is_refused(example: str) -> None:
    graph = load(example, sets=["workers.mind.gpu_required=true"])
    with pytest.raises(
        GraphError, match=r"g\.yaml:5: workers\.mind: the worker 'mind' requires `gpu: 0\.5`, and there is none here; run it"
    ):
        make_plan(graph, host=NO_GPU)
    assert make_plan(graph, host=ONE_GPU).workers[-1].gpu_required


@pytest.mark.parametrize(
    ("asks", "gpus", "given"),
    [
        ((0.5, 0.5), 1, (0.5, 0.5)),
        ((0.6, 0.6), 1, (0.6, 0)),
        ((0.6, 0.6), 2, (0.6, 0.6)),
        ((0.3, 2), 2, (0.3, 0)),
        ((2, 0.3), 3, (2, 0.3)),
        ((0.1, 0.2, 0.7), 1, (0.1, 0.2, 0.7)),
    ],
)
def test_gpus_are_given_while_there_are_any(asks: tuple[float, ...], gpus: int, given: tuple[float, ...]) -> None:
    workers = ", ".join(f"w{i}: {{gpu: {g}}}" for i, g in enumerate(asks))
    body = "\n".join(f"n{i}: {{use: Typed, on: w{i}}}" for i in range(len(asks)))
    plan = make_plan(load(nodes(body, f"workers: {{{workers}}}\n")), host=Host(4, gpus))
    assert tuple(w.gpu for w in plan.workers) == given


def test_more_cores_than_there_are_is_refused(example: str) -> None:
    graph = load(example, sets=["workers.mind.cpu=3", "workers.ears.cpu=2"])
    with pytest.raises(
        GraphError,
        match=r"g\.yaml:4: workers: the workers ask for 5 CPU cores \(ears 2, mind 3\), and there are 4; lower `cpu`",
    ):
        make_plan(graph, host=NO_GPU)
    assert make_plan(graph, "one", NO_GPU).workers[0].cpu == 0


def test_notices() -> None:
    graph = load(
        nodes("a: {use: Typed, on: mnid}\nb: {use: Hands, inputs: {frame: c}}\nc: {use: Cam}", "workers: {mind: {cpu: 1}}\n")
    )
    assert make_plan(graph, host=NO_GPU).notices == (
        "nobody reads 'a.out'",
        "nobody reads 'b.out' or 'b.stop'",
        "no node is `on: mind`, which `workers` describes; did you mean 'mnid'?",
    )


@pytest.mark.parametrize(
    ("visible", "devices", "gpus"),
    [(None, 2, 2), ("", 2, 0), ("-1", 2, 0), ("0", 2, 1), ("0,1,2", 2, 2), (None, 0, 0), ("0", 0, 0)],
)
def test_gpus_of_this_host(
    visible: str | None, devices: int, gpus: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for i in range(devices):
        (tmp_path / f"nvidia{i}").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(host_module, "Path", lambda p: tmp_path if p == "/dev" else tmp_path / "none")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Host.here().gpus == gpus
    assert Host.here().cpus >= 1
