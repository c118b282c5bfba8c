"""The model card that lies beside trained ears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omnistream_models.ears.manifest import FILES, Manifest
from omnistream_models.ears.speech import Clip
from omnistream_nodes.grammar import Grammar

__all__ = ["write_card"]


def write_card(folder: Path, manifest: Manifest, grammar: Grammar, clips: Sequence[Clip]) -> None:
    """Write ``README.md``: what was heard, by whom, and what the ears are not for."""
    programs = Counter(c.voice.split(" ")[0] for c in clips)
    voices = {p: len({c.voice for c in clips if c.voice.startswith(p + " ")}) for p in programs}
    hours = sum(len(c.samples) for c in clips) / 16000 / 3600
    commands = sum(c.phrase >= 0 for c in clips)
    rows = "\n".join(f"| {p} | {voices[p]} | {n} |" for p, n in sorted(programs.items()))
    sizes = "\n".join(f"- `{n}`: {(folder / n).stat().st_size / 1e6:.1f} MB, sha256 `{manifest.sha256[n]}`" for n in FILES)
    reserved = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in grammar.reserved.items()) or "none"
    how = manifest.made
    network = manifest.shape.get("network", "convolutions")
    limit = f", at most {how['minutes']:g} minutes" if how.get("minutes") else ""
    took = f" in {how['took_minutes']:.0f} minutes of {how.get('on', 'the CPU')}" if "took_minutes" in how else ""
    done = f"{how.get('steps')} of {how.get('of')} steps{limit}{took}"
    done += f", after {how['after']} of other ears" if how.get("after") else ""
    made = f"seed {how.get('seed')}, {done}; loss at the end {how.get('loss')}"
    (folder / "README.md").write_text(
        f"""# Ears for {Path(grammar.file).name}

A causal network ({network}) on 40 log-mels that says every 20 ms which of {len(manifest.phrases)} phrases has just ended.
`spoken_commands` runs it; `omnistream train ears --grammar {Path(grammar.file).name}` made it ({made}).

{sizes}

## Data

{len(clips)} synthesized clips, {hours:.1f} hours before augmentation: {commands} commands, the rest near
misses and other sentences, none of which is one that the tests say. Augmented by resampling of +-20 %,
pace of +-12 % in half of the scenes, tilt, reverberation, noise of 5 to 40 dB, level and
silenced bands. No person's recorded voice was used.

| program | voices | clips |
| --- | --- | --- |
{rows}

Reserved for tests and not heard: {reserved}; and hibari, wholly.

## Limits

Trained on synthesized English only. `make bench-models` prints how it does on voices that it has not heard, each synthesizer
apart, and on recordings of people who say no command; docs/benchmarks.md keeps what it printed. Few people have been tried.
""",
        encoding="utf-8",
    )
