"""How sure is sure enough: limits chosen on scenes of the training kind that were not trained on. Test scenes have no say."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from omnistream_models.fused.runtime import FusedNetwork, by_all, by_words
from omnistream_models.fused.scenes import scene

__all__ = ["calibrated"]

SEED, SCENES = 31, 2000
#: What a wrong action costs, in right ones, and what one does where two things were told that contradict each other. Of good
#: commands no more than this share may be refused, if that can be: 3 % are wanted on other voices and sentences, where more
#: are.
_WRONG, _AGAINST, _REFUSED = 0.5, 2.0, 0.01
_GRID = {
    "accept": (0.2, 0.3, 0.4, 0.5), "sure": (0.1, 0.2, 0.3, 0.45), "margin": (0.05, 0.15, 0.3),
    "contradict": (0.1, 0.15, 0.2, 0.3, 0.4, 1.0),
}  # fmt: skip
_ENOUGH = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def calibrated(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The limits, and how many scenes are right with them, in per cent, of those that they were chosen on.

    `accept`, `sure`, `margin` and `contradict`: the most right ones, less what wrong actions cost, where few good commands are
    refused.
    `enough`: the lowest at which what is decided by words alone is right as often as by all, but for 0.2 points.
    """
    network = FusedNetwork(folder)
    made = [scene(SEED, n) for n in range(SCENES)]
    outputs = [network.outputs(s.evidence) for s in made]
    limits = dict(network.manifest.limits)
    costs = [_AGAINST if s.truth.reason == "contradiction" else _WRONG for s in made]
    best, good = (False, -float("inf")), [n for n, s in enumerate(made) if not s.truth.reason]
    for values in product(*_GRID.values()):
        tried = limits | dict(zip(_GRID, values, strict=True))
        found = [by_all(heads, s.evidence, tried).asked for (_, heads), s in zip(outputs, made, strict=True)]
        done = [f != "rejected" for f in found]
        worth = sum(1.0 if f == s.truth.asked else -c * d for f, s, c, d in zip(found, made, costs, done, strict=True))
        few = sum(found[n] == "rejected" for n in good) <= _REFUSED * len(good)
        if (few, worth) > best:
            best, limits = (few, worth), tried
    whole = [by_all(heads, s.evidence, limits).asked == s.truth.asked for (_, heads), s in zip(outputs, made, strict=True)]
    early = [by_words(said, limits).asked == s.truth.asked for (said, _), s in zip(outputs, made, strict=True)]
    sure = [float(said["enough"][0]) for said, _ in outputs]
    limits["enough"] = 1.1
    for enough in _ENOUGH:
        lost = sum(whole[n] - early[n] for n in range(len(made)) if sure[n] >= enough)
        if lost <= 0.002 * len(made):
            limits["enough"] = enough
            break
    return limits, {"right_where_limits_were_chosen": round(100 * sum(whole) / len(made), 2)}
