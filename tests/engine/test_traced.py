"""Traces of live runs: whole, one to a cause, each span after the one that led to it, and nothing where none were asked for."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from test_live_laws import relay_chain
from test_measured import check_measured

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.ray import RayCrew
from omnistream.engine.rundir import RunDir
from omnistream.graph.graph import Plan
from omnistream.message import INFINITY, MS
from omnistream.observe import tracer
from omnistream.observe.otlp import OtlpExport, trace_id
from omnistream.observe.outcome import Outcome
from omnistream.observe.perfetto import TraceFile
from omnistream.observe.spans import Span, Spans
from omnistream.observe.tracer import Noted, sampled


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for key in [k for k in LOGS if k[0].startswith("traced")]:
        del LOGS[key]


async def noted_of(plan: Plan, share: float, engine: str = "local") -> tuple[Outcome, list[Noted], Conductor]:
    """A live run, and all that its workers noted down."""
    clock, home = SystemClock(), RunDir()
    try:
        options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path, trace_share=share)
        crew = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
        conductor = Conductor(plan, crew, clock, fresh=False)
        outcome = await asyncio.wait_for(conductor.run(), 60)
        return outcome, conductor.accounts.noted, conductor
    finally:
        home.remove()


def spans_of(plan: Plan, noted: list[Noted], share: float) -> list[Span]:
    spans = Spans(plan, share)
    spans.note(noted)
    return list(spans.ready(INFINITY))


def check_traces(spans: list[Span], share: float) -> dict[int, list[Span]]:
    """Each trace is a tree in which nobody begins before its parent, all of it between the cause and its last effect."""
    assert len({s.id for s in spans}) == len(spans)
    traces: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        traces[span.trace].append(span)
    for cause, found in traces.items():
        assert sampled(cause, share)
        by_id = {s.id: s for s in found}
        last = max(s.end_ns for s in found)
        assert [s for s in found if s.parent is None and s.kind != "source"] == []
        for span in found:
            assert min(cause, span.begin_ns) <= span.begin_ns <= span.end_ns <= last
            if span.kind == "source":
                assert span.begin_ns == min(cause, span.end_ns)
            else:
                assert span.parent in by_id, span
                assert by_id[span.parent].begin_ns <= span.begin_ns
                assert (span.kind == "wait") == (by_id[span.parent].kind in ("source", "step"))
    return traces


@pytest.mark.parametrize("seed", range(4))
async def test_every_firing_and_every_message_has_its_span(seed: int) -> None:
    graph = random_graph(seed, "traced", policies=("block", "newest", "drop_oldest"), scale=MS, wait_ns=3 * MS, pace=True)
    plan = layouts(graph, seed)["some"]
    outcome, noted, _ = await noted_of(plan, 1.0)
    spans = spans_of(plan, noted, 1.0)
    check_traces(spans, 1.0)
    steps = Counter(s.node for s in spans if s.kind in ("step", "sink"))
    assert steps == {n: s["firings"] for n, s in outcome.nodes.items() if s.get("firings")}
    assert Counter(s.node for s in spans if s.kind == "source") == {
        n: s["out"] for n, s in outcome.nodes.items() if s["role"] == "source" and s["out"]
    }
    waits = Counter(s.name for s in spans if s.kind == "wait")
    for info in graph.nodes.values():
        for port in info.inputs:
            for stream in port.streams:
                key = f"{stream}->{info.name}.{port.config.name}"
                edge, there = outcome.edges[key], outcome.received[key]
                if port.config.take == "each":
                    assert waits[key] == edge["sent"] - edge["pending"] - there["held"], (key, edge, there)
                else:  # a message of a sliding window is read before it ends; one that is superseded is not read
                    ended = sum(n for f, n in there["fates"].items() if f not in ("superseded", "consumed"))
                    assert ended <= waits[key] <= edge["sent"], (key, edge, there)


async def test_links_lead_to_the_other_causes_of_a_firing_and_back() -> None:
    for seed in range(20):
        graph = random_graph(seed, "traced", policies=("block",), scale=MS, rooms=(64,))
        plan = layouts(graph, seed)["one"]
        _, noted, _ = await noted_of(plan, 1.0)
        spans = {s.id: s for s in spans_of(plan, noted, 1.0)}
        linked = [s for s in spans.values() if s.kind != "wait" and s.links]
        for span in linked:
            for cause, other in span.links:
                assert cause != span.trace
                assert spans[other].trace == cause
                assert spans[other].kind == "wait"
                assert spans[other].node == span.node
        for span in (s for s in spans.values() if s.kind == "wait"):
            assert all(spans[other].node == span.node and spans[other].trace == cause for cause, other in span.links)
        if linked:
            return
    raise AssertionError("no graph joins two causes")


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
async def test_all_workers_trace_the_same_causes_and_what_is_measured_is_so(engine: str) -> None:
    plan = relay_chain(f"traced {engine}", 120, 5, 1)
    outcome, noted, run = await noted_of(plan, 0.5, engine)
    traces = check_traces(spans_of(plan, noted, 0.5), 0.5)
    causes = {outcome.started_ns + i * 5 * MS for i in range(1, 121)}
    assert set(traces) == {c for c in causes if sampled(c, 0.5)}
    assert {tuple(s.kind for s in sorted(found, key=lambda s: s.begin_ns)) for found in traces.values()} == {
        ("source", "wait", "step", "wait", "step", "wait", "sink")
    }
    assert not any(outcome.lives.spans_lost(w.name) for w in plan.workers)
    check_measured(plan, outcome, run)


async def test_where_no_traces_are_asked_for_there_is_no_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at a None is all that a firing pays."""
    monkeypatch.setattr("omnistream.engine.worker.Tracer", None)
    monkeypatch.setattr(tracer, "crc32", None)
    outcome, noted, _ = await noted_of(relay_chain("traced off", 20, 2, 1), 0.0)
    assert noted == []
    assert outcome.nodes["k"]["out"] == 20


