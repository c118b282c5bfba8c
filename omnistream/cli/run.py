"""``omnistream run``: a graph, live, on one of the engines."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from omnistream.cli.budget import AcceptLateOption, forecast, refuse
from omnistream.cli.check import GraphArgument, SetOption, SourceOption, VariantOption
from omnistream.cli.conduct import (
    Engine,
    EngineOption,
    Layout,
    LayoutOption,
    SummaryOption,
    check_summary,
    conduct,
    crew_of,
    host_of,
    layout_of,
    undo_on_signals,
)
from omnistream.cli.files import check_output, duration, find_streams
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.cli.watching import MetricsOption, OtlpOption, TraceOption, TraceSampleOption, Watching
from omnistream.clock import unix_ns, utc_name
from omnistream.errors import OmniStreamError
from omnistream.graph.external import external_notices

if TYPE_CHECKING:
    from rich.console import Console

    from omnistream.engine.conductor import Conductor
    from omnistream.graph.graph import Graph
    from omnistream.graph.keep import Keep
    from omnistream.observe.outcome import Outcome
    from omnistream.record.done import Made
    from omnistream.record.recorder import Recorder

__all__ = ["run"]


@sentences
def run(
    graph: GraphArgument,
    engine: EngineOption = Engine.ray,
    sources: SourceOption = None,
    sets: SetOption = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="End after so long, such as 30s.")] = None,
    record: Annotated[
        str | None,
        typer.Option("--record", metavar="FILE.mcap", help="Record the run in this file; of which streams, the graph says."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Record in place of a recording that is there.")] = False,
    summary: SummaryOption = None,
    variants: VariantOption = None,
    arm: Annotated[bool, typer.Option("--arm", help="Let sinks move real robots.")] = False,
    layout: LayoutOption = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster that runs; default: a private one.")
    ] = None,
    metrics: MetricsOption = None,
    trace: TraceOption = None,
    otlp: OtlpOption = None,
    trace_sample: TraceSampleOption = None,
    accept_late: AcceptLateOption = False,
) -> None:
    """Run a graph until its sources end, the time is up, or Ctrl-C (once: drain; twice: now).

    A run with --source ends when each of those sources has ended. Where this host's profile says that the budget cannot be
    held, nothing is started.
    """
    from omnistream.graph.load import load_graph
    from omnistream.graph.variants import pinned

    found = load_graph(graph, sets or (), sources or ())
    variants_kept = pinned(found, variants or ())
    keep = _keep(found, record)
    found = find_streams(found, keep and keep.path)
    for_ns = duration("--for", for_)
    for_s = None if for_ns is None else for_ns / 1e9
    named = "record.path" if record is None else "--record"
    if not accept_late and address is None:  # a cluster's hosts are others than this one
        _hold_budget(found, graph, engine, layout, variants_kept)
    _execute(
        found, engine, layout, summary, for_s=for_s, keep=keep, named=named, overwrite=overwrite, armed=arm, address=address,
        variants=variants_kept, watching=Watching.of(metrics, trace, otlp, trace_sample, found.metrics),
    )  # fmt: skip


def _hold_budget(found: Graph, graph: str, engine: Engine, layout: Layout | None, variants: Mapping[str, str]) -> None:
    """Raises BudgetError where there is a profile of this host and it says that the budget cannot be held."""
    from omnistream.graph.plan import make_plan

    said = forecast(make_plan(found, layout_of(engine, layout).value), graph, engine, variants=variants)
    if said.prediction is not None:
        refuse(graph, said.prediction, accept_late=False)


def _keep(graph: Graph, record: str | None) -> Keep | None:
    """What is to be recorded: as the graph says, in the file that the command line names, if it does."""
    from omnistream.graph.keep import Keep

    keep = graph.record or Keep()
    if record is not None:
        keep = dataclasses.replace(keep, path=record)
    if not keep.path:
        return None
    path = keep.path.replace("{time}", utc_name(unix_ns()))  # a file of its own for each run
    keep = dataclasses.replace(keep, path=str(Path(path).expanduser()))
    check_output("--record" if record is not None else "record.path", keep.path)
    return keep


def _execute(
    graph: Graph, engine: Engine, layout: Layout | None, summary_file: str | None, *,
    for_s: float | None = None, keep: Keep | None = None, named: str = "", overwrite: bool = False, armed: bool = False,
    address: str | None = None, watching: Watching, variants: Mapping[str, str],
) -> None:  # fmt: skip
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.plan import label_notices, make_plan
    from omnistream.observe.summary import print_summary, summarize, write_summary

    check_summary(summary_file)
    plan = make_plan(graph, layout_of(engine, layout).value, host_of(engine, address))
    console = screen()
    notices = [*plan.notices, *(external_notices(graph) if keep is not None else ())]
    if engine is Engine.local:  # the engine on Ray knows whether there is a cluster, and says so itself
        notices += label_notices(graph)
    for notice in notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}", highlight=False, soft_wrap=True)
    clock = SystemClock()
    undo_on_signals()
    claim = recorder = made = None
    home = RunDir()
    failed: BaseException | None = None
    try:
        options = RunOptions(
            start_ns=clock.now(), offset_ns=clock.offset_ns, armed=armed, run_dir=home.path, record=keep is not None,
            record_streams=keep.streams if keep else (), record_queue=keep.queue if keep else 0, variants=dict(variants),
            record_packets=keep is not None and keep.video == "exact", trace_share=watching.share,
        )  # fmt: skip
        if keep is not None:
            from omnistream.record.about import About
            from omnistream.record.identity import Claim
            from omnistream.record.recorder import Recorder

            about = About.of(graph, keep.path, options.seed, plan.threads(), keep, _versions())
            about = dataclasses.replace(about, overwrite=overwrite)
            claim = Claim(about, named)
            recorder = Recorder(home.path, about, (*claim.fds, *home.locks))
        crew = crew_of(plan, engine, options, address)
        try:
            conductor = Conductor(plan, crew, clock, fresh=False, start_ns=options.start_ns)
            title = f"run on {engine.value} of {graph.name}"
            outcome = asyncio.run(_conduct(conductor, console, title, graph, for_s, home.path, recorder, watching))
        finally:
            undo_on_signals()  # the event loop has taken its own away
        truth = _truth(graph, outcome)
        if recorder is not None:
            made, failed = _finish(recorder, outcome, home.path)
    finally:
        if recorder is not None:
            recorder.stop()
        home.remove(keep_recording=made is None)
        if claim is not None:
            claim.release()
    if made is not None:
        _show_made(made, outcome.started_ns, console)
    summary = summarize(plan, engine.value, outcome, truth)
    print_summary(summary, console)
    if summary_file is not None:
        write_summary(summary, summary_file)
    if failed is not None:
        raise failed


def _finish(recorder: Recorder, outcome: Outcome, run_dir: str) -> tuple[Made | None, BaseException | None]:
    """What came of the recording, or why nothing did: the run is over, and its own account does not depend on that."""
    from omnistream.record.done import finished
    from omnistream.record.ended import Ended

    end_ns = outcome.started_ns + int(outcome.duration_s * 1e9)
    words = {"digest": outcome.digest or "", "sinks": json.dumps(outcome.sinks), "end_ns": str(end_ns)}
    ended = Ended(outcome.started_ns, [r.as_dict() for r in outcome.rows], words)
    try:
        with contextlib.suppress(OSError):  # its disk is full; the recorder is told, too
            ended.leave(run_dir)
        return recorder.finish(ended.start_ns, ended.rows, ended.run), None
    except (OmniStreamError, OSError, KeyboardInterrupt) as error:
        recorder.stop()
        made = finished(Path(run_dir))
        if made is not None and made.files:  # the interrupt came too late to keep it from that
            return made, error
        outcome.notices.append(f"the recording is not finished: {error or 'it was interrupted'}")
        return None, error


async def _conduct(
    conductor: Conductor, console: Console, title: str, graph: Graph, for_s: float | None, run_dir: str,
    recorder: Recorder | None, watching: Watching,
) -> Outcome:  # fmt: skip
    """The run, with an eye on what its black box is written for, if it has one."""
    keep = recorder.about.keep if recorder is not None else None
    if recorder is None or keep is None or not keep.box_ns:
        return await conduct(conductor, console, title, graph.replaced, for_s, run_dir=run_dir, watching=watching)
    from omnistream.cli.black_box import Happenings, pressed

    keys = all(info.use != "console_commands" for info in graph.nodes.values())
    with pressed(recorder.happened, keys=keys):
        also = Happenings(keep.events, recorder.happened)
        return await conduct(conductor, console, title, graph.replaced, for_s, run_dir=run_dir, also=also, watching=watching)


def _versions() -> dict[str, str]:
    """What the run was made with: packages, and each model's sha256."""
    from importlib.metadata import PackageNotFoundError, version

    from omnistream_models.store import model_digests

    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("omnistream", "numpy", "av", "onnxruntime", "ai-edge-litert", "torch", "ray"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return {"versions": json.dumps(found), "models": json.dumps(dict(model_digests()))}


def _show_made(made: Made, start_ns: int, console: Console) -> None:
    """What came of the recording, and what is not in it."""
    if not made.files:
        console.print("the black box was not written: nothing happened", highlight=False)
        return
    files = made.files[0] if len(made.files) == 1 else f"{made.files[0]} and {len(made.files) - 1} more"
    console.print(f"recorded {made.messages} messages in {files}", highlight=False, markup=False)
    for note in made.notes:
        console.print(f"[yellow]notice:[/] {escape(note)}", highlight=False, soft_wrap=True)
    for hole in made.holes:
        first, last = ((t - start_ns) / 1e9 for t in (hole.from_ns, hole.to_ns))
        count = f"{hole.count} messages of " if hole.count else ""
        text = f"not recorded: {count}{hole.what}, from {first:.3f} s to {last:.3f} s: {hole.why}"
        console.print(f"[yellow]notice:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _truth(graph: Graph, outcome: Outcome) -> list[dict[str, Any]]:
    """What the recordings given by --source say was commanded, its times in run time. What cannot be read is a notice."""
    from omnistream.graph.played import split_part
    from omnistream.record.reader import Recording
    from omnistream_drivers.recording import LEAD_NS

    entries: list[dict[str, Any]] = []
    played = {split_part(s.partition("=")[2])[0] for s in graph.sources}
    for path in sorted(p for p in played if p.endswith(".mcap") and not Path(p).is_dir()):
        try:
            with Recording(path) as file:
                shift = outcome.started_ns + LEAD_NS - file.start_ns
                entries += [
                    entry | {k: entry[k] + shift for k in ("start_ns", "end_ns")} for entry in file.truth() if "text" in entry
                ]
        except (OmniStreamError, OSError, KeyError, TypeError, ValueError) as error:
            outcome.notices.append(f"what {path} says was commanded cannot be read: {error}")
    return sorted(entries, key=lambda e: e["start_ns"])
