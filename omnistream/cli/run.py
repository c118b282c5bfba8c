"""``omnistream run``: a graph, live, on one of the engines; and ``omnistream replay``: a recording through a graph."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from omnistream.cli.check import GraphArgument, SetOption, SourceOption
from omnistream.cli.external import external_notices, play_external, refuse_external
from omnistream.cli.files import check_output, find_streams
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.errors import GraphError

if TYPE_CHECKING:
    from omnistream.engine.conductor import Crew
    from omnistream.engine.options import RunOptions
    from omnistream.graph.graph import Graph, Plan
    from omnistream.graph.host import Host
    from omnistream.observe.outcome import Outcome

__all__ = ["replay", "run"]


class Engine(StrEnum):
    """Where workers run."""

    ray = "ray"
    local = "local"


class Layout(StrEnum):
    """How nodes are grouped into workers."""

    planned = "planned"
    one = "one"
    each = "each"


EngineOption = Annotated[Engine, typer.Option(help="ray: each worker is a Ray actor. local: all in this process.")]
LayoutOption = Annotated[
    Layout | None, typer.Option(help="Group nodes as planned (ray's default), all in one (local's), or each in its own worker.")
]
SummaryOption = Annotated[str | None, typer.Option("--summary", metavar="FILE", help="Write the summary as JSON.")]


@sentences
def run(
    graph: GraphArgument,
    engine: EngineOption = Engine.ray,
    sources: SourceOption = None,
    sets: SetOption = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="End after so long, such as 30s.")] = None,
    record: Annotated[str | None, typer.Option("--record", metavar="FILE.mcap", help="Keep what the sources brought.")] = None,
    summary: SummaryOption = None,
    arm: Annotated[bool, typer.Option("--arm", help="Let sinks move real robots.")] = False,
    layout: LayoutOption = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster that runs; default: a private one.")
    ] = None,
) -> None:
    """Run a graph until its sources end, the time is up, or Ctrl-C (once: drain; twice: now).

    A run with --source ends when each of those sources has ended.
    """
    from omnistream.graph.load import load_graph
    from omnistream.graph.units import parse_duration

    found = load_graph(graph, sets or (), sources or ())
    found = find_streams(found, record)
    try:
        for_s = None if for_ is None else parse_duration(for_) / 1e9
    except ValueError as error:
        raise GraphError(f"--for {for_}: {error}") from None
    if record is not None:
        check_output("--record", record)
    _execute(found, engine, layout, summary, for_s=for_s, record=record, armed=arm, address=address)


@sentences
def replay(
    recording: Annotated[
        str, typer.Argument(metavar="RECORDING", help="An MCAP file: recorded with run --record, or any other.")
    ],
    graph: GraphArgument,
    engine: EngineOption = Engine.local,
    sets: SetOption = None,
    summary: SummaryOption = None,
    layout: LayoutOption = None,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="The live run again, with every choice it made; a difference is told.")
    ] = False,
) -> None:
    """Play a recording through a graph, without a clock: the same recording gives the same digest, on every engine.

    Nothing is dropped, skipped or late, and no device or robot is opened. With --as-recorded all that was dropped, forced
    or lost in the live run is so again, and its outputs are the run's, byte for byte.
    """
    from omnistream.graph.load import load_graph
    from omnistream.record.reader import Recording

    if as_recorded:
        from omnistream.cli.as_recorded import replay_as_recorded

        if engine is not Engine.local or layout is not None:
            raise GraphError("--as-recorded has one engine and layout of its own; leave --engine and --layout out")
        replay_as_recorded(recording, graph, sets or (), summary)
        return
    with Recording(recording) as file:
        sets = [*(sets or ()), *play_external(load_graph(graph, sets or ()), recording, file.streams())]
        bare = load_graph(graph, sets)
        refuse_external(bare)
        sources = [f"{n}={recording}" for n in _recorded(bare, file)]
        span = (file.start_ns, file.end_ns)
    if not sources:
        raise GraphError(f"{recording} has no stream for any source of {graph}")
    found = find_streams(load_graph(graph, sets, sources))
    _execute(found, engine, layout, summary, fresh=True, span=span)


def _recorded(graph: Graph, file: Any) -> list[str]:
    """The sources of the graph that the recording has a stream for."""
    from omnistream.errors import RecordingError
    from omnistream.message import PAYLOADS

    names: list[str] = []
    for info in graph.nodes.values():
        if info.role == "source":
            try:
                file.stream_for(info.name, [PAYLOADS[t] for t in info.types.get("out", ())])
            except RecordingError:
                continue
            names.append(info.name)
    return names


def _execute(
    graph: Graph, engine: Engine, layout: Layout | None, summary_file: str | None, *, fresh: bool = False,
    span: tuple[int, int] = (0, 1 << 62), for_s: float | None = None, record: str | None = None, armed: bool = False,
    address: str | None = None,
) -> None:  # fmt: skip
    from omnistream.clock import SystemClock
    from omnistream.engine.options import RunOptions
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.plan import label_notices, make_plan
    from omnistream.observe.summary import print_summary, summarize, write_summary

    if summary_file is not None:
        with contextlib.suppress(OSError):  # which check_output then tells
            Path(summary_file).parent.mkdir(parents=True, exist_ok=True)
        check_output("--summary", summary_file)
    plan = make_plan(graph, (layout or (Layout.planned if engine is Engine.ray else Layout.one)).value, _host(engine, address))
    console = screen()
    notices = [*plan.notices, *(external_notices(graph) if record is not None else ())]
    if engine is Engine.local and not fresh:  # the engine on Ray knows whether there is a cluster, and says so itself
        notices += label_notices(graph)
    for notice in notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}", highlight=False, soft_wrap=True)
    clock = SystemClock()
    _undo_on_signals()
    home, about, joined = RunDir(), None, False
    try:
        options = RunOptions(
            fresh=fresh, start_ns=span[0] if fresh else clock.now(), end_ns=span[1] if fresh else 1 << 62,
            offset_ns=clock.offset_ns, armed=armed, run_dir=home.path, record=record is not None,
        )  # fmt: skip
        if record is not None:
            from omnistream.record.join import About

            about = About.of(graph, record, options.seed)
            about.leave(home.path)
        crew = _crew(plan, engine, options, address)
        try:
            outcome = asyncio.run(_conduct(plan, crew, clock, options, console, engine, for_s))
        finally:
            _undo_on_signals()  # the event loop has taken its own away
        summary = summarize(plan, engine.value, outcome, _truth(graph, outcome) if not fresh else ())
        if about is not None:
            from omnistream.record.join import join_parts

            words = {"digest": outcome.digest or "", "sinks": json.dumps(outcome.sinks)}
            count = join_parts(home.path, about, outcome.started_ns, outcome.rows, words)
            joined = True
            console.print(f"recorded {count} messages in {record}", highlight=False)
    finally:
        home.remove(keep_recording=not joined)
    print_summary(summary, console)
    if summary_file is not None:
        write_summary(summary, summary_file)


def _host(engine: Engine, address: str | None) -> Host | None:
    """What a cluster has, if one is named; else this host is looked at."""
    if engine is not Engine.ray or address is None:
        return None
    from omnistream.engine.ray import cluster_host

    return cluster_host(address)


def _undo_on_signals() -> None:
    """While no event loop listens to them, signals of an end are as Ctrl-C: an exception, so that what was begun is undone."""
    for number in _endings():
        signal.signal(number, signal.default_int_handler)


def _endings() -> list[signal.Signals]:
    """SIGTERM, and the end of the terminal unless it is to be survived (nohup)."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, *hung_up]


