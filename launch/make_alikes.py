"""Words that sound like those of scenes: `fused/alike.json`, so that training hears errors that no recognizer has made yet.

Run: ``.venv/bin/python launch/make_alikes.py`` (needs espeak-ng; a minute of one core).

Candidates are the whole words that the shipped recognizer can write with one token; how far two words are from each other is
the weighted edit distance of their phonemes. A word that scenes have of their own is nobody's alike: what is taken for what of
those is counted, not guessed (launch/measure_hearing.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnistream_models.fused.grams import split_words
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.world import BEYOND
from omnistream_models.store import model_path
from omnistream_nodes.tokens import Tokenizer

OUT = Path(__file__).resolve().parents[1] / "nodes" / "omnistream_models" / "fused" / "alike.json"
SEED, SCENES = 79, 6000
_MOST = 24
#: How far it is from one sound to another of its class; else 1. To leave one out or put one in costs `_GAP`.
_CLASSES = {
    "vowel": ("aeiouAEIOUV@03:", 0.45), "stop": ("ptkbdg?", 0.5), "rubbing": ("fvszTDSZhx", 0.5),
    "voiced": ("bmvwdnDlrgNzj", 0.6), "liquid": ("lrwjLR", 0.5),
}  # fmt: skip
_GAP, _FARTHEST = 0.7, 0.42


def sounds(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Of each word its phonemes by espeak-ng, stress left out."""
    spoken = subprocess.run(
        ["espeak-ng", "-q", "-x", "--sep=_", "-v", "en-us"], input="\n".join(words), text=True, capture_output=True, check=True
    ).stdout.splitlines()
    if len(spoken) != len(words):
        raise SystemExit(f"{len(words)} words gave {len(spoken)} lines")
    return [
        tuple(p for p in line.strip().replace("'", "").replace(",", "").replace("_:", ":").split("_") if p) for line in spoken
    ]


def apart(a: str, b: str) -> float:
    """How far two phonemes are from each other."""
    if a == b:
        return 0.0
    return min((cost for members, cost in _CLASSES.values() if a[:1] in members and b[:1] in members), default=1.0)


def distances(spoken: Sequence[str], others: np.ndarray, lengths: np.ndarray, known: Sequence[str]) -> np.ndarray:
    """Weighted edit distances of one word to all `others` (N, L), rows of numbers of `known` phonemes, at once."""
    costs = np.array([[apart(one, other) for other in known] for one in spoken]).reshape(len(spoken), -1)
    row = np.tile(_GAP * np.arange(others.shape[1] + 1), (len(others), 1))
    for cost in costs:
        last, row = row, np.empty_like(row)
        row[:, 0] = last[:, 0] + _GAP
        for j in range(others.shape[1]):
            row[:, j + 1] = np.minimum(last[:, j] + cost[others[:, j]], np.minimum(last[:, j + 1], row[:, j]) + _GAP)
    return row[np.arange(len(others)), lengths]


def main() -> None:
    own = {w for n in range(SCENES) for w in split_words(scene(SEED, n).text)} - {"a", "i"}
    tests = {w for n in range(SCENES) for w in split_words(scene(SEED, n, test=True).text)}
    wanted = sorted(w for w in own if w.isalpha())
    pieces = [p.decode("utf-8", "ignore") for p in Tokenizer(model_path("moonshine_tiny_tokenizer")).pieces]
    written = [p[1:] for p in pieces if p.startswith("▁") and p[1:].isascii() and p[1:].isalpha() and p[1:].islower()]
    written = [w for w in dict.fromkeys(written) if len(w) > 1 and w not in own | tests | set(BEYOND[0]) | set(BEYOND[1])]
    heard = [s[:12] for s in sounds(written)]
    known = sorted({p for s in heard for p in s} | {""})
    lengths = np.array([len(s) for s in heard])
    rows = np.zeros((len(heard), max(lengths)), np.int64)
    for row, s in zip(rows, heard, strict=True):
        row[: len(s)] = [known.index(p) for p in s]
    rank, out = 0.35 * np.arange(len(heard)) / len(heard), dict[str, dict[str, int]]()
    for word, spoken in zip(wanted, sounds(wanted), strict=True):
        far = distances(spoken, rows, lengths, known) / max(2, len(spoken))
        near = [(float(far[n] + rank[n]), written[n]) for n in np.flatnonzero((far <= _FARTHEST) & (lengths > 0))]
        nearest = sorted(near)[:_MOST]
        if nearest:
            shares = np.exp(-6 * np.array([far for far, _ in nearest]))
            out[word] = {other: max(1, round(100 * s)) for (_, other), s in zip(nearest, shares / shares.max(), strict=True)}
    lines = (f"{json.dumps(word)}: {json.dumps(near)}" for word, near in out.items())
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(out)} words, {sum(map(len, out.values())) / len(out):.1f} alikes each, of {len(written)}")


if __name__ == "__main__":
    main()
