"""What the shipped recognizer writes for the words of scenes, by synthesized voices: `fused/hearing.json`.

Run: ``.venv/bin/python launch/measure_hearing.py`` (needs flite and espeak-ng; some ten minutes of one core).

Voices of training and the ones that graphs/commands.yaml reserves for tests are kept apart. A table says, for each word,
what was written in its place and how often; of the tests' voices whole sentences are kept, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from omnistream_models.fused.grams import split_words
from omnistream_models.fused.scenes import scene
from omnistream_nodes.moonshine import Moonshine

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "graphs" / "recordings"))
from voices import say  # noqa: E402

OUT = ROOT / "nodes" / "omnistream_models" / "fused" / "hearing.json"
TRAIN = [
    "flite awb",
    "flite kal",
    *(f"espeak-ng en-us+{v}" for v in ("m1", "m2", "m4", "m7", "f1", "f3", "f4", "f5")),
    "espeak-ng en-gb",
]
TEST = [
    "flite rms",
    "flite slt",
    *(f"espeak-ng en-us+{v}" for v in ("f2", "m3", "Annie", "Alex", "Michael", "linda", "steph")),
    "espeak-ng en-gb-scotland",
]
SEED = 77
_MOST = 10


def heard(model: Moonshine, text: str, voice: str, noise: np.random.Generator) -> str:
    """What is recognized of `text` in `voice`, with noise 20 to 45 dB below it."""
    clip = say(text, voice).samples.astype(np.float32) / 32768
    level = float(np.sqrt(np.mean(clip**2))) * 10 ** (-noise.uniform(20, 45) / 20)
    sound = np.concatenate([np.zeros(1600, np.float32), clip, np.zeros(1600, np.float32)])
    return model.recognize((sound + noise.normal(0, level, len(sound))).astype(np.float32)).free().text


def count(table: dict[str, Counter[str]], said: list[str], written: list[str]) -> None:
    """Add what was written for each word. Where more words were written than said, they count for the last of a part."""
    for kind, a, b, c, d in SequenceMatcher(None, said, written, autojunk=False).get_opcodes():
        if kind == "insert":
            continue
        if d - c > 2 * (b - a) + 1:
            continue  # another sentence altogether
        for n in range(a, b):
            last = n == b - 1
            words = written[c + n - a : d if last else c + n - a + 1]
            table.setdefault(said[n], Counter())[" ".join(words)] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sentences", type=int, default=900, help="of each of the two parts")
    options = parser.parse_args()
    model, noise = Moonshine(1), np.random.default_rng(SEED)
    out: dict[str, object] = {"seed": SEED}
    for part, voices in (("train", TRAIN), ("test", TEST)):
        table: dict[str, Counter[str]] = {}
        pairs: list[list[str]] = []
        right = 0
        for n in range(options.sentences):
            text = scene(SEED, n, test=part == "test").text
            written = split_words(heard(model, text, voices[n % len(voices)], noise))
            right += written == split_words(text)
            count(table, split_words(text), written)
            pairs.append([text, " ".join(written)])
            if n % 100 == 99:
                print(f"{part}: {n + 1} of {options.sentences}, word for word right {right / (n + 1):.1%}", flush=True)
        out[part] = {word: dict(counts.most_common(_MOST)) for word, counts in sorted(table.items())}
        if part == "test":
            out["sentences"] = pairs
    OUT.write_text(json.dumps(out, indent=0, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
