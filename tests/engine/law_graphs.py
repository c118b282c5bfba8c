"""Random graphs of `Mixer` nodes, and the answer that the rules give for them, worked out another way.

`batch` knows every input of a node before it begins, so it needs no bounds, credits, waits or schedules: it takes the
least candidate, again and again. A fresh run by the runtime must come to the same firings (DESIGN law 4).
"""

from __future__ import annotations

import random
from typing import Any

from law_nodes import digest

from omnistream.flow.config import PortConfig, Queue, WindowConfig
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import INFINITY, MS

FAR = 1 << 40


def random_graph(
    seed: int, run: str, *, feedback: bool = False, policies: tuple[str, ...] = ("block",), scale: int = 1,
    wait_ns: int = INFINITY, pace: bool = False, rooms: tuple[int, ...] = (1, 1, 2, 4),
) -> Graph:  # fmt: skip
    """Sources, up to six mixers with every kind of port, and nothing that depends on more than `seed`."""
    r = random.Random(seed)
    nodes: dict[str, NodeInfo] = {}
    streams: list[str] = []
    for i in range(r.randint(1, 3)):
        stamps, t = [], 0
        for _ in range(r.randint(2, 12)):
            t += r.choice([1, 1, 3, 10, 17, 40])
            stamps.append(t * scale)
        nodes[f"s{i}"] = NodeInfo(
            f"s{i}", "script", "law_nodes:Script", "source", {"stamps": stamps, "pace": pace}, (), ("out",)
        )
        streams.append(f"s{i}.out")
    for i in range(r.randint(1, 6)):
        name = f"n{i}"
        inputs = [_input(r, "p0", ["each", "each", "window"], streams, policies, scale, wait_ns, rooms)]
        kinds = ["each", "latest", "recent", "window", "session"]
        more = r.choice([0, 1, 1, 2])
        inputs += [_input(r, f"p{k}", kinds, streams, policies, scale, wait_ns, rooms) for k in range(1, 1 + more)]
        outputs = r.choice([1, 1, 2])
        ports = ("a", "b")[:outputs]
        nodes[name] = NodeInfo(name, "mixer", "law_nodes:Mixer", "node", {"run": run, "outputs": outputs}, tuple(inputs), ports)
        streams += [f"{name}.{p}" for p in ports]
    mixers = [n for n in nodes if n.startswith("n")]
    if feedback and len(mixers) > 1:
        first, last = nodes["n0"], r.choice(mixers)
        config = PortConfig("back", "latest", Queue("block", 2), wait_ns=INFINITY, delay_ns=r.choice([1, 5]) * scale)
        loop = (*first.inputs, Input(config, (f"{last}.a",), "message", True))
        nodes["n0"] = NodeInfo("n0", "mixer", "law_nodes:Mixer", "node", first.options, loop, first.outputs)
    return Graph("random", 200 * MS, nodes)


def _input(
    r: random.Random,
    name: str,
    takes: list[str],
    streams: list[str],
    policies: tuple[str, ...],
    scale: int,
    wait_ns: int,
    rooms: tuple[int, ...],
) -> Input:
    take = r.choice(takes)
    policy: Any = r.choice(policies)
    hop = r.choice([5, 10, 20]) * scale
    window, form = None, "message"
    if take == "window":
        window, form = WindowConfig(hop * r.choice([1, 1, 2, 3]), hop), "window"
    elif take == "session":
        window, form, take = WindowConfig(gap_ns=hop), "window", "window"
    elif take == "recent":
        form = "recent"
    config = PortConfig(
        name, take, Queue(policy, r.choice(rooms)), window, wait_ns=wait_ns,
        hold_ns=r.choice([FAR, 15 * scale]), lag_ns=r.choice([0, 0, 10 * scale]),
    )  # fmt: skip
    return Input(config, tuple(r.sample(streams, min(len(streams), r.choice([1, 1, 2])))), form, True)  # type: ignore[arg-type]


def layouts(graph: Graph, seed: int) -> dict[str, Plan]:
    """One worker, a worker a node, and a random grouping."""
    r = random.Random(seed)
    groups: dict[str, list[str]] = {}
    for name in graph.nodes:
        groups.setdefault(f"w{r.randrange(3)}", []).append(name)
    return {
        "one": Plan(graph, (WorkerPlan("main", tuple(graph.nodes)),)),
        "each": Plan(graph, tuple(WorkerPlan(n, (n,)) for n in graph.nodes)),
        "some": Plan(graph, tuple(WorkerPlan(w, tuple(names)) for w, names in groups.items())),
    }


