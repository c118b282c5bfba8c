"""A small grammar and clips for the tests of ears."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from omnistream_models.ears.speech import Clip
from omnistream_nodes.grammar import Grammar
from omnistream_nodes.grammar_file import load_grammar

SMALL = """
commands:
  stop: ["stop"]
  move: ["go forward", "go forward two meters"]
meaning:
  "go forward": {values: {distance_m: 1}}
  "go forward two meters": {values: {distance_m: 2}}
urgent: [stop]
fillers: [please]
confusable: ["stop by the store"]
reserved_for_tests:
  flite: [rms, slt]
  espeak_variants: [f2]
  espeak_accents: [en-gb-scotland]
"""


def small_grammar(folder: Path) -> Grammar:
    """Three phrases, one of which is the beginning of another."""
    path = folder / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return load_grammar(path)


def need_flite() -> None:
    if not shutil.which("flite"):
        pytest.skip("flite is missing: apt-get install flite")


def tone(phrase: int, length_s: float = 0.5, seed: int = 0) -> Clip:
    """A clip that needs no synthesizer: a buzz, other for each phrase, between silences."""
    t = np.arange(round(length_s * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * (170 + 90 * phrase) * k * t + seed) for k in range(1, 9))
    samples = np.concatenate([np.zeros(800), buzz * 1200, np.zeros(1600)]).astype(np.int16)
    return Clip(samples, 800, 800 + len(t), "stop", "espeak-ng en-us", phrase)