# -- files and collectors --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traced() -> tuple[Plan, Outcome, list[Span]]:
    graph = random_graph(3, "traced", policies=("block", "newest", "drop_oldest"), scale=MS, wait_ns=3 * MS, pace=True)
    plan = layouts(graph, 3)["some"]
    outcome, noted, _ = asyncio.run(noted_of(plan, 1.0))
    return plan, outcome, spans_of(plan, noted, 1.0)


def events_of(path: Path) -> list[dict[str, Any]]:
    import gzip

    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return json.loads(data)["traceEvents"]


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_a_trace_file_has_tracks_arrows_waits_and_queues(tmp_path: Path, name: str, traced: Any) -> None:
    plan, outcome, spans = traced
    file = TraceFile(str(tmp_path / name), plan)
    file.begin(outcome.started_ns)
    file.queues(outcome.started_ns, {k: {"pending": 2} for k in outcome.edges})
    file.queues(outcome.started_ns + MS, {k: {"pending": 2} for k in outcome.edges})
    for span in spans:
        file.add(span)
    file.close()
    events = events_of(tmp_path / name)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert set(names.values()) == set(plan.graph.nodes)
    slices: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            assert names[e["pid"], e["tid"]] == e["name"]
            slices[e["pid"], e["tid"]].append((e["ts"], e["ts"] + e["dur"]))
    assert sum(map(len, slices.values())) == sum(s.kind != "wait" for s in spans)
    for track in slices.values():
        assert all(a[1] <= b[0] + 0.002 for a, b in itertools.pairwise(sorted(track)))
    by_kind = {ph: [e for e in events if e["ph"] == ph] for ph in "besfiC"}
    waits = [s for s in spans if s.kind == "wait"]
    assert len(by_kind["b"]) == len(by_kind["e"]) == len(waits)
    assert {e["id"] for e in by_kind["s"]} == {e["id"] for e in by_kind["f"]}
    assert len(by_kind["i"]) == sum(s.fate not in ("consumed", "error") for s in waits)
    assert len(by_kind["s"]) + len(by_kind["i"]) == len(waits)
    assert len(by_kind["C"]) == len(outcome.edges)
    for e in by_kind["f"]:
        assert any(a - 0.002 <= e["ts"] <= b + 0.002 for a, b in slices[e["pid"], e["tid"]])


def test_a_trace_file_is_bounded_and_whole(tmp_path: Path, traced: Any) -> None:
    plan, _, spans = traced
    file = TraceFile(str(tmp_path / "t.json"), plan, 20_000)
    for span in spans:
        file.add(span)
    file.close()
    assert file.left_out > 0
    assert (tmp_path / "t.json").stat().st_size < 20_100
    assert len(events_of(tmp_path / "t.json")) == file.written


def test_a_request_says_what_the_spans_say(traced: Any) -> None:
    plan, _, spans = traced
    export = OtlpExport("http://127.0.0.1:4318", plan, "run")
    assert export.url == "http://127.0.0.1:4318/v1/traces"
    assert OtlpExport("http://collector/v1/traces/", plan, "run").url == "http://collector/v1/traces"
    found = ExportTraceServiceRequest.FromString(export.request(spans))
    sent = [s for r in found.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert len(sent) == len(spans)
    expected = {s.id: s for s in spans}
    for out in sent:
        span = expected[out.span_id]
        said = {a.key: a.value.string_value or a.value.int_value for a in out.attributes}
        assert out.trace_id == trace_id("run", span.trace)
        assert len(out.trace_id) == 16
        assert len(out.span_id) == 8
        assert (out.name, out.start_time_unix_nano, out.end_time_unix_nano) == (span.name, span.begin_ns, span.end_ns)
        assert out.parent_span_id == (span.parent or b"")
        assert said["omnistream.node"] == span.node
        assert said["omnistream.age_ns"] == span.begin_ns - span.trace
        assert said.get("omnistream.seq", -1) == (span.key[2] if span.key else -1)
        assert out.status.code == (0 if span.fate in ("", "consumed") else 2)
        assert [(o.trace_id, o.span_id) for o in out.links] == [(trace_id("run", c), i) for c, i in span.links]
    assert trace_id("run", 1) != trace_id("other", 1)
