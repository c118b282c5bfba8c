"""The weights that ship: whole, small, and good on scenes that they were not trained on."""

from __future__ import annotations

import numpy as np

from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.weights import FILES, shipped


def test_they_are_small_and_described():
    assert {p.name for p in shipped().iterdir()} == {*FILES, "fused.json", "README.md", "variants.json", "int8", "small"}
    assert sum(p.stat().st_size for p in shipped().rglob("*.*")) < 6e6
    card = (shipped() / "README.md").read_text()
    assert all(digest in card for digest in FusedNetwork().manifest.sha256.values())


def test_held_out_scenes_are_decided_and_each_modality_has_a_say():
    network = FusedNetwork()
    made = [scene(700, n, test=True) for n in range(200)]

    def right(*without: str) -> float:
        return float(np.mean([network.decide(s.evidence.without(*without)).decision.asked == s.truth.asked for s in made]))

    whole = right()
    assert whole > 0.85
    assert right("hands") < whole - 0.05
    assert right("detections") < whole - 0.2
    assert right("state") < whole
    assert network.decide(made[0].evidence).decision == network.decide(made[0].evidence).decision


def test_what_is_decided_early_is_decided_alike_by_all():
    network, alike, early = FusedNetwork(), 0, 0
    for n in range(200):
        evidence = scene(701, n, test=True).evidence
        answer = network.decide(evidence)
        if answer.early:
            early += 1
            alike += answer.decision.asked == network.decide(evidence, whole=True).decision.asked
    assert early > 50
    assert alike >= 0.95 * early
