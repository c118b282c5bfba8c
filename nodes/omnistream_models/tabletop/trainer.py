"""``omnistream train looks``: from rendered tables to a network that says what things look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from omnistream_models.tabletop.crops import Pictures

__all__ = ["train_looks"]


def train_looks(
    out: Annotated[Path, typer.Option(help="The folder for what is made.")] = Path("looks"),
    seed: Annotated[int, typer.Option(help="Chance begins from it: the same seed and scenes give the same network.")] = 0,
    scenes: Annotated[int, typer.Option(min=20, help="So many scenes are rendered.")] = 5000,
    steps: Annotated[int, typer.Option(min=20, help="Steps of 128 crops or scenes.")] = 4500,
) -> None:
    """Train looks on rendered scenes: write weights, digests and a card. Some eight minutes of one core.

    A run that was stopped goes on where it was, with the pictures that it had. What is held out for tests is not seen. Needs
    MuJoCo: pip install "omnistream[scenes]".
    """
    import math

    import numpy as np
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from omnistream.errors import ModelError
    from omnistream_models.fused import tensors
    from omnistream_models.tabletop.crops import unseen
    from omnistream_models.tabletop.export import export
    from omnistream_models.tabletop.stage import mujoco_or_why_not
    from omnistream_models.tabletop.training import Trainer, stages_of

    mujoco_or_why_not()
    torch.set_num_threads(1)
    console = Console()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    kept, about = out / "checkpoint.safetensors", {"seed": str(seed), "scenes": str(scenes), "steps": str(steps)}
    with Progress(*columns, console=console) as bar:
        rendering, learning = (bar.add_task(what, total=n, note="") for what, n in (("scenes", scenes), ("steps", steps)))
        pictures = _pictures(out / "pictures.safetensors", 10 + seed, scenes, lambda n: bar.update(rendering, completed=n))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        trainer = Trainer(pictures, unseen(2000 + seed, scenes), seed=seed, stages=stages_of(steps), device=device)
        if kept.exists():
            arrays, words = tensors.read(kept)
            if words != about:
                raise ModelError(f"{kept} is of {words}, not {about}; give the same, or another folder")
            trainer.restore(arrays)
        losses = [math.nan]

        def told(step: int, loss: float) -> None:
            losses.append(loss)
            bar.update(learning, completed=step, note=f"loss {np.mean(losses[-50:]):.3f}")

        while trainer.step < steps:
            trainer.run(trainer.step + 500, told)
            tensors.write(kept, trainer.state(), about)
    made = {"seed": seed, "scenes": scenes, "steps": trainer.step}
    export(trainer.images, trainer.sentences, trainer.pairs, out, made=made)
    console.print(f"written to {out}: use it with 'object_looks' and weights: {out}")


def _pictures(kept: Path, seed: int, scenes: int, told: Callable[[int], None]) -> Pictures:
    """The pictures of a seed: those that were kept, or rendered and kept now."""
    from omnistream_models.fused import tensors
    from omnistream_models.tabletop.crops import Pictures, rendered

    about = {"seed": str(seed), "scenes": str(scenes)}
    if kept.exists():
        arrays, words = tensors.read(kept)
        if words == about:
            told(scenes)
            return Pictures(**arrays)
    made = rendered(seed, scenes, test=False, told=told)
    tensors.write(kept, made.arrays(), about)
    return made
