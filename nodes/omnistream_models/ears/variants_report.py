"""What making smaller variants found, as tables, as JSON and as a section of the card."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from omnistream_models.ears.manifest import FILES, read_manifest
from omnistream_models.ears.sensitivity import Cost
from omnistream_models.ears.smaller import Made

__all__ = ["tables", "write_report"]

_HEADING = "## Variants"


def tables(made: Made) -> list[str]:
    """Lines of markdown."""
    return ["", *_variants(made), "", *_layers(made.layers), "", *_ways(made.ways)]


def write_report(folder: Path, made: Made) -> None:
    """Write ``variants.json``, and the section of ``README.md``, in place of one that is there."""
    (folder / "variants.json").write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
    card = folder / "README.md"
    before = card.read_text(encoding="utf-8").split(_HEADING)[0].rstrip() if card.exists() else "# Ears"
    sha256 = read_manifest(folder).sha256
    for name, digest in sha256.items():  # the full step was written anew
        before = re.sub(rf"(`{re.escape(name)}`: .*sha256 )`\w+`", rf"\1`{digest}`", before)
    files = [f"- `{n}`: {(folder / n).stat().st_size / 1e6:.2f} MB, sha256 `{d}`" for n, d in sha256.items() if n not in FILES]
    card.write_text("\n".join([before, "", _HEADING, "", *files, "", *_words(made), *tables(made), ""]), encoding="utf-8")


def _words(made: Made) -> Iterator[str]:
    how = made.plan
    yield "`omnistream quantize ears` made these: `ears_int8.onnx` computes its products in 8 bits"
    if "learned" in made.kept:
        yield f"({how.steps} steps of learning for it)"
    if how.small_steps:
        yield "and `ears_small.onnx` has fewer channels, chosen by first-order importance, and was taught by the full ears"
        yield f"({how.small_steps} steps)"
    yield f"(seed {how.seed})."
    yield f"Figures: the network alone, without the recognizer behind it, on {how.scenes}"
    yield f"scenes of 8 s with noise of 5 to 40 dB, {made.voices};"
    yield "microseconds of one step in ONNX Runtime, one thread of the machine that made them."
    yield "Layers left in float: " + (", ".join(made.floats) or "none, for none costs much alone") + "."


def _variants(made: Made) -> Iterator[str]:
    full = made.rows[0]
    yield "| variant | kB | smaller | parameters | exact % | false/min | loss | us a step |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for r in made.rows:
        h, name = r.heard, f"{r.what} (kept)" if r.what == made.kept else r.what
        yield (
            f"| {name} | {r.bytes / 1000:.0f} | {1 - r.bytes / full.bytes:.1%} | {r.parameters:,} | {h.exact:.1f} "
            f"| {h.false_a_minute:.1f} | {h.loss:.4f} | {r.us:.0f} |"
        )


def _layers(costs: Sequence[Cost]) -> Iterator[str]:
    yield "| layer in int8, alone | points lost | loss, % more | false/min |"
    yield "| --- | --- | --- | --- |"
    for c in costs:
        yield f"| {c.what} | {c.points:+.1f} | {100 * c.loss:+.2f} | {c.false_a_minute:.1f} |"


def _ways(costs: Sequence[Cost]) -> Iterator[str]:
    yield "| all layers, way | points lost | loss, % more | false/min | kB | us a step |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for c in costs:
        yield (
            f"| {c.what} | {c.points:+.1f} | {100 * c.loss:+.2f} | {c.false_a_minute:.1f} | {c.bytes / 1000:.0f} | {c.us:.0f} |"
        )
