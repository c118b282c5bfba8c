"""What ears cost, and what they hear by themselves: the time of a 20 ms step on one thread, and phrases without the recognizer.

Run: ``.venv/bin/python launch/bench_ears.py shipped my-conformer`` (seconds; ``--every 1`` hears every phrase, in minutes). The
folders take turns, 500 steps at a time, so that whatever else the host does meets all of them; `step` is the log-mels and the
network, p50 and p95 of all steps, in ms. What is heard: phrases of graphs/commands.yaml in the voices that are kept for tests,
the same sound for each folder (noise is white, seed 0). The first phrase of a probability of 0.5 or more counts, right or
wrong; `wait` is from the last voiced sample to it. What a node says of them, the recognizer behind it: bench_models.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from bench import machine  # pyright: ignore[reportMissingImports]
from measure_speech import HELD_OUT, say  # pyright: ignore[reportMissingImports]

from omnistream.clock import perf_ns
from omnistream.errors import OmniStreamError
from omnistream_models.ears.export import load_ears
from omnistream_models.ears.manifest import read_manifest
from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_models.trained import folder_of
from omnistream_nodes.grammar_file import find_grammar, load_grammar

_TURN, _WARM = 500, 20
_SURE = 0.5
_LEAD, _TAIL = 30, 40  # steps
NOISES = {"quiet": 8.0, "15 dB": 2300 * 10 ** (-15 / 20)}


def step_ms(ears: EarlyEars, sound: np.ndarray) -> list[float]:
    """How long each step took, but for the first ones."""
    took: list[float] = []
    for samples in sound:
        begun = perf_ns()
        ears.step(samples)
        took.append((perf_ns() - begun) / 1e6)
    return took[_WARM:]


def said(every: int) -> Iterator[tuple[str, np.ndarray, int]]:
    """A phrase, its sound with silence around it, and the step in which its last voiced sample lies."""
    texts = [p.text for p in load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0}).phrases]
    for n, voice in enumerate(HELD_OUT):
        for text in texts[n % every :: every]:  # other ones in each voice
            clip = say(text, voice)
            steps = -(-len(clip.samples) // STEP) + _LEAD + _TAIL
            sound = np.zeros(steps * STEP, np.float32)
            sound[_LEAD * STEP : _LEAD * STEP + len(clip.samples)] = clip.samples
            yield text, sound, _LEAD + clip.last // STEP


def heard(ears: EarlyEars, sound: np.ndarray) -> tuple[int, str]:
    """The first step in which a phrase is sure, and which; (-1, "") where none is."""
    ears.reset()
    for n, samples in enumerate(np.split(sound, len(sound) // STEP)):
        probabilities = ears.step(samples)
        best = int(probabilities[1:].argmax())
        if probabilities[best + 1] >= _SURE:
            return n, ears.phrases[best]
    return -1, ""


def hear_all(opened: dict[str, EarlyEars], every: int) -> None:
    """Print what each of the ears heard of the same sounds."""
    clips = list(said(every))
    print("\nears                     noise      n  right  wrong  silent  wait ms: p50    p95")
    for noise, rms in NOISES.items():
        rng = np.random.default_rng(0)
        sounds = [np.clip(s + rng.normal(0, rms, len(s)), -32768, 32767).astype(np.int16) for _, s, _ in clips]
        for name, ears in opened.items():
            found = [heard(ears, s) for s in sounds]
            right = [f[1] == text for f, (text, _, _) in zip(found, clips, strict=True)]
            silent = sum(not f[1] for f in found)
            waits = [(f[0] + 1 - last) * 20 for f, (_, _, last), ok in zip(found, clips, right, strict=True) if ok]
            p50, p95 = np.percentile(waits, [50, 95]) if waits else (np.nan, np.nan)
            n = len(clips)
            print(
                f"{name:24} {noise:6} {n:5} {sum(right) / n:6.1%} {(n - sum(right) - silent) / n:6.1%} {silent / n:7.1%}"
                f" {p50:13.0f} {p95:6.0f}"
            )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("ears", nargs="*", default=["shipped"], help="folders of trained ears")
    options.add_argument("--turns", type=int, default=8)
    options.add_argument("--every", type=int, default=8, help="hear every so many phrases, others in each voice; 0: none")
    given = options.parse_args()
    sound = np.random.default_rng(0).normal(0, 900, (_WARM + _TURN, STEP)).astype(np.int16)
    opened = {name: EarlyEars(name, 1) for name in given.ears}
    took: dict[str, list[float]] = {name: [] for name in opened}
    for _ in range(given.turns):
        for name, ears in opened.items():
            took[name] += step_ms(ears, sound)
    print(f"{machine()}\n\nears                     network       parameters  onnx MB  step ms: p50    p95  of a core")
    for name, times in took.items():
        folder = folder_of("ears", name)
        network = str(read_manifest(folder).shape.get("network", "convolutions"))
        parameters = sum(p.numel() for p in load_ears(folder)[0].parameters())
        p50, p95 = np.percentile(times, [50, 95])
        size = (folder / "ears.onnx").stat().st_size / 1e6
        print(f"{name:24} {network:12} {parameters:11,} {size:8.2f} {p50:13.3f} {p95:6.3f} {p50 / 20:9.1%}")
    if given.every:
        hear_all(opened, given.every)


if __name__ == "__main__":
    try:
        main()
    except OmniStreamError as error:
        sys.exit(str(error))
