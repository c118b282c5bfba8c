"""`Graph` -> `Plan`: which worker hosts each node, and why.

The layout "planned": nodes with the same ``on`` share a worker. A node without ``on`` gets its own, named after it;
but a sink, or a node that is not `blocking`, with exactly one upstream node rides along on that one's worker: it costs
less there than the hop to another process. Sources keep a worker of their own, so that a slow model never delays a device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Literal

from omnistream.errors import GraphError
from omnistream.graph.cycles import upstream
from omnistream.graph.graph import Graph, Plan, WorkerPlan
from omnistream.graph.host import Host
from omnistream.graph.suggest import nearest
from omnistream.graph.threads import share_cores

__all__ = ["Layout", "label_notices", "make_plan", "workers_by_node"]

Layout = Literal["planned", "one", "each"]


def make_plan(graph: Graph, layout: Layout = "planned", host: Host | None = None) -> Plan:
    """Group the nodes into workers: as planned, all in "one", or "each" node in its own.

    A worker that asks for a GPU where none is left runs on the CPU, with a notice. Raises GraphError where
    `gpu_required` forbids that, or where workers ask for more CPU cores than there are: Ray would wait for ever.
    """
    host = host or Host.here()
    asked = {n: graph.workers.get(node.on) or WorkerPlan(node.on, (), threads=0) for n, node in graph.nodes.items()}
    if layout == "one":
        asks = [graph.workers[w] for w in _used(graph) if w in graph.workers]
        whole = WorkerPlan(
            "main",
            tuple(graph.nodes),
            gpu=max((w.gpu for w in asks), default=0.0),
            gpu_required=any(w.gpu_required for w in asks),
            threads=max((w.threads for w in asks), default=0),
        )
        workers, why = [whole], dict.fromkeys(graph.nodes, "all nodes in one process")
    elif layout == "each":
        sharing = {
            n: sum(1 for m in graph.nodes.values() if node.on and m.on == node.on) or 1 for n, node in graph.nodes.items()
        }
        workers = [
            dataclasses.replace(w, name=n, nodes=(n,), cpu=round(w.cpu / sharing[n], 4), gpu=_share(w.gpu, sharing[n]))
            for n, w in asked.items()
        ]
        why = dict.fromkeys(graph.nodes, "each node has its own process")
    else:
        where, why = _placements(graph)
        workers = [
            dataclasses.replace(
                graph.workers.get(w) or WorkerPlan(w, (), threads=0), nodes=tuple(n for n in graph.nodes if where[n] == w)
            )
            for w in dict.fromkeys(where[n] for n in graph.nodes)
        ]
    workers, notices = _fit(graph, workers, host)
    workers, why_threads, crowded = share_cores(graph, workers, host)
    return Plan(graph, tuple(workers), (*notices, *crowded, *_unread(graph), *_unused(graph)), why, why_threads)


def _placements(graph: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """Each node's worker, and why."""
    taken = set(_used(graph)) | graph.workers.keys()
    where: dict[str, str] = {}
    why: dict[str, str] = {}
    reads = {name: upstream(node, feedback=False) for name, node in graph.nodes.items()}
    for name in TopologicalSorter(reads).static_order():
        node = graph.nodes[name]
        before = [u for u in upstream(node) if u != name]
        if node.on:
            where[name], why[name] = node.on, f"on: {node.on}"
        elif node.role != "source" and not node.blocking and len(before) == 1 and before[0] in where:
            where[name], why[name] = where[before[0]], f"rides along with {before[0]}, the only node it reads from"
        else:
            own = name
            while own in taken:
                own += "_own"
            taken.add(own)
            several = f"it reads from {len(before)} nodes"
            computes = "its step blocks: it computes for long"
            reason = "a source, which no model may delay" if node.role == "source" else computes if node.blocking else several
            where[name], why[name] = own, f"its own: {reason}"
    return where, why


def _used(graph: Graph) -> list[str]:
    return list(dict.fromkeys(node.on for node in graph.nodes.values() if node.on))


def _share(gpu: float, count: int) -> float:
    return round(gpu / count, 4) if gpu <= 1 else gpu


