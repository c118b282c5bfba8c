"""``omnistream train ears``: from a commands file to a network that hears its phrases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train_ears"]

_MOST_PHRASES = 400
#: What is known already is to be kept: ears that are gone on from learn at half the rate.
_RATE_ON = 1.5e-3


def train_ears(
    grammar: Annotated[str, typer.Option(help="The commands file.")] = "commands.yaml",
    out: Annotated[Path, typer.Option(help="The folder for what is made.")] = Path("ears"),
    seed: Annotated[
        int, typer.Option(help="Chance begins from it: the same seed and steps give the same network, on a CPU.")
    ] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps of 16 scenes of 8 s each.")] = 8000,
    minutes: Annotated[float, typer.Option(min=0, help="Train at most so long, synthesis not counted. 0: no limit.")] = 0.0,
    clips: Annotated[float, typer.Option(min=0.001, help="Make so many times the usual number of clips.")] = 1.0,
    programs: Annotated[str, typer.Option(help="Only these synthesizers, such as flite,espeak-ng.")] = "",
    network: Annotated[str, typer.Option(help="What hears: convolutions, or a conformer.")] = "convolutions",
    begin: Annotated[
        str,
        typer.Option("--from", help="Go on from the ears of this folder, or 'shipped', with smaller steps. Else from chance."),
    ] = "",
) -> None:
    """Train ears for the phrases of a commands file: synthesize them, learn them, write weights, digests and a card.

    A run that was stopped goes on where it was. Voices that the commands file reserves for tests are not heard.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from omnistream.errors import GraphError
    from omnistream_models import cache_dir
    from omnistream_models.ears import synthesis
    from omnistream_models.ears.beginning import beginning
    from omnistream_models.ears.shape import NETWORKS
    from omnistream_models.ears.training import Schedule
    from omnistream_models.ears.voices import installed_programs, missing_programs
    from omnistream_nodes.grammar_file import find_grammar, load_grammar

    found = load_grammar(find_grammar(grammar), {"default_distance_m": 1.0})
    if len(found.phrases) > _MOST_PHRASES:
        raise GraphError(
            f"{grammar}: {len(found.phrases)} phrases are more than the {_MOST_PHRASES} that ears are trained for; train them "
            "for a file with the most frequent ones: the recognizer understands the others, more slowly"
        )
    if network not in NETWORKS:
        raise GraphError(f"--network {network}: write one of {', '.join(NETWORKS)}")
    begun, after = beginning(begin, network, tuple(p.text for p in found.phrases))
    schedule = Schedule(steps, minutes=minutes)
    if begin:
        schedule = replace(schedule, rate=_RATE_ON)
    console = Console()
    wanted = [p.strip() for p in programs.split(",") if p.strip()] or installed_programs()
    console.print(f"ears for the {len(found.phrases)} phrases of {found.file}, said by {', '.join(wanted)}")
    for program, where in missing_programs().items():
        console.print(f"[yellow]notice:[/] without {program} the ears are worse on voices they have not heard: {where}")
    amounts = {p: a.times(clips) for p, a in synthesis.AMOUNTS.items() if p in wanted}
    if set(wanted) - set(amounts):
        raise GraphError(f"--programs {programs}: write some of {', '.join(synthesis.AMOUNTS)}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        spoken: list[Any] = []
        for program in wanted:
            jobs = synthesis.plan(found, [program], seed, amounts)
            task = bar.add_task(f"{program} speaks", total=len(jobs), note="")
            spoken += synthesis.make_clips(jobs, cache_dir() / "ears", lambda n, t=task: bar.advance(t, n))
        _learn(found, spoken, begun, out, {"seed": seed, "after": after}, schedule, bar)
    console.print(f"written to {out}: use it with 'spoken_commands' and ears: {out}")


def _learn(
    grammar: Any, clips: list[Any], begun: Any, out: Path, made: dict[str, Any], schedule: Any, bar: Any
) -> None:  # fmt: skip
    from omnistream_models.ears.card import write_card
    from omnistream_models.ears.export import save_ears
    from omnistream_models.ears.scenes import Scenes
    from omnistream_models.ears.training import Progress, device_name, spent, train

    out.mkdir(parents=True, exist_ok=True)
    task = bar.add_task("learning", total=schedule.steps, note="")
    losses: list[float] = []

    def report(p: Progress) -> None:
        losses.append(p.loss)
        recent = losses[-50:]
        bar.update(task, completed=max(p.step, round(p.part * schedule.steps)), note=f"loss {sum(recent) / len(recent):.3f}")

    phrases = tuple(p.text for p in grammar.phrases)
    ears = train(begun, Scenes(clips, grammar, made["seed"]), schedule, made["seed"], out / "checkpoint.safetensors", report)
    voices: dict[str, int] = {}
    for clip in clips:
        voices[clip.voice.split(" ")[0]] = voices.get(clip.voice.split(" ")[0], 0) + 1
    tail = losses[-50:]
    done, took_s = spent(out / "checkpoint.safetensors")
    made |= {
        "steps": done,
        "of": schedule.steps,
        "minutes": schedule.minutes,
        "took_minutes": round(took_s / 60, 1),
        "on": device_name(),
        "clips": voices,
        "loss": round(sum(tail) / len(tail), 3) if tail else None,
    }
    manifest = save_ears(ears, out, phrases, made)
    write_card(out, manifest, grammar, clips)
