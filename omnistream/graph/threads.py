"""How many threads each model's inference gets, so that models do not fight for cores.

A model is a node whose step computes for long (`blocking`). `threads` in the graph file is as said; a worker that reserves
cores with `cpu` keeps to those; all others share what is left of the host, but for one core, which is for everything else:
with all cores busy, two-thread inference fell to a fiftieth of its speed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from omnistream.graph.graph import Graph, WorkerPlan
from omnistream.graph.host import Host, Member

__all__ = ["MOST", "share_cores"]

#: Streaming models are small: on more threads they wait for each other. Whoever has a larger one writes `threads`.
MOST = 4


def share_cores(graph: Graph, workers: Sequence[WorkerPlan], host: Host) -> tuple[list[WorkerPlan], dict[str, str], list[str]]:
    """The workers with their threads, why each has so many, and what to tell about it.

    On a cluster, where Ray chooses the host, a worker gets what the poorest of those that it may come to can give it, were
    all that may be there there at once.
    """
    models = {w.name: sum(graph.nodes[n].blocking for n in w.nodes) for w in workers}
    taken = {w.name: _taken(w, models[w.name]) for w in workers}
    shares = [(member, _share(member, workers, models, taken)) for member in host.members()]
    found: list[WorkerPlan] = []
    why: dict[str, str] = {}
    for worker in workers:
        count = models[worker.name]
        if worker.threads:
            threads, reason = worker.threads, "as `threads` says"
        elif not count:
            threads, reason = 1, "no model: no step blocks"
        elif worker.cpu:
            threads = max(1, int(worker.cpu) // count)
            reason = f"`cpu: {worker.cpu:g}` for {_several(count, 'model')}"
        else:
            share, member = min(
                [(s, m) for m, s in shares if _may_be(worker, m)] or [(1, Member(1))], key=lambda found: found[0]
            )
            threads = min(MOST, max(1, share))
            reason = _shared(member, sum(models[w.name] for w in workers if _may_be(w, member)), threads < share)
        found.append(dataclasses.replace(worker, threads=threads))
        why[worker.name] = reason
    return found, why, _too_many(workers, models, host)


def _taken(worker: WorkerPlan, models: int) -> int:
    """The cores that are not there for others to share."""
    return max(worker.threads * max(1, models) if worker.threads else 0, int(worker.cpu))


def _share(member: Member, workers: Sequence[WorkerPlan], models: Mapping[str, int], taken: Mapping[str, int]) -> int:
    """What each model gets that nobody has spoken for."""
    here = [w for w in workers if _may_be(w, member)]
    free = int(member.cpus) - 1 - sum(taken[w.name] for w in here)
    return free // max(1, sum(models[w.name] for w in here if not taken[w.name]))


def _may_be(worker: WorkerPlan, member: Member) -> bool:
    return member.labels is None or worker.labels.items() <= member.labels.items()


def _shared(member: Member, models: int, capped: bool) -> str:
    where = f"{_several(models, 'model')} on {_several(int(member.cpus), 'core')}"
    if int(member.cpus) <= 1:
        return where
    return f"{where}, one left for all else{f'; {MOST} at most' if capped else ''}"


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _too_many(workers: Sequence[WorkerPlan], models: Mapping[str, int], host: Host) -> list[str]:
    """A notice where the file asks for more threads than any host has cores."""
    most = int(max(m.cpus for m in host.members()))
    asked = {w.name: w.threads * max(1, models[w.name]) for w in workers if w.threads}
    apart = len(host.members()) > 1  # who comes to which host is not known
    total = max(asked.values(), default=0) if apart else sum(asked.values())
    if total <= most or all(w.threads <= 1 for w in workers):
        return []
    each = ", ".join(f"{name} {n}" for name, n in asked.items())
    there = "no host has more than" if apart else "there are"
    return [
        f"the workers ask for {total} inference threads ({each}), and {there} {_several(most, 'core')}: models will wait for "
        "each other; lower `threads`, or leave it out"
    ]