def _fit(graph: Graph, workers: list[WorkerPlan], host: Host) -> tuple[list[WorkerPlan], list[str]]:
    """The workers with the GPUs that can be had, first come first served, and what to tell about it."""
    cores = sum(w.cpu for w in workers)
    if cores > host.cpus:
        asking = ", ".join(f"{w.name} {w.cpu:g}" for w in workers if w.cpu)
        raise GraphError(
            f"{_at(graph, workers)}: the workers ask for {cores:g} CPU cores ({asking}), and there are {host.cpus:g}; "
            "lower `cpu`, or leave it out to share"
        )
    free = [1.0] * host.gpus
    fitted: list[WorkerPlan] = []
    notices: list[str] = []
    for worker in workers:
        if worker.gpu and not _take_gpu(free, worker.gpu):
            have = f"there {'is' if host.gpus == 1 else 'are'} {host.gpus} here" if host.gpus else "there is none here"
            left = " that others do not hold" if host.gpus else ""
            if worker.gpu_required:
                raise GraphError(
                    f"{_at(graph, [worker])}: the worker '{worker.name}' requires `gpu: {worker.gpu:g}`, and {have}{left}; "
                    "run it where there is one, or delete `gpu_required`"
                )
            notices.append(f"worker '{worker.name}' asks for `gpu: {worker.gpu:g}`, and {have}{left}: it runs on the CPU")
            worker = dataclasses.replace(worker, gpu=0.0)
        fitted.append(worker)
    return fitted, notices


def _take_gpu(free: list[float], wanted: float) -> bool:
    """Take a share of one GPU, or whole ones; False where there is not so much left."""
    if wanted > 1:
        whole = [i for i, left in enumerate(free) if left == 1.0][: int(wanted)]
        if len(whole) < wanted:
            return False
        for i in whole:
            free[i] = 0.0
        return True
    for i, left in enumerate(free):
        if left >= wanted - 1e-9:
            free[i] = left - wanted
            return True
    return False


def _at(graph: Graph, workers: Iterable[WorkerPlan]) -> str:
    """Where the graph file speaks of workers, as an error names it."""
    names = {graph.nodes[n].on for w in workers for n in w.nodes}
    line = next((number for number, text in enumerate(graph.text.splitlines(), 1) if text.startswith("workers:")), 1)
    named = [n for n in graph.workers if n in names]
    line = graph.workers[named[0]].line or line if len(named) == 1 else line
    return f"{graph.file or graph.name}:{line}: workers{'.' + named[0] if len(named) == 1 else ''}"


def _unread(graph: Graph) -> list[str]:
    """Outputs that nobody reads: work for nothing, or a forgotten edge."""
    read = {s for node in graph.nodes.values() for i in node.inputs for s in i.streams}
    notices: list[str] = []
    for node in graph.nodes.values():
        idle = [f"{node.name}.{port}" for port in node.outputs if f"{node.name}.{port}" not in read]
        if idle:
            notices.append(f"nobody reads {' or '.join(repr(s) for s in idle)}")
    return notices


def _unused(graph: Graph) -> list[str]:
    """Workers that are described but host nothing: a slip in a name, perhaps."""
    used = _used(graph)
    undescribed = [w for w in used if w not in graph.workers]
    notices: list[str] = []
    for name in graph.workers.keys() - set(used):
        near = nearest(name, undescribed)
        notices.append(f"no node is `on: {name}`, which `workers` describes" + (f"; did you mean '{near}'?" if near else ""))
    return sorted(notices)


def label_notices(graph: Graph) -> list[str]:
    """What labels mean where no cluster is named: nothing is left to choose."""
    asked = {w: graph.workers[w].labels for w in _used(graph) if w in graph.workers and graph.workers[w].labels}
    return [
        f"worker '{name}' asks for a host with {', '.join(f'{k}={v}' for k, v in labels.items())}: labels choose among the "
        "hosts of a Ray cluster (`run --address`); without one the worker runs here"
        for name, labels in asked.items()
    ]


def workers_by_node(plan: Plan) -> Mapping[str, str]:
    """The worker of each node."""
    return {node: worker.name for worker in plan.workers for node in worker.nodes}
