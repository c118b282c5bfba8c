"""``omnistream draw``: a picture of a graph, in the terminal or as SVG."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from omnistream.cli.check import GraphArgument, SetOption, SourceOption
from omnistream.cli.sentence import sentences
from omnistream.errors import OmniStreamError

__all__ = ["draw"]


@sentences
def draw(
    graph: GraphArgument,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG picture instead.")] = None,
    workers: Annotated[bool, typer.Option(help="Show on which worker each node runs.")] = True,
    sets: SetOption = None,
    sources: SourceOption = None,
) -> None:
    """Draw a graph. Solid edges trigger, dashed ones are only looked at, `!` marks an urgent port."""
    from omnistream.graph.draw_svg import draw_svg
    from omnistream.graph.draw_text import draw_text
    from omnistream.graph.host import Host
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan

    found = load_graph(graph, sets or (), sources or ())
    plan = make_plan(found, host=Host(cpus=1e6, gpus=1_000)) if workers else None  # a picture needs no room to run
    if svg is None:
        import shutil

        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        typer.echo(draw_text(found, plan, width=width))
        return
    try:
        svg.write_text(draw_svg(found, plan), encoding="utf-8")
    except OSError as error:
        raise OmniStreamError(f"{svg}: cannot be written ({error.strerror}); name a file in a folder that is there") from error
    typer.echo(f"wrote {svg}")
