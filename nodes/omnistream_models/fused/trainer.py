"""``omnistream train fused``: from generated scenes to a network that joins words, hands, things and state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from omnistream.errors import GraphError

__all__ = ["train_fused"]

#: Synthesizers that take a third of a second and more for a sentence: they speak only if they are named.
_SLOW = ("festival", "kokoro")


def train_fused(
    out: Annotated[Path, typer.Option(help="The folder for what is made.")] = Path("fused"),
    seed: Annotated[int, typer.Option(help="The same seed, scenes and synthesizers give the same network.")] = 0,
    scenes: Annotated[int, typer.Option(min=100, help="So many scenes are generated.")] = 150_000,
    steps: Annotated[int, typer.Option(min=20, help="Steps of 128 scenes.")] = 8000,
    programs: Annotated[
        str,
        typer.Option(
            help="Only these synthesizers speak for the ears, such as flite,espeak-ng; none: what is heard is not learned."
        ),
    ] = "",
    ears: Annotated[str, typer.Option(help="The folder of the ears that it will hear with.")] = "shipped",
    begin: Annotated[
        str,
        typer.Option("--from", help="Take the reasoner of this folder, or 'shipped', and learn anew only what weighs sound."),
    ] = "",
) -> None:
    """Train the fused reasoner on generated scenes: write weights, digests, limits and a card. A quarter of an hour of one
    core, and some minutes of speech.

    A run that was stopped goes on where it was. What is held out for tests is not seen. For ears of your own write
    '--from shipped --ears FOLDER': that takes the minutes of speech and two more.
    """
    from rich.console import Console

    from omnistream_models.ears.manifest import read_manifest as read_ears
    from omnistream_models.fused.export import export
    from omnistream_models.fused.train import stages_of, train
    from omnistream_models.fused.weights import read_manifest
    from omnistream_models.progress import bars
    from omnistream_models.trained import folder_of

    if begin and programs == "none":
        raise GraphError(
            "--from learns anew what weighs sound, and --programs none leaves nothing to hear: leave out one of them"
        )
    first = folder_of("fused", begin) if begin else None
    made: dict[str, Any] = {"seed": seed, "scenes": scenes}
    if first is not None:
        heard_by = read_ears(folder_of("ears", ears)).sha256["ears.safetensors"][:12]
        made = {**read_manifest(first).made, "sound_learned_for_ears": heard_by}
    console = Console()
    with bars(console) as bar:

        def told(what: str, done: int, of: int, loss: float) -> None:
            bar(what, done, of, f"loss {loss:.3f}" if what == "steps" else "")

        speaking = () if programs == "none" else _speaking(programs)
        trained = train(
            out, seed=seed, scenes=scenes, stages=stages_of(steps), programs=speaking, begin=first, ears=ears, told=told
        )
    export(trained.model, trained.alignment, out, made={**made, "steps": trained.step})
    console.print(f"written to {out}: use it with 'fused_reasoner' and weights: {out}")


def _speaking(programs: str) -> list[str]:
    """The synthesizers that are named, or that are here but for slow ones. Raises ModelError where there is none."""
    from omnistream_models.ears.voices import installed_programs

    return [p.strip() for p in programs.split(",") if p.strip()] or [p for p in installed_programs() if p not in _SLOW]
