"""What the fused reasoner's smaller variants cost and save, on scenes of which no part was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tables import interval, row

from omnistream_models.fused.judging import decisions_ms
from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import Scene, scene
from omnistream_models.fused.variants import VARIANTS, Variants, folder_of
from omnistream_models.fused.weights import FILES

__all__ = ["SEEDS", "fused"]

SEEDS = (501, 502, 503)
_TIMED = 900


def fused(folder: Path, scenes: int) -> None:
    """The table of variants: each decides as in the node, as far as it takes; `scenes` of each of `SEEDS`."""
    made = [scene(seed, n, test=True) for seed in SEEDS for n in range(scenes)]
    networks = Variants(folder)
    ms = decisions_ms({name: networks.of(name) for name in networks.names}, made[:: max(1, len(made) // _TIMED)])
    print(
        f"\nThe fused reasoner: n = {len(made)}, seeds {', '.join(map(str, SEEDS))}; ms of processor time, the least of three\n"
    )
    row("variant", "kB", "exact", "wrong action", "contradictions refused", "good refused", "ms a decision", "faster")
    row("---", *["---"] * 7)
    for name in networks.names:
        size = sum((folder_of(folder, name) / file).stat().st_size for file in FILES)
        row(name, round(size / 1000), *_decided(networks.of(name), made), f"{ms[name]:.3f}", f"{ms['full'] / ms[name]:.2f}x")
    missing = [name for name in VARIANTS if name not in networks.names]
    if missing:
        print(f"there is no variant {' and '.join(missing)} of these weights: 'omnistream quantize fused' makes them")


def _decided(network: FusedNetwork, made: Sequence[Scene]) -> list[str]:
    asked = [network.decide(s.evidence).decision.asked for s in made]
    both = list(zip(asked, made, strict=True))
    return [
        interval([a == s.truth.asked for a, s in both]),
        interval([a not in ("rejected", s.truth.asked) for a, s in both]),
        interval([a == "rejected" for a, s in both if s.truth.reason == "contradiction"]),
        interval([a == "rejected" for a, s in both if not s.truth.reason]),
    ]
