"""How sure is sure enough: limits chosen on scenes of the training kind that were not trained on. Test scenes have no say."""

from __future__ import annotations

from pathlib import Path

from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.weights import Manifest

__all__ = ["calibrated"]

SEED, SCENES = 31, 3000
#: Of good commands no more may be refused.
_MOST_REFUSED = 0.02


def calibrated(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The limits, and what was right with them, in per cent, on the scenes that they were chosen on.

    `accept` is the highest at which at most 2 % of good commands are refused; `enough` the lowest at which a decision by words
    alone is right as often as by all, within 0.2 points.
    """
    network = FusedNetwork(folder)
    made = [scene(SEED, n) for n in range(SCENES)]
    limits = dict(network.manifest.limits)
    network.manifest = Manifest(limits, {}, network.manifest.sha256)
    good = [s for s in made if not s.truth.reason]

    def refused(accept: float) -> float:
        limits["accept"] = accept
        return sum(bool(network.decide(s.evidence, whole=True).decision.reason) for s in good) / max(1, len(good))

    limits["accept"] = next((a for a in (0.7, 0.6, 0.5, 0.4) if refused(a) <= _MOST_REFUSED), 0.3)
    whole = [network.decide(s.evidence, whole=True).decision.asked == s.truth.asked for s in made]
    early: list[tuple[float, bool, int]] = []
    for n, s in enumerate(made):
        limits["enough"] = 0.5
        answer = network.decide(s.evidence)
        if answer.early:
            early.append((answer.enough, answer.decision.asked == s.truth.asked, n))
    for enough in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99):
        exits = [e for e in early if e[0] >= enough]
        lost = sum(whole[n] for _, _, n in exits) - sum(right for _, right, _ in exits)
        limits["enough"] = enough
        if lost <= 0.002 * len(made):
            break
    else:
        limits["enough"] = 1.1
    return limits, {"seen_alike": round(100 * sum(whole) / len(made), 2)}
