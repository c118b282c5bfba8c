"""The model card beside the weights."""

from __future__ import annotations

from pathlib import Path

from omnistream_models.tabletop.weights import FILES, Manifest

__all__ = ["write_card"]


def write_card(folder: Path, manifest: Manifest, seeing: int, parameters: int) -> None:
    """Write ``README.md``: what it is, what it was trained on, what it is not for."""
    sizes = "\n".join(f"- `{n}`: {(folder / n).stat().st_size / 1e6:.2f} MB, sha256 `{manifest.sha256[n]}`" for n in FILES)
    made = ", ".join(f"{name} {value}" for name, value in manifest.made.items())
    (folder / "README.md").write_text(
        f"""# Looks

A crop of a picture -> its kind, its colour, and a vector in the space of its name; sentences and tables in the same space.
{parameters:,} parameters, of which {seeing:,} see. The node `object_looks` runs it. `omnistream train looks` made it: {made}.

{sizes}

## Data

Rendered tables only (`omnistream_models/tabletop`, MuJoCo): nine kinds of things, made in code, in six colours and in some that
have no name here, on surfaces with patterns made in code, under lamps and cameras drawn by lot. One pair of kind and colour in
five, the tests' shapes, patterns, shades, lamps and cameras, and the tests' sentences were never trained on.

## Limits

No photograph was used: nothing is known of how it does with real things, but what docs/benchmarks.md says. Things are plain and
of one colour, and stand apart. A colour is what a lamp makes of it: strongly coloured light misleads. It finds nothing by
itself: boxes are a detector's.
"""
    )
