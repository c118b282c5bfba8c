"""``omnistream quantize fused``: from a trained fused reasoner to its int8 and small variants, and what each costs."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["quantize_fused"]


def quantize_fused(
    weights: Annotated[
        str, typer.Option(help="The folder of a trained fused reasoner; shipped: that of OmniStream.")
    ] = "shipped",
    seed: Annotated[int, typer.Option(help="Chance begins from it.")] = 1,
    steps: Annotated[int, typer.Option(min=0, help="Steps of learning with int8 in mind.")] = 120,
    small_steps: Annotated[
        int, typer.Option(min=0, help="Steps of learning from the full network; 0: no small variant.")
    ] = 1800,
    scenes: Annotated[int, typer.Option(min=100, help="So many scenes are generated to learn from.")] = 22_000,
    judges: Annotated[int, typer.Option(min=20, help="So many other scenes tell what each layer costs.")] = 400,
) -> None:
    """Make smaller variants of a trained fused reasoner: int8, layer by layer, and an eighth of the parameters, taught by it.

    Six minutes of one core. Prints what each layer costs in int8 and how the variants compare, and writes both to variants.json
    and the card. All is measured on scenes of the training kind that were not trained on; `make bench-models` has those that
    are held out for tests.
    """
    from rich.console import Console

    from omnistream_models.fused.smaller import Plan, make_variants
    from omnistream_models.fused.variants_report import tables, write_report
    from omnistream_models.progress import bars
    from omnistream_models.trained import folder_of

    console = Console()
    folder = folder_of("fused", weights)
    with bars(console) as told:
        made = make_variants(folder, Plan(seed, steps, small_steps, scenes, judges), told)
    write_report(folder, made)
    console.print("\n".join(tables(made)), markup=False, highlight=False)
    console.print(f"written to {folder}: 'fused_reasoner' changes between them under load, or by --variant NODE=int8")