Sent = tuple[int, str, int, str]  # stamp, stream, seq, value


def batch(graph: Graph) -> dict[str, list[Any]]:
    """Every mixer's firings, from the definition alone. No feedback."""
    sent: dict[str, list[Sent]] = {}
    logs: dict[str, list[Any]] = {}
    for info in graph.nodes.values():
        if info.role == "source":
            stamps = info.options["stamps"]
            sent[f"{info.name}.out"] = [(s, f"{info.name}.out", i, f"{info.name}.{i}") for i, s in enumerate(stamps)]
        else:
            logs[info.name] = _fire_all(info, sent)
    return logs


def _fire_all(info: NodeInfo, sent: dict[str, list[Sent]]) -> list[Any]:
    queues = {p.config.name: {s: list(sent[s]) for s in p.streams} for p in info.inputs}
    closed = {p.config.name: -1 for p in info.inputs}
    outs: dict[str, list[Sent]] = {f"{info.name}.{o}": [] for o in info.outputs}
    state, log = 0, []
    while (t := min((_candidate(p, queues, closed) for p in info.inputs if p.config.triggers), default=INFINITY)) < INFINITY:
        read = tuple(sorted((p.config.name, _take(p, queues, closed, t)) for p in info.inputs))
        state = digest(info.name, state, read)
        log.append((t, read))
        for k in range((0, 0, 1, 1, 1, 2, 3)[state % 7]):
            out = outs[f"{info.name}.{'ab'[(state >> 8 + k) % info.options['outputs']]}"]
            stamp = max(t, out[-1][0] + 1 if out else 0)
            out.append((stamp, f"{info.name}.{'ab'[(state >> 8 + k) % info.options['outputs']]}", len(out), f"{state}.{k}"))
    sent.update(outs)
    return log


def _merged(port: Input, queues: Any) -> list[tuple[int, int, Sent]]:
    streams = queues[port.config.name]
    return sorted((m[0], port.streams.index(s), m) for s in streams for m in streams[s])


def _candidate(port: Input, queues: Any, closed: dict[str, int]) -> int:
    items = _merged(port, queues)
    w = port.config.window
    if not items:
        return INFINITY
    if w is None:
        return items[0][0]
    if w.gap_ns:
        return _session(items, w.gap_ns)[1]
    ends = [e for stamp, _, _ in items for e in _ends(stamp, w) if e > closed[port.config.name]]
    return min(ends, default=INFINITY + 1) - 1


def _ends(stamp: int, w: WindowConfig) -> list[int]:
    """Every window end b with b - size <= stamp < b and b - size a multiple of the hop."""
    return [b for b in range(stamp + 1, stamp + w.size_ns + 1) if (b - w.size_ns) % w.hop_ns == 0]


def _session(items: list[Any], gap: int) -> tuple[list[Any], int]:
    run = [items[0]]
    for item in items[1:]:
        if item[0] >= run[-1][0] + gap:
            break
        run.append(item)
    return run, run[-1][0] + gap - 1


def _take(port: Input, queues: Any, closed: dict[str, int], t: int) -> Any:
    c, items, streams = port.config, _merged(port, queues), queues[port.config.name]
    if c.take in ("latest", "recent"):
        high, low = t - c.lag_ns, t - c.lag_ns - c.hold_ns
        found = [(s, -i, m) for s, i, m in items if low <= s <= high]
        if c.take == "recent":
            return tuple(m[1:] for _, _, m in sorted(found, key=lambda f: (f[0], -f[1])))
        return max(found)[2][1:] if found else None
    if c.take == "each":
        if not items or items[0][0] != t:
            return None
        streams[items[0][2][1]].pop(0)
        return items[0][2][1:]
    assert c.window is not None
    if c.window.gap_ns:
        run, end = _session(items, c.window.gap_ns) if items else ([], -1)
        if end != t:
            return None
        for _, _, m in run:
            streams[m[1]].remove(m)
        return tuple(m[1:] for _, _, m in run)
    due = _candidate(port, queues, closed) == t
    found = tuple(m[1:] for s, _, m in items if t + 1 in _ends(s, c.window)) if due else None
    starts = (t + 1 - c.window.size_ns) // c.window.hop_ns * c.window.hop_ns
    closed[c.name] = max(closed[c.name], starts + c.window.size_ns)
    for stream in streams:
        streams[stream] = [m for m in streams[stream] if max(_ends(m[0], c.window)) > closed[c.name]]
    return found
