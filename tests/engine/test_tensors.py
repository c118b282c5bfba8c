"""Tensors in a graph: by reference inside a worker, and the same answer wherever the plan has put the nodes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import tensor_nodes
import torch
from running import check_accounts, keep, replayed, run_fresh, run_live
from tensor_nodes import GIVEN

from omnistream.graph.graph import Plan
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import Layout, make_plan

TEXT = """\
graph: tensors
nodes:
  s: {use: "tensor_nodes:Frames"}
  e: {use: "tensor_nodes:Encode", inputs: {frame: {from: s, queue: {block: 8}}}}
  h: {use: "tensor_nodes:Halve", inputs: {features: {from: e, queue: {block: 8}}}}
  n: {use: "tensor_nodes:Sums", inputs: {features: {from: h, queue: {block: 8}}}}
  k: {use: "tensor_nodes:Keeps", inputs: {message: {from: [e, h, n], queue: {block: 8}}}}
"""


def planned(layout: Layout, kind: str = "float32") -> Plan:
    folder = Path(tensor_nodes.__file__).parent
    return make_plan(parse_graph(TEXT, str(folder / "tensors.yaml"), sets=[f"nodes.e.with.kind={kind}"]), layout)


@pytest.fixture(autouse=True)
def _none_given():
    GIVEN.clear()


async def test_one_worker_or_five_tensors_or_arrays_the_digest_is_the_same() -> None:
    digests = {
        (layout, kind): (await run_fresh(planned(layout, kind))).digest
        for layout in ("one", "planned", "each")
        for kind in ("float32", "array")
    }
    assert len(set(digests.values())) == 1
    assert None not in digests.values()
    assert {type(d).__name__ for d in GIVEN} == {"Tensor", "ndarray"}


async def test_inside_a_worker_it_is_the_very_tensor() -> None:
    outcome = await run_fresh(planned("one"))
    assert outcome.nodes["k"]["in"] == 18
    times = Counter(id(given) for given in GIVEN if isinstance(given, torch.Tensor))
    assert list(times.values()) == [2] * 6  # as it was sent, and as it was taken


async def test_live_and_as_it_was_recorded(tmp_path: Path) -> None:
    plan = planned("each")
    outcome = await run_live(plan, record_in=str(tmp_path))
    assert outcome.nodes["k"]["in"] == 18
    check_accounts(outcome)
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    again, cut = await replayed(plan, tmp_path / "run.mcap")
    assert (again.digest, cut) == (outcome.digest, {})


@pytest.mark.parametrize("layout", ["one", "each"])
async def test_what_has_no_array_is_refused_where_it_is_sent_in_every_layout(layout: Layout) -> None:
    outcome = await run_fresh(planned(layout, "bfloat16"))
    assert outcome.nodes["e"]["out"] == 0
    assert outcome.ledger == {"error": 6}
    assert "Features.data cannot hold a tensor of bfloat16" in outcome.rows[0].detail
    assert outcome.nodes["k"]["in"] == 0


@pytest.mark.ray
async def test_on_ray_too(tmp_path: Path) -> None:
    from test_ray import on_ray

    plan = planned("each")
    outcome = await on_ray(plan, fresh=True)
    assert outcome.nodes["k"]["in"] == 18
    assert not outcome.ledger
    assert outcome.digest == (await run_fresh(planned("one"))).digest


@pytest.mark.gpu
@pytest.mark.ray
async def test_on_gpus_of_two_workers_on_ray() -> None:
    from test_ray import on_ray

    folder = Path(tensor_nodes.__file__).parent
    sets = ["nodes.e.with.device=cuda", "nodes.e.on=e", "nodes.h.on=h"]
    sets += [f"workers.{w}={{gpu: 0.4, gpu_required: true}}" for w in "eh"]
    plan = make_plan(parse_graph(TEXT, str(folder / "tensors.yaml"), sets=sets), "planned")
    outcome = await on_ray(plan, fresh=True)
    assert not outcome.ledger
    assert outcome.digest == (await run_fresh(planned("one"))).digest
