"""What a worker is made of: its nodes with their contexts and ports, and both ends of the edges that it has a part in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from omnistream.engine.contexts import context_of
from omnistream.engine.ends import Inbound, Outbound, RemoteLink
from omnistream.engine.hosted import Hosted
from omnistream.engine.neighbour import Adapt, LocalBack, LocalLink
from omnistream.engine.options import RunOptions
from omnistream.engine.sink import SinkHost
from omnistream.engine.source import SourceHost
from omnistream.flow.cell import Cell, OutPort
from omnistream.flow.edge import Account, Edge
from omnistream.flow.port import InEdge
from omnistream.flow.ports import make_port
from omnistream.flow.rank import rank_of
from omnistream.graph.graph import NodeInfo, Plan
from omnistream.graph.variants import possible
from omnistream.graph.wiring import Wire, wires
from omnistream.tensor import Carriage

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["build", "threads_of"]


def threads_of(plan: Plan, name: str, options: RunOptions) -> int:
    """How many threads a worker's models get. In a fresh replay one, whatever the host: on more, sums may round differently."""
    return 1 if options.fresh else next(w.threads for w in plan.workers if w.name == name)


def build(worker: Worker) -> None:
    """Make a worker's nodes, ports and edges from its plan. Nothing is opened."""
    mine = next(w for w in worker.plan.workers if w.name == worker.name)
    hosts = {node: w.name for w in worker.plan.workers for node in w.nodes}
    graph = worker.plan.graph
    outs = {n: {o: OutPort(o, f"{n}.{o}", worker.options.incarnation) for o in graph.nodes[n].outputs} for n in mine.nodes}
    every = wires(graph)
    into: dict[tuple[str, int], list[InEdge]] = {}
    for wire in every:
        if wire.target in mine.nodes:
            edge = InEdge(wire.key, wire.place, wire.config)
            edge.lost = worker.lost_there
            if worker.options.fresh:
                edge.lift = True
            into.setdefault((wire.target, wire.port), []).append(edge)
            worker.in_edges[wire.key] = edge
    for name in mine.nodes:
        _add(worker, graph.nodes[name], outs[name], into, threads_of(worker.plan, worker.name, worker.options))
    leaving = Counter((w.source, w.output) for w in every if hosts[w.source] != hosts[w.target])
    carriages = {f"{i.name}.{o}": Carriage.of(i.types.get(o)) for i in graph.nodes.values() for o in i.outputs}
    for wire in every:
        alone = leaving[wire.source, wire.output] == 1
        _wire(worker, wire, hosts, outs, carriages[f"{wire.source}.{wire.output}"], alone)


def _add(
    worker: Worker, info: NodeInfo, outs: dict[str, OutPort], into: Mapping[tuple[str, int], list[InEdge]], threads: int
) -> None:
    node = info.make()
    rng = np.random.default_rng([worker.options.seed, crc32(info.name.encode()), worker.options.incarnation])
    options = worker.options
    ctx = context_of(
        info, node, clock=worker.clock, rng=rng, report=worker.reporter(info.name), live=not options.fresh,
        start_ns=options.start_ns, end_ns=options.end_ns, threads=threads, incarnation=options.incarnation,
        variants=info.variants[:1] if options.fresh else possible(worker.plan.graph, info.name, options.variants),
    )  # fmt: skip
    worker.objects[info.name] = node
    if info.role == "source":
        worker.sources[info.name] = SourceHost(worker, info, outs["out"], node, ctx, worker.plan.graph.budget_ns)
        return
    ports = [make_port(p.config, into[info.name, i], p.form) for i, p in enumerate(info.inputs)]
    for port in ports:
        port.bounded = not worker.options.fresh
    cell = Cell(info.name, ports, outs, worker.plan.graph.budget_ns)
    kind = SinkHost if info.role == "sink" else Hosted
    worker.nodes[info.name] = kind(worker, info, cell, node, ctx)


def _wire(
    worker: Worker, wire: Wire, hosts: Mapping[str, str], outs: Mapping[str, Mapping[str, OutPort]], carriage: Carriage | None,
    alone: bool,
) -> None:  # fmt: skip
    here, there = wire.source in outs, wire.target in outs
    tensors: Adapt | None = None
    rank = rank_of(wire.config, worker.plan.graph.nodes[wire.source].types.get(wire.output, ()))
    if there:
        receiver = worker.nodes[wire.target]
        receiver.take_rank(rank)
        tensors = carriage.tensors if carriage is not None and receiver.takes_tensors else None
        port = receiver.cell.ports[wire.port]
        in_edge = worker.in_edges[wire.key]
    if here:
        arrays = carriage.arrays if carriage is not None else None
        owner: Any = worker.sources.get(wire.source) or worker.nodes[wire.source]
        edge = Edge(wire.key, wire.config.queue, fresh=worker.options.fresh, lost=worker.lost_here)
        edge.tracked = wire.tracked
        edge.in_flight = 0 if worker.options.fresh else wire.config.in_flight
        edge.resend_newest = wire.config.take == "latest"
        edge.wake = owner.room_again
        out = outs[wire.source][wire.output]
        out.edges.append(edge)
        if worker.options.incarnation:
            edge.earlier = worker.options.accounts.get(wire.key, Account())
            out.seq = max(out.seq, edge.earlier.sent)
        worker.edges[wire.key] = edge
        if wire.source in worker.nodes:
            worker.nodes[wire.source].cell.out_edges.append(edge)
        if there:
            edge.link = LocalLink(worker, receiver, port, in_edge, tensors or arrays)  # type: ignore[possibly-undefined]
            edge.beyond = receiver.passed  # type: ignore[possibly-undefined]
            in_edge.back = LocalBack(edge, owner)  # type: ignore[possibly-undefined]
            edge.begin_again()
        else:
            peer = hosts[wire.target]
            gpus = [w.gpu for w in worker.plan.workers if w.name in (worker.name, peer)]
            lends = worker.plan.graph.nodes[wire.target].takes_tensors and all(gpus)
            edge.remote, edge.ready = True, False
            if isinstance(owner, SourceHost):
                owner.remote = True
            else:
                owner.remote.add(wire.output)
            wants_ack = not wire.config.queue.droppable
            edge.link = RemoteLink(worker.exchange, peer, wire.number, wants_ack, arrays, lends, alone, rank)
            entry = worker.exchange.outbound[wire.number] = Outbound(peer, edge, out, owner)
            edge.beyond = lambda: entry.beyond
    elif there:
        entry_in = Inbound(
            worker.exchange, hosts[wire.source], wire.number, in_edge, port, receiver, wire.tracked, tensors, rank,  # type: ignore[possibly-undefined]
        )  # fmt: skip
        in_edge.back = worker.exchange.inbound[wire.number] = entry_in  # type: ignore[possibly-undefined]
