"""What is measured of a run, as metrics of Prometheus. docs/observe.md says what each of them is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version

from omnistream.observe.exposition import Family
from omnistream.observe.histogram import BOUNDS_NS, left_bounds
from omnistream.observe.lives import Lives
from omnistream.observe.usage import process_usage
from omnistream.observe.view import Watched

__all__ = ["metrics_of"]

#: What may become of a message of any edge.
_USUAL = ("crash", "dropped", "error", "expired", "late", "skipped")


def metrics_of(run: Watched) -> Iterator[Family]:
    """Every family of a run, in the order of the page."""
    yield from _run(run)
    yield from _nodes(run)
    yield from _edges(run)
    yield from _workers(run)


@cache
def _version() -> str:
    return version("omnistream")


def _counter(name: str, text: str) -> Family:
    return Family(f"omnistream_{name}_total", "counter", text)


def _gauge(name: str, text: str) -> Family:
    return Family(f"omnistream_{name}", "gauge", text)


def _run(run: Watched) -> Iterator[Family]:
    graph = run.plan.graph
    info = _gauge("run_info", "The run: its graph and the version of OmniStream.")
    info.add(1, graph=graph.name, version=_version())
    started = _gauge("run_start_time_seconds", "When the run began, in Unix time.")
    started.add(run.outcome.started_ns / 1e9)
    budget = _gauge("budget_seconds", "From a cause to its effect: the graph's budget.")
    budget.add(graph.budget_ns / 1e9)
    ledger = _counter("ledger", "Messages lost and faults reported, by where (an edge or a node) and why.")
    usual = {(edge, reason): 0 for edge in run.outcome.edges for reason in _USUAL}  # a rate needs the zero before the first
    for (where, reason), n in sorted({**usual, **run.outcome.lives.ledger()}.items()):
        ledger.add(n, where=where, reason=reason)
    yield from (info, started, budget, ledger)


def _nodes(run: Watched) -> Iterator[Family]:
    graph = run.plan.graph
    counters = {
        "firings": _counter("firings", "Firings of a node that have begun."),
        "in": _counter("received_messages", "Messages that came to a node's ports."),
        "out": _counter("emitted_messages", "Messages that a node emitted; a sink, that it handed over."),
        "forced": _counter("forced_bounds", "Bounds that a node raised itself because `wait` had run out."),
        "missed": _counter("deadline_misses", "Firings that ended after their deadline, or were given up for it."),
    }
    step = _histogram("step_seconds", "How long a step took.")
    age = _histogram("age_at_entry_seconds", "How old the cause was when the firing's step began.")
    left = _histogram("remaining_budget_seconds", "What was left of the budget when a sink had written; below zero: late.")
    queue = _gauge("node_queue_messages", "Messages that wait at a node's ports (a source's: to be sent).")
    bounds = left_bounds(graph.budget_ns)
    for name, info in graph.nodes.items():
        found = run.outcome.lives.node(name)
        if not found:
            continue
        for key, family in counters.items():
            if key in found and not (info.role == "source" and key == "in"):
                family.add(found[key], node=name)
        queue.add(run.outcome.nodes[name]["queue"], node=name)
        if "step" in found:
            step.buckets(found["step"], BOUNDS_NS, found["step_ns"], node=name)
            age.buckets(found["age"], BOUNDS_NS, found["age_ns"], node=name)
        if found.get("left"):
            left.buckets(found["left"], bounds, None, node=name)
    yield from (*counters.values(), step, age, left, queue)


def _histogram(name: str, text: str) -> Family:
    return Family(f"omnistream_{name}", "histogram", text)


def _edges(run: Watched) -> Iterator[Family]:
    sent = _counter("edge_sent_messages", "Messages that were offered to an edge.")
    ended = _counter(
        "edge_ended_messages", "Messages that ended on an edge, by fate: consumed, read, superseded, or lost by what."
    )
    for key, (n, fates) in run.outcome.lives.edges().items():
        sent.add(n, edge=key)
        for fate, count in sorted(fates.items()):
            ended.add(count, edge=key, fate=fate)
    gauges = {
        "pending": _gauge("edge_pending_messages", "Messages that wait at an edge's sender."),
        "bytes": _gauge("edge_pending_bytes", "The size of their arrays."),
        "held": _gauge("edge_held_messages", "Messages that have crossed an edge and not ended, as its sender knows."),
        "credits": _gauge("edge_credits", "Messages that may cross before the receiver has room for more."),
    }
    for key, edge in run.outcome.edges.items():
        for name, gauge in gauges.items():
            gauge.add(edge[name], edge=key)
    yield from (sent, ended, *gauges.values())


def _workers(run: Watched) -> Iterator[Family]:
    lives = run.outcome.lives
    up = _gauge("worker_up", "Whether a worker lives: 1, or 0 while it is dead and being made again.")
    down = _gauge("workers_down", "How many workers are dead and being made again.")
    restarts = _counter("worker_restarts", "How often a worker was made again.")
    spans = _counter("trace_events_dropped", "Events of traces that a worker had no room for.")
    down.add(len(run.down))
    sharing: dict[tuple[str, int], list[str]] = {}
    for worker in (w.name for w in run.plan.workers):
        up.add(int(worker not in run.down), worker=worker)
        restarts.add(run.outcome.restarts[worker], worker=worker)
        if worker in lives.process:
            process = lives.process[worker]
            sharing.setdefault((process["host"], process["pid"]), []).append(worker)
            spans.add(lives.spans_lost(worker), worker=worker)
    yield from (up, down, restarts, spans, *_processes(lives, sharing))


def _processes(lives: Lives, sharing: Mapping[tuple[str, int], list[str]]) -> Iterator[Family]:
    """Each worker's process by the worker's name; `local` where it has several workers; `conductor` if that one has none."""
    cpu = _counter("process_cpu_seconds", "Processor time of a worker's process.")
    resident = _gauge("process_resident_memory_bytes", "Resident memory of a worker's process.")
    for workers in sharing.values():
        name = workers[0] if len(workers) == 1 else "local"
        cpu.add(lives.cpu_ns(workers[0]) / 1e9, process=name)
        resident.add(lives.process[workers[0]]["rss"], process=name)
    here = process_usage()
    if here["pid"] not in {pid for _, pid in sharing}:
        cpu.add(here["cpu_ns"] / 1e9, process="conductor")
        resident.add(here["rss"], process="conductor")
    yield from (cpu, resident)
