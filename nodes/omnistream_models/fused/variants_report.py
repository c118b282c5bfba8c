"""What making smaller variants found, as tables, as JSON and as a section of the card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from omnistream_models.fused.sensitivity import Cost
from omnistream_models.fused.smaller import WAYS, Made
from omnistream_models.fused.tries import Row
from omnistream_models.fused.variants import VARIANTS, folder_of
from omnistream_models.fused.weights import read_manifest

__all__ = ["tables", "write_report"]

_HEADING = "## Variants"


def tables(made: Made) -> list[str]:
    """Lines of markdown."""
    ours = [_named(r, "kept" if r.what == made.kept else "") for r in made.rows]
    ways = [_named(r, "taken" if r.what == str(WAYS[0]) else "") for r in made.ways]
    return ["", *_rows(ours, made.as_floats), "", *_rows(ways, made.as_floats), "", *_layers(made.layers)]


def write_report(folder: Path, made: Made) -> None:
    """Write ``variants.json``, and the section of ``README.md``, in place of one that is there."""
    (folder / "variants.json").write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
    card = folder / "README.md"
    before = card.read_text(encoding="utf-8").split(_HEADING)[0].rstrip() if card.exists() else "# The fused reasoner"
    text = [before, "", _HEADING, "", *_files(folder), "", *_words(made), *tables(made), ""]
    card.write_text("\n".join(text), encoding="utf-8")


def _files(folder: Path) -> Iterator[str]:
    for variant in VARIANTS[1:]:
        where = folder_of(folder, variant)
        if where.exists():
            for name, digest in read_manifest(where).sha256.items():
                yield f"- `{variant}/{name}`: {(where / name).stat().st_size / 1e3:.0f} kB, sha256 `{digest}`"


def _words(made: Made) -> Iterator[str]:
    how = made.plan
    yield f"`omnistream quantize fused` made these (seed {how.seed}): `int8` has its products, and the table of words, in 8"
    yield f"bits ({how.steps} steps of learning for it were tried)."
    if how.small_steps:
        yield f"`small` has fewer channels and rows, and was taught by the full network ({how.small_steps} steps)."
        yield "It gives sound no weight, and has limits of its own."
    yield f"Figures: all of the network, on {how.judges} scenes of the training kind that were not trained on; ms of processor"
    yield "time a decision, as far as it takes, one thread of the machine that made them. The scenes are"
    yield "silent: what layers that weigh sound cost is not known."
    yield f"The full network would be {made.as_floats / 1e6:.2f} MB with all numbers as floats; it is kept at half precision."
    yield "Layers left in float: " + (", ".join(made.floats) or "none, for none costs much alone") + "."


def _named(row: Row, note: str) -> tuple[str, Row]:
    return (f"{row.what} ({note})" if note else row.what), row


def _rows(rows: Sequence[tuple[str, Row]], floats: int) -> Iterator[str]:
    yield "| variant | kB | smaller than floats | parameters | exact % | wrong % | good refused % | loss | ms a decision |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, r in rows:
        j = r.judged
        yield (
            f"| {name} | {r.bytes / 1000:.0f} | {1 - r.bytes / floats:.1%} | {r.parameters:,} | {j.exact:.1f} "
            f"| {100 * j.wrong / j.scenes:.1f} | {100 * j.refused / max(1, j.good):.1f} | {j.loss:.4f} | {r.ms:.3f} |"
        )


def _layers(costs: Sequence[Cost]) -> Iterator[str]:
    yield "| layer in int8, alone | points lost | loss, % more |"
    yield "| --- | --- | --- |"
    for c in costs:
        yield f"| {c.what} | {c.points:+.1f} | {100 * c.loss:+.2f} |"
