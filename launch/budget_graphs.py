"""Random graphs with known costs: chains, diamonds, fan-ins, joins, windows and too little processor for all of it."""

from __future__ import annotations

import random

__all__ = ["SHAPES", "graph_of"]

SHAPES = ("chain", "diamond", "fanin", "join", "window", "crowded")


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.count = 0

    def source(self, rate: float, *, block: bool) -> str:
        name = f"s{self.count}"
        self.count += 1
        stamped = not block
        options = f"rate_hz: {rate:.2f}, jitter: {self.rng.choice([0, 0.02, 0.1])}, stamped: {str(stamped).lower()}"
        options += f", declares: {str(self.rng.random() < 0.5).lower()}"
        self.lines.append(f'  {name}: {{use: "budget_nodes:Beat", with: {{{options}}}, on: w0}}')
        return name

    def node(self, use: str, mean_ms: float, inputs: str, *, worker: str) -> str:
        name = f"n{self.count}"
        self.count += 1
        sleep = round(self.rng.uniform(1, 10), 1) if use == "Asking" or (use == "Thread" and self.rng.random() < 0.3) else 0
        hold = self.rng.random() < 0.5
        options = (
            f"mean_ms: {mean_ms:.2f}, sigma: {self.rng.choice([0.05, 0.2, 0.4])}, hold: {str(hold).lower()}, sleep_ms: {sleep}"
        )
        self.lines.append(f'  {name}: {{use: "budget_nodes:{use}", with: {{{options}}}, inputs: {{{inputs}}}, on: {worker}}}')
        return name

    def sink(self, before: str, *, worker: str) -> None:
        name = f"k{self.count}"
        self.count += 1
        self.lines.append(f'  {name}: {{use: "budget_nodes:End", inputs: {{item: {before}}}, on: {worker}}}')


def graph_of(seed: int) -> tuple[str, str]:
    """A shape and its graph file. The same for the same seed."""
    rng = random.Random(seed * 7919 + 1)
    shape = SHAPES[seed % len(SHAPES)]
    crowded = shape == "crowded"
    rate = rng.choice([20.0, 30.0, 50.0])
    load = rng.uniform(1.1, 1.6) if crowded else rng.uniform(0.1, 0.7)  # of one core
    w = _Writer(rng)
    block = not crowded and rng.random() < 0.4
    workers = rng.choice([1, 1, 2, 3])
    where = [f"w{i % workers}" for i in range(8)]

    def queue() -> str:
        return "{block: 64}" if block else rng.choice(["newest", "{drop_oldest: 4}", "newest"])

    def one(inputs: str) -> str:
        return f"item: {{from: {inputs}, queue: {queue()}}}"

    kinds = ["Inline", "Thread", "Thread", "Asking"] if not crowded else ["Thread"]
    share = lambda n: [x / n * load * 1000 / rate for x in ([1.0] * n)]  # noqa: E731
    if shape in ("chain", "crowded"):
        count = rng.randint(2, 4)
        before = w.source(rate, block=block)
        for i, mean in enumerate(share(count)):
            before = w.node(rng.choice(kinds), mean, one(before), worker=where[i])
        w.sink(before, worker=where[count])
    elif shape == "diamond":
        s = w.source(rate, block=block)
        parts = share(4)
        top = w.node(rng.choice(kinds), parts[0], one(s), worker=where[0])
        a = w.node(rng.choice(kinds), parts[1], one(top), worker=where[1])
        b = w.node(rng.choice(kinds), parts[2], one(top), worker=where[2])
        ports = f"a: {{from: {a}, wait: 200ms}}, b: {{from: {b}, wait: 200ms}}"
        w.sink(w.node("Pair", parts[3], ports, worker=where[3]), worker=where[3])
    elif shape == "fanin":
        sources = [w.source(rate * f, block=block) for f in (1.0, 0.5)]
        parts = share(3)
        ends = [
            w.node(rng.choice(kinds), p, one(s), worker=where[i]) for i, (s, p) in enumerate(zip(sources, parts, strict=False))
        ]
        w.sink(w.node(rng.choice(kinds[:2]), parts[2] / 1.5, one(f"[{', '.join(ends)}]"), worker=where[2]), worker=where[2])
    elif shape == "join":
        fast, slow = w.source(rate, block=block), w.source(rate / 2, block=block)
        parts = share(3)
        a = w.node(rng.choice(kinds), parts[0], one(fast), worker=where[0])
        b = w.node(rng.choice(kinds), parts[1], one(slow), worker=where[1])
        wait = rng.choice([0, 10, 20, 50])
        ports = f"item: {a}, other: {{from: {b}, take: latest, wait: {f'{wait}ms' if wait else 0}}}"
        w.sink(w.node("Meet", parts[2], ports, worker=where[2]), worker=where[2])
    else:
        s = w.source(rate, block=block)
        parts = share(3)
        a = w.node(rng.choice(kinds), parts[0], one(s), worker=where[0])
        size = rng.choice([100, 200, 400])
        ports = f"items: {{from: {a}, take: window, window: {{size: {size}ms, hop: {size // 2}ms}}}}"
        g = w.node("Gather", parts[1] * 3, ports, worker=where[1])
        w.sink(w.node(rng.choice(kinds), parts[2], one(g), worker=where[2]), worker=where[2])
    return shape, f"graph: {shape}{seed}\nbudget: 10s\nnodes:\n" + "\n".join(w.lines) + "\n"