def _crew(plan: Plan, engine: Engine, options: RunOptions, address: str | None) -> Crew:
    """An engine's hands."""
    if engine is Engine.ray:
        from omnistream.engine.ray import RayCrew

        return RayCrew(plan, options, address)
    from omnistream.clock import SystemClock
    from omnistream.engine.local import LocalCrew

    return LocalCrew(plan, SystemClock(options.offset_ns), options)


async def _conduct(
    plan: Plan, crew: Crew, clock: Any, options: RunOptions, console: Console, engine: Engine, for_s: float | None
) -> Outcome:
    from omnistream.engine.conductor import Conductor
    from omnistream.observe.table import LiveTable

    what = "replay of" if options.fresh else "run of"
    with LiveTable(console, f"{what} {plan.graph.name} on {engine.value}") as table:
        conductor = Conductor(plan, crew, clock, fresh=options.fresh, start_ns=options.start_ns, watch=table)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, *_endings()):
            loop.add_signal_handler(number, conductor.stop, signal.Signals(number).name)
        until: Sequence[str] = plan.graph.replaced
        return await conductor.run(until, for_s)


def _truth(graph: Graph, outcome: Outcome) -> list[dict[str, Any]]:
    """What the recordings given by --source say was commanded, its times in run time."""
    from omnistream.record.reader import Recording
    from omnistream_drivers.recording import LEAD_NS

    entries: list[dict[str, Any]] = []
    for path in sorted({s.partition("=")[2] for s in graph.sources if s.endswith(".mcap")}):
        with Recording(path) as file:
            shift = outcome.started_ns + LEAD_NS - file.start_ns
            entries += [
                entry | {k: entry[k] + shift for k in ("start_ns", "end_ns")} for entry in file.truth() if "text" in entry
            ]
    return sorted(entries, key=lambda e: e["start_ns"])
