"""What the smaller variants of OmniStream's own models cost and save, on data that they have not heard.

Ears, as `spoken_commands` runs them with the recognizer and the parser behind: each phrase of graphs/commands.yaml once per
voice and noise (exact), near misses (taken for commands, a minute), in the voices that are reserved for tests; and by
themselves: the file, and a step of 20 ms as in the node, log-mels included, hot and after other work has emptied the caches.
"full, convolutions" is the same network as it is written down for training; that was run before `full` became products.

The fused reasoner, as `fused_reasoner` runs it: exact actions, refusals and the time of a decision on held-out scenes.

Run: ``.venv/bin/python launch/bench_small.py`` (an hour of one core; ``--every 4`` a quarter; ``--steps`` only times;
``--only fused`` two minutes).
Noise is white, seed 0. What layers cost in int8, and int8 with and without learning for it: ``omnistream quantize ears``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure_speech as speech
import numpy as np
from bench import machine  # pyright: ignore[reportMissingImports]
from bench_models import NOISES, VOICES, Voices, interval
from fused_variants import fused

from omnistream.errors import OmniStreamError
from omnistream_models.ears.manifest import VARIANTS, read_manifest
from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_models.trained import folder_of
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.grammar import Grammar
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.spoken_commands import SpokenCommands

_STEPS, _COLD_STEPS, _ROUNDS = 400, 60, 5
#: More than the caches of one core, and its share of those of all.
_OTHER_WORK = 32 << 20


def step_ms(run: Callable[[np.ndarray], Any]) -> tuple[float, float]:
    """Median milliseconds of one step: one after another, and with other work between them."""
    sound = np.random.default_rng(0).integers(-2000, 2000, (_STEPS, STEP)).astype(np.int16)
    other = np.zeros(_OTHER_WORK, np.uint8)
    times: tuple[list[float], list[float]] = ([], [])
    for cold, count in ((False, _STEPS), (True, _COLD_STEPS)):
        for samples in sound[:count]:
            if cold:
                other += 1
            begun = time.perf_counter()
            run(samples)
            times[cold].append((time.perf_counter() - begun) * 1e3)
    return float(np.median(times[0])), float(np.median(times[1]))


def convolutions(folder: Path) -> Callable[[np.ndarray], Any]:
    """A step of the network as it was before its products."""
    from omnistream_models.ears.export import load_ears, write_network
    from omnistream_models.ears.features import MELS, LogMel
    from omnistream_models.ears.heard import open_step

    with tempfile.TemporaryDirectory() as made:
        write_network(load_ears(folder)[0], Path(made) / "step.onnx")
        session = open_step(Path(made) / "step.onnx")
    inputs = session.get_inputs()
    mel, state = LogMel(), [np.zeros([n if isinstance(n, int) else 1 for n in i.shape], np.float32) for i in inputs[1:]]

    def run(samples: np.ndarray) -> None:
        frames = mel.step(samples).reshape(1, -1, MELS)
        given = dict(zip((i.name for i in inputs), [frames, *state], strict=True))
        _, state[0], state[1] = session.run(["classes", "next_mels", "next_blocks"], given)

    return run


def times(folder: str) -> None:
    """The table of files and steps; rounds take turns, so that all have the same neighbours."""
    where = folder_of("ears", folder)
    ears = {variant: EarlyEars(folder, 1) for variant in EarlyEars(folder, 1).variants}
    for variant, stream in ears.items():
        stream.use(variant)
    runs = {"full, convolutions": convolutions(where)} | {v: stream.step for v, stream in ears.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            found[name].append(step_ms(run))
    size = (where / VARIANTS["full"]).stat().st_size
    first = [float(np.median([t[k] for t in found["full, convolutions"]])) for k in (0, 1)]
    print(f"\n{'ears':20} {'kB':>6} {'smaller':>8} {'ms a step':>10} {'faster':>7} {'cold':>7} {'faster':>7}")
    for name, values in found.items():
        hot, cold = (float(np.median([t[k] for t in values])) for k in (0, 1))
        mine = size if name not in VARIANTS else (where / VARIANTS[name]).stat().st_size
        print(
            f"{name:20} {mine / 1000:6.0f} {1 - mine / size:8.1%} {hot:10.4f} {first[0] / hot:6.2f}x"
            f" {cold:7.3f} {first[1] / cold:6.2f}x"
        )

    print(f"a change of variant: {change_ms(EarlyEars(folder, 1)):.1f} ms, once: the other ears hear again what they remember")


def change_ms(stream: EarlyEars) -> float:
    """Median milliseconds of a change to each variant in turn, in the middle of sound."""
    for samples in np.random.default_rng(1).integers(-2000, 2000, (200, STEP)).astype(np.int16):
        stream.step(samples)
    took: list[float] = []
    for variant in [*stream.variants[1:], stream.variants[0]] * 8:
        begun = time.perf_counter()
        stream.use(variant)
        took.append((time.perf_counter() - begun) * 1e3)
    return float(np.median(took))


async def commands(folder: str, grammar: Grammar, every: int) -> None:
    """Exact commands and near misses of each variant."""
    texts = [p.text for p in grammar.phrases][::every]
    misses = [*speech.NEAR_MISSES, *grammar.confusable][::every]
    say = Voices()
    print(f"\n{'variant':8} {'noise':6} {'n':>5} {'exact':>7} {'95 % interval':>15} {'wrong':>7} {'wait50':>7} {'wait95':>7}")
    triggers: list[str] = []
    for variant in EarlyEars(folder, 1).variants:
        ears = speech.Ears(SpokenCommands(ears=folder), variant)
        await ears.open()
        for noise, rms in NOISES.items():
            score = speech.Score()
            for voice in VOICES:
                score.add(await speech.commands(ears, grammar, texts, voice, rms, say))
            low, high = interval(score.right, score.said)
            waits = np.percentile(score.waited_ms or [float("nan")], [50, 95])
            print(
                f"{variant:8} {noise:6} {score.said:5} {score.right / score.said:7.1%} {low:7.1%}-{high:6.1%}"
                f" {len(score.wrong) / score.said:7.1%} {waits[0]:7.0f} {waits[1]:7.0f}",
                flush=True,
            )
        near = speech.Score()
        for voice in VOICES:
            near.add(await speech.commands(ears, grammar, misses, voice, NOISES["quiet"], say))
        rate = len(near.wrong) / near.seconds * 60
        triggers.append(f"{variant:8} near misses: {len(near.wrong)} of {near.said} taken, {rate:.2f} a minute")
    print("", *triggers, sep="\n")


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--every", type=int, default=1, help="take every so many phrases and sentences")
    options.add_argument("--ears", default="shipped", help="a folder of trained ears")
    options.add_argument("--steps", action="store_true", help="only the table of files and steps")
    options.add_argument("--fused", default="shipped", help="a folder of a trained fused reasoner")
    options.add_argument("--scenes", type=int, default=600, help="of each of three seeds, for the fused reasoner")
    options.add_argument("--only", choices=("ears", "fused"), help="one of both")
    given = options.parse_args()
    print(machine())
    if given.only != "fused":
        hearing(given)
    if given.only != "ears":
        fused(folder_of("fused", given.fused), given.scenes)


def hearing(given: argparse.Namespace) -> None:
    """All of the ears' figures."""
    grammar = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": CommandParser.default_distance_m})
    where = folder_of("ears", given.ears)
    print(f"ears {read_manifest(where).sha256['ears.safetensors'][:12]}")
    times(given.ears)
    if not given.steps:
        asyncio.run(commands(given.ears, grammar, given.every))


if __name__ == "__main__":
    try:
        main()
    except OmniStreamError as error:
        sys.exit(str(error))
