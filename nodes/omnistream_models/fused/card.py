"""The model card beside the weights."""

from __future__ import annotations

from pathlib import Path

from omnistream_models.fused.weights import FILES, Manifest

__all__ = ["write_card"]


def write_card(folder: Path, manifest: Manifest, parameters: int) -> None:
    """Write ``README.md``: what it is, what it was trained on, what it is not for."""
    sizes = "\n".join(f"- `{n}`: {(folder / n).stat().st_size / 1e6:.2f} MB, sha256 `{manifest.sha256[n]}`" for n in FILES)
    made = ", ".join(f"{name} {value}" for name, value in manifest.made.items())
    limits = ", ".join(f"{name} {value:g}" for name, value in manifest.limits.items())
    (folder / "README.md").write_text(
        f"""# The fused reasoner

Words, hands, detections with looks, the gripper's state and sound -> one action of a fixed schema, or a refusal with its
reason; {parameters:,} parameters. The node `fused_reasoner` runs it. `omnistream train fused` made it: {made}.
Limits: {limits}.

{sizes}

## Data

Generated scenes only (`omnistream_models/fused/scenes.py`): tables with up to nine kinds of things in six colours as boxes
with labels, and for a part of them vectors of how rendered things look (`seen.safetensors`), hands as 21 points by geometry
with the measured noise of the hand landmark model, and English sentences out of tables, with the errors that the shipped
recognizer made on synthesized voices and with words that merely sound alike; some thousand sentences were spoken by
synthesizers and heard by the shipped ears. One pair of kind and colour in five, the tests' sentences, voices, cameras and
nouns were never trained on.

## Limits

English; one command at a time, of sixteen verbs; what people really say is more various than the tables. Things are known by
a detector's labels and by colours and kinds of rendered ones, and a hand must be seen in the same picture. No person's voice
and no photograph was used: nothing is known of how it does with either, but what docs/benchmarks.md says. What is heard
changes next to nothing: the words decide. It is no safety function: stops are made by rules.
"""
    )
