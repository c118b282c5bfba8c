"""``omnistream profile``: what a graph's steps take on this host, for `check` to predict with."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from omnistream.cli.budget import mine
from omnistream.cli.check import GraphArgument, SetOption, SourceOption
from omnistream.cli.files import check_output, duration, find_streams
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences

if TYPE_CHECKING:
    from omnistream.graph.budget.profile import HostProfile

__all__ = ["profile"]

_DEFAULT_S = 20.0


@sentences
def profile(
    graph: GraphArgument,
    sources: SourceOption = None,
    sets: SetOption = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Run it so long. Default: 20s, or until the recordings end.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Where to write it. Default: GRAPH.profile.json beside the graph."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure the host's hops again, too.")] = False,
) -> None:
    """Measure a graph on this host: run it, from recordings or its own sources, then step each node alone.

    Robots are not opened. The file keeps what other hosts have measured.
    """
    from omnistream.engine.profiling import measure
    from omnistream.graph.budget.profile import Profile, host_key, profile_path, read_profile, write_profile
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan

    found = find_streams(load_graph(graph, sets or (), sources or ()))
    for_ns = duration("--for", for_)
    for_s = None if for_ns is None else for_ns / 1e9
    file = out or str(profile_path(graph))
    check_output("--out" if out else "the profile", file)
    known = read_profile(file) or Profile(graph=found.name)
    if for_s is None and not found.replaced:
        for_s = _DEFAULT_S
    console = screen()
    console.print(f"profile of {found.name}: a run of {f'{for_s:g} s' if for_s else 'its recordings'}, then each node alone")
    plan = make_plan(found, "one")
    before = mine(known)
    with contextlib.redirect_stdout(io.StringIO()):  # what its sinks print is no part of this
        measured = asyncio.run(measure(plan, for_s, found.replaced, None if again else before))
    key = host_key(measured.host.cores, measured.host.versions)
    write_profile(file, known.with_host(key, measured.host))
    console.print(_table(measured.host))
    for notice in measured.notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}", soft_wrap=True, highlight=False)
    others = measured.host.others.mean
    if others > 0.3:
        console.print(
            f"[yellow]notice:[/] {others:.1f} threads of others were busy here meanwhile; what is predicted has them, too",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    console.print(
        f"written to {file}; `omnistream check {graph}` predicts with it", soft_wrap=True, highlight=False, markup=False
    )


def _table(host: HostProfile) -> Table:
    """One row a node, and one for each further variant."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, column in enumerate(
        ("node", "variant", "kind", "firings", "cpu p50", "p99", "alone p50", "p99", "together p50", "p99")
    ):
        table.add_column(column, header_style="dim", justify="left" if i < 3 else "right")
    for name, node in host.nodes.items():
        if node.source is not None:
            every = node.source.interval
            rate = f"every {every.at(0.5) / 1e3:.1f} ms" if every.n else "nothing came"
            table.add_row(escape(name), "", rate, str(node.firings), *[""] * 6)
            continue
        for i, (variant, step) in enumerate(node.alone.items()):
            walls = [step.cpu, step.wall, node.together] if not i else [step.cpu, step.wall]
            figures = [f"{s.at(q) / 1e3:.2f}" if s.n else "-" for s in walls for q in (0.5, 0.99)]
            table.add_row(escape(name if not i else ""), variant, node.kind, str(node.firings) if not i else "", *figures)
        if not node.alone:
            table.add_row(escape(name), "", node.kind, str(node.firings))
    return table
