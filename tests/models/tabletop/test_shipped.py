"""The weights that ship: whole, small, and good on tables that they were not trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnistream.errors import ModelError
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.world import held_out
from omnistream_models.tabletop.export import load
from omnistream_models.tabletop.runtime import LooksNetwork
from omnistream_models.tabletop.sayings import name_of, words_of
from omnistream_models.tabletop.scenes import Tabletops
from omnistream_models.tabletop.weights import FILES, shipped


def test_they_are_small_and_described():
    assert {p.name for p in shipped().iterdir()} == {*FILES, "looks.json", "README.md"}
    assert sum(p.stat().st_size for p in shipped().iterdir()) < 1.5e6
    card = (shipped() / "README.md").read_text()
    assert all(digest in card for digest in LooksNetwork().manifest.sha256.values())


def test_things_of_tests_are_named_and_found_by_names_that_were_never_said():
    tabletops, network, (_, sentences, _) = Tabletops(950, test=True), LooksNetwork(), load(shipped())
    try:
        made = [tabletops[n] for n in range(60)]
    except ModelError as error:
        pytest.skip(str(error))
    tabletops.close()
    choices = [(k, c) for k in range(1, len(KINDS)) for c in range(1, len(COLOURS))]
    with torch.no_grad():
        names = sentences(torch.from_numpy(words_of([name_of(*choice) for choice in choices]))).one.numpy()
    right, nearest = list[tuple[bool, bool]](), list[bool]()
    for one in made:
        seen = network.look(one.image, one.boxes)
        best = (seen.vectors @ names.T).argmax(1)
        for n, thing in enumerate(one.things):
            if thing.colour and thing.kind != KINDS[0]:
                truth = (KINDS.index(thing.kind), COLOURS.index(thing.colour))
                right.append((seen.kinds[n].argmax() == truth[0], seen.colours[n].argmax() == truth[1]))
                nearest += [choices[int(best[n])] == truth] if held_out(thing.kind, thing.colour) else []
    assert np.mean([kind for kind, _ in right]) > 0.8
    assert np.mean([colour for _, colour in right]) > 0.85
    assert len(nearest) > 50
    assert np.mean(nearest) > 0.6
