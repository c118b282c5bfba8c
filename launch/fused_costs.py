"""What a decision of the fused reasoner costs, by all of the network and by as much as it takes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from tables import interval, row

from omnistream_models.fused.evidence import Evidence
from omnistream_models.fused.runtime import Answer, FusedNetwork
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.world import SIZE
from omnistream_models.tabletop.runtime import LooksNetwork
from omnistream_nodes.looking import vectors_of

__all__ = ["costs"]


def timed(network: FusedNetwork, evidence: Evidence, whole: bool) -> tuple[Answer, list[float]]:
    """A decision, made three times, and what each took, in ms of processor time."""
    times: list[float] = []
    while True:
        began = time.thread_time()
        answer = network.decide(evidence, whole=whole)
        times.append((time.thread_time() - began) * 1e3)
        if len(times) == 3:
            return answer, times


def costs(made: Sequence[Scene], network: FusedNetwork) -> None:
    """Each way by itself, in turns of 100; of each decision the first time and the least of three, for others use the host.

    Without eyes, and with them: then every scene that has detections has a picture, which costs what it would on a robot.
    """
    for eyes in (False, True):
        _costs([with_eyes(s) if eyes else s for s in made[:2000]], network, "a picture" if eyes else "no picture")


@cache
def _eyes() -> tuple[LooksNetwork, np.ndarray]:
    return LooksNetwork(), np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)


def with_eyes(made: Scene) -> Scene:
    """The scene with a picture to look at; what the network of looks makes of that picture, a stand-in, is thrown away."""
    seen, known, (network, picture) = made.evidence.detections, made.evidence.look, _eyes()
    if seen is None:
        return made

    def look(numbers: np.ndarray) -> np.ndarray:
        found = vectors_of(network, picture, seen, numbers)
        return np.zeros_like(found) if known is None else known(numbers)

    return replace(made, evidence=replace(made.evidence, look=look))


def _costs(some: Sequence[Scene], network: FusedNetwork, what: str) -> None:
    spent: dict[tuple[bool, str], list[float]] = {
        (w, t): [] for w in (True, False) for t in ("the first", "the least of three")
    }
    hits: dict[bool, list[bool]] = {True: [], False: []}
    paths: Counter[str] = Counter()
    for start in range(0, len(some), 100):
        for whole in (True, False):
            for s in some[start : start + 100]:
                answer, times = timed(network, s.evidence, whole)
                spent[whole, "the first"].append(times[0])
                spent[whole, "the least of three"].append(min(times))
                hits[whole].append(answer.decision.asked == s.truth.asked)
                paths[answer.path] += not whole
    print(f"\n| a decision, {what}, ms of processor time, n = {len(some)} | mean | p50 | p99 | exact |")
    print("| --- | --- | --- | --- | --- |")
    names = {True: "all of the network", False: "as much as it takes"}
    for (whole, which), taken in spent.items():
        ms = np.asarray(taken)
        cells = (f"{v:.2f}" for v in (ms.mean(), np.quantile(ms, 0.5), np.quantile(ms, 0.99)))
        row(f"{names[whole]}, {which}", *cells, interval(hits[whole]))
    print("\nDecided by: " + ", ".join(f"{name} {count / len(some):.0%}" for name, count in paths.most_common()))
    for which in ("the first", "the least of three"):
        less = 1 - np.mean(spent[False, which]) / np.mean(spent[True, which])
        print(f"Mean cost, {which}: {100 * less:.0f} % lower.")
