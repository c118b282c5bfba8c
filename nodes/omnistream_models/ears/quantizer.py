"""``omnistream quantize ears``: from trained ears to their int8 and small variants, and what each costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["quantize_ears"]


def quantize_ears(
    ears: Annotated[str, typer.Option(help="The folder of trained ears; shipped: those of OmniStream.")] = "shipped",
    out: Annotated[str, typer.Option(help="The folder for what is made; empty: beside what it is made of.")] = "",
    grammar: Annotated[str, typer.Option(help="The commands file that they were trained for.")] = "commands.yaml",
    seed: Annotated[int, typer.Option(help="Chance begins from it.")] = 1,
    steps: Annotated[int, typer.Option(min=0, help="Steps of learning with int8 in mind.")] = 150,
    small_steps: Annotated[int, typer.Option(min=0, help="Steps of learning from the full ears; 0: no small variant.")] = 1200,
    scenes: Annotated[int, typer.Option(min=1, help="So many scenes of 8 s tell what each layer costs.")] = 160,
    clips: Annotated[float, typer.Option(min=0.001, help="As of 'omnistream train ears'.")] = 1.0,
    programs: Annotated[str, typer.Option(help="Only these synthesizers, such as flite,espeak-ng.")] = "",
) -> None:
    """Make smaller variants of trained ears: int8, layer by layer, and an eighth of the parameters, taught by the full ones.

    Prints what each layer costs in int8 and how the variants compare, and writes both to variants.json and the card. All is
    measured on voices that choose thresholds; `make bench-models` has those that are reserved for tests.
    """
    from rich.console import Console

    from omnistream_models.ears.smaller import make_variants
    from omnistream_models.ears.variants_data import Plan
    from omnistream_models.ears.variants_report import tables, write_report
    from omnistream_models.progress import bars
    from omnistream_models.trained import folder_of
    from omnistream_nodes.grammar_file import find_grammar, load_grammar

    console = Console()
    folder = folder_of("ears", ears)
    target = Path(out).expanduser() if out else folder
    found = load_grammar(find_grammar(grammar), {"default_distance_m": 1.0})
    plan = Plan(seed, steps, small_steps, scenes, clips, tuple(p.strip() for p in programs.split(",") if p.strip()))
    with bars(console) as told:
        made = make_variants(folder, target, found, plan, told)
    write_report(target, made)
    console.print("\n".join(tables(made)), markup=False, highlight=False)
    console.print(f"written to {target}: 'spoken_commands' changes between them under load, or by --variant NODE=int8")
