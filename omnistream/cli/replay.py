"""``omnistream replay``: a recording through a graph, fresh or as it was recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from omnistream.cli.check import GraphArgument, SetOption
from omnistream.cli.conduct import (
    Engine,
    EngineOption,
    LayoutOption,
    SummaryOption,
    check_summary,
    conduct,
    crew_of,
    layout_of,
    undo_on_signals,
)
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.errors import DifferenceError, GraphError

if TYPE_CHECKING:
    from omnistream.engine.replay import Part, Prepared
    from omnistream.graph.graph import Plan
    from omnistream.observe.outcome import Outcome

__all__ = ["replay"]

FromOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin so long after its start, such as 2.5s.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End before what came so long after its start.")]


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
    from_: FromOption = None,
    to: ToOption = None,
    pace: Annotated[
        float | None, typer.Option(metavar="N", help="N times real time at most; default: as fast as it goes.")
    ] = None,
    loop: Annotated[
        int, typer.Option(metavar="N", min=0, help="Replay N times, each with the same digest; 0: until Ctrl-C.")
    ] = 1,
    expect: Annotated[str | None, typer.Option(metavar="DIGEST", help="The exit code is 1 if another digest comes.")] = None,
) -> None:
    """Play a recording through a graph, without a clock: the same recording gives the same digest, on every engine.

    Nothing is dropped, skipped or late, and no device or robot is opened. With --as-recorded all that was dropped, forced
    or lost in the live run is so again, and its outputs are the run's, byte for byte.
    """
    from omnistream.cli.as_recorded import replay_as_recorded
    from omnistream.engine.replay import prepare

    part = _part(from_, to)
    if pace is not None and not 1e-3 <= pace <= 1e6:
        raise GraphError(
            f"--pace {pace:g}: a replay goes between 0.001 and a million times real time; leave it out for no limit"
        )
    check_summary(summary)
    if as_recorded and (engine is not Engine.local or layout is not None):
        raise GraphError("--as-recorded has one engine and layout of its own; leave --engine and --layout out")
    found = None if as_recorded else prepare(recording, graph, sets or (), part)
    if found is not None:
        for notice in found.notices:
            typer.echo(notice, err=True)
    first: str | None = None
    turn = 0
    while not loop or turn < loop:
        turn += 1
        if loop != 1:
            screen().print(f"\nturn {turn}" + (f" of {loop}" if loop else ""), highlight=False)
        if found is None:
            outcome = replay_as_recorded(recording, graph, sets or (), summary, part, pace)
        else:
            outcome = _fresh(found, engine, layout, summary, pace)
        if outcome.stopped_by != "drained":
            return
        if turn == 1:
            first = outcome.digest
            _check_digest(expect, outcome)
        elif outcome.digest != first:
            raise DifferenceError(f"turn {turn} has the digest {outcome.digest}, and the first had {first}")


def _part(from_: str | None, to: str | None) -> Part:
    from omnistream.engine.replay import Part
    from omnistream.graph.units import parse_duration

    times: list[int | None] = []
    for option, text in (("--from", from_), ("--to", to)):
        try:
            times.append(None if text is None else parse_duration(text))
        except ValueError as error:
            raise GraphError(f"{option} {text}: {error}") from None
    return Part(*times)


def _check_digest(expected: str | None, outcome: Outcome) -> None:
    if expected is not None and outcome.digest != expected.strip().lower():
        raise DifferenceError(f"the digest is {outcome.digest}, and {expected} was expected")


def _fresh(found: Prepared, engine: Engine, layout: LayoutOption, summary_file: str | None, pace: float | None) -> Outcome:
    """One replay, with its table and summary."""
    from omnistream.engine.replay import fresh_conductor, fresh_options
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.plan import make_plan
    from omnistream.observe.summary import print_summary, summarize, write_summary

    plan: Plan = make_plan(found.graph, layout_of(engine, layout).value)
    console = screen()
    for notice in plan.notices:
        console.print(f"notice: {notice}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    undo_on_signals()
    home = RunDir()
    try:
        options = fresh_options(found, home.path)
        conductor = fresh_conductor(plan, crew_of(plan, engine, options, None), options, pace)
        try:
            outcome = asyncio.run(conduct(conductor, console, f"replay of {found.graph.name} on {engine.value}"))
        finally:
            undo_on_signals()  # the event loop has taken its own away
    finally:
        home.remove()
    summary = summarize(plan, engine.value, outcome)
    print_summary(summary, console)
    if summary_file is not None:
        write_summary(summary, summary_file)
    return outcome
