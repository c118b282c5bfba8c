"""``omnistream nodes``: what ``use:`` can name, and what each of them takes, gives and can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences

if TYPE_CHECKING:
    from omnistream.graph.describe import Described

__all__ = ["nodes"]


@sentences
def nodes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A node or driver, or module:Class.")] = None,
) -> None:
    """List the installed nodes and drivers; with NAME, its ports, options and an example."""
    from omnistream.graph.describe import describe
    from omnistream.graph.registry import add_folder

    console = screen()
    if name is None:
        _list(console)
    else:
        if ":" in name:
            add_folder(".")
        _show(console, describe(name))


def _list(console: Console) -> None:
    from omnistream.errors import GraphError
    from omnistream.graph.describe import describe
    from omnistream.graph.registry import installed

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("name", "", "takes", "gives", ""):
        table.add_column(column, header_style="dim", overflow="fold")
    broken: list[tuple[str, str]] = []
    for entry in installed():
        try:
            found = describe(entry)
        except GraphError as error:
            broken.append((entry, str(error)))
            continue
        gives = "any payload" if "any payload" in found.outputs.values() else ", ".join(found.outputs)
        if list(found.outputs) == ["out"]:
            gives = found.outputs["out"]
        table.add_row(entry, found.role, escape(", ".join(found.inputs)), gives, escape(_short(found.summary)))
    console.print(table, highlight=False)
    for entry, why in broken:
        console.print(f"[red]broken:[/] {entry}: {escape(why)}", soft_wrap=True, highlight=False)


def _short(text: str) -> str:
    return text if len(text) <= 90 else text[:89].rpartition(" ")[0] + " ..."


def _show(console: Console, found: Described) -> None:
    console.print(f"[bold]{escape(found.name)}[/] ({found.role}, {escape(found.target)})\n", highlight=False)
    if found.doc:
        console.print(escape(found.doc) + "\n", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
    for port, text in found.inputs.items():
        table.add_row("in", port, escape(text))
    for port, text in found.outputs.items():
        table.add_row("out", port, escape(text))
    for name, tolerance in found.inexact.items():
        table.add_row("inexact", name, f"may differ by {tolerance:g} on another machine")
    if found.variants:
        table.add_row("variants", "", "best first: " + escape(", ".join(found.variants)))
    console.print(table, highlight=False)
    if found.options:
        options = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
        for column in ("option", "type", "default", ""):
            options.add_column(column, header_style="dim", overflow="fold")
        for o in found.options:
            options.add_row(o.name, escape(o.type), "required" if o.default is None else escape(o.default), escape(o.doc))
        console.print("", options, highlight=False)
    if found.example:
        console.print("\n" + escape(found.example), highlight=False, soft_wrap=True)
