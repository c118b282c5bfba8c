"""``omnistream check``: whether a graph can run, and how it will, without Ray and without models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from omnistream.cli.budget import AcceptLateOption, Forecast, ProfileOption, SpareOption, forecast, refuse, show
from omnistream.cli.conduct import Engine, EngineOption, layout_of
from omnistream.cli.files import find_streams
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences

if TYPE_CHECKING:
    from omnistream.flow.config import PortConfig
    from omnistream.graph.graph import Graph, Plan
    from omnistream.graph.host import Host

__all__ = ["GraphArgument", "SetOption", "SourceOption", "VariantOption", "check", "edge_words"]

GraphArgument = Annotated[str, typer.Argument(metavar="GRAPH", help="A graph file, such as graphs/voice_robot.yaml.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value: nodes.camera.with.fps=10.")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="NODE=WHAT", help="Give a source a recording (FILE, or FILE#STREAM), a device, a file or a URL."
    ),
]
VariantOption = Annotated[
    list[str] | None, typer.Option("--variant", metavar="NODE=NAME", help="Keep a node at one of its variants.")
]


@sentences
def check(
    graph: GraphArgument,
    sets: SetOption = None,
    sources: SourceOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only say whether it is sound.")] = False,
    engine: EngineOption = Engine.ray,
    variants: VariantOption = None,
    profile: ProfileOption = None,
    spare: SpareOption = 0.0,
    accept_late: AcceptLateOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is predicted as JSON, and nothing else.")] = False,
) -> None:
    """Check a graph file: every mistake with its line, or the nodes, edges and workers as they will run.

    With a profile of this host (`omnistream profile`) it predicts each path's latency, and ends with 3 if the budget cannot
    be held.
    """
    from omnistream.graph.host import Host
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import label_notices, make_plan
    from omnistream.graph.variants import pinned

    found = find_streams(load_graph(graph, sets or (), sources or ()))
    kept = pinned(found, variants or ())
    host = Host.here()
    plan = make_plan(found, layout_of(engine, None).value, host)
    console = screen()
    said = forecast(plan, graph, engine, profile, kept, spare / 100)
    if as_json:
        _print_json(graph, said)
        if said.prediction is not None:
            refuse(graph, said.prediction, accept_late)
        return
    if not quiet:
        _show(console, found, plan, host)
        if said.prediction is not None:
            show(console, said.prediction)
    for notice in (*plan.notices, *label_notices(found)):
        console.print(f"[yellow]notice:[/] {escape(notice)}", soft_wrap=True, highlight=False)
    if said.prediction is not None:
        refuse(graph, said.prediction, accept_late)
    elif not quiet:
        console.print(escape(said.why), soft_wrap=True, highlight=False)
    console.print(f"[green]ok[/] {escape(graph)}", soft_wrap=True, highlight=False)


def _print_json(graph: str, said: Forecast) -> None:
    found = said.prediction
    values = {"graph": graph, "profile": said.file if found is not None else None, "why": said.why}
    typer.echo(json.dumps(values | (found.as_dict() if found is not None else {}), indent=2, allow_nan=False))


def _show(console: Console, graph: Graph, plan: Plan, host: Host) -> None:
    from omnistream.graph.units import show_duration

    size = f"{len(graph.nodes)} nodes on {len(plan.workers)} workers"
    console.print(f"[bold]{graph.name}[/]: {size}, budget {show_duration(graph.budget_ns)}", highlight=False)
    console.print(_nodes(graph, plan), _edges(graph), _workers(plan, host))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _nodes(graph: Graph, plan: Plan) -> Table:
    table = _table("\nnodes", "node", "use", "", "worker", "why there")
    worker = {n: w.name for w in plan.workers for n in w.nodes}
    for node in graph.nodes.values():
        table.add_row(node.name, escape(node.use), node.role, worker[node.name], plan.why.get(node.name, ""))
    return table


def _edges(graph: Graph) -> Table:
    table = _table("\nedges", "from", "to", "payload", "taken", "queue", "wait")
    for node in graph.nodes.values():
        for i in node.inputs:
            taken, queue, wait = edge_words(i.config, alone=len(node.inputs) == 1 and len(i.streams) == 1)
            for stream in i.streams:
                name, _, port = stream.partition(".")
                payload = " | ".join(graph.nodes[name].types[port])
                shown = payload if payload.count("|") < 6 else "any payload"
                table.add_row(stream, f"{node.name}.{i.config.name}", shown, taken, queue, wait)
    return table


def edge_words(port: PortConfig, *, alone: bool = False) -> tuple[str, str, str]:
    """How a port takes, queues and waits, in the words of the graph file. A port that is `alone` waits for nobody."""
    from omnistream.graph.units import show_duration, show_size
    from omnistream.message import INFINITY

    words: list[str] = [port.take]
    if port.window is not None and port.window.gap_ns:
        words = [f"session gap {show_duration(port.window.gap_ns)}"] + ([f"end {port.window.end}"] if port.window.end else [])
    elif port.window is not None:
        words.append(show_duration(port.window.size_ns))
        if port.window.hop_ns != port.window.size_ns:
            words.append(f"hop {show_duration(port.window.hop_ns)}")
    if not port.triggers and port.hold_ns < INFINITY:
        words.append(f"hold {show_duration(port.hold_ns)}")
    if port.lag_ns:
        words.append(f"lag {show_duration(port.lag_ns)}")
    if port.delay_ns:
        words.append(f"delay {show_duration(port.delay_ns)}")
    if port.urgent:
        words.append("urgent")
    queue = str(port.queue)
    if port.in_flight:
        queue += f", in flight {port.in_flight}"
    if port.max_bytes != 256 << 20:
        queue += f", {show_size(port.max_bytes)}"
    return " ".join(words), queue, "-" if alone and port.take == "each" else show_duration(port.wait_ns)


def _workers(plan: Plan, host: Host) -> Table:
    labeled = any(w.labels for w in plan.workers)
    more = ("labels",) if labeled else ()
    table = _table(f"\nworkers, on this host: {host}", "worker", "nodes", "cpu", "gpu", "threads", "why so many", *more)
    for w in plan.workers:
        cpu, gpu = f"{w.cpu:g}" if w.cpu else "shared", f"{w.gpu:g}" if w.gpu else "-"
        labels = [escape(", ".join(f"{k}={v}" for k, v in w.labels.items()))] if labeled else []
        table.add_row(w.name, ", ".join(w.nodes), cpu, gpu, str(w.threads), plan.why_threads.get(w.name, ""), *labels)
    return table
