"""What `omnistream replay` does when it knows what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import typer

from omnistream.cli.as_recorded import replay_as_recorded, replay_only
from omnistream.cli.conduct import Engine, Layout, conduct, crew_of, layout_of, undo_on_signals
from omnistream.cli.screen import screen
from omnistream.cli.step import Stepper, check_nodes
from omnistream.engine.outputs import GoldenWatch
from omnistream.engine.replay import Again, Part, Prepared, fresh_conductor, fresh_options, open_run, prepare, watched_conductor
from omnistream.engine.rundir import RunDir
from omnistream.engine.seen import Watch, watch_all
from omnistream.errors import DifferenceError, OmniStreamError
from omnistream.graph.graph import Graph
from omnistream.graph.plan import make_plan
from omnistream.observe.outcome import Outcome
from omnistream.observe.summary import print_summary, summarize, write_summary
from omnistream.record.compare import check_about, difference
from omnistream.record.golden import About, Golden, read_golden, write_golden

__all__ = ["Ask", "replay_all"]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """The command line, read."""

    recording: str
    graph: str
    sets: Sequence[str]
    engine: Engine
    layout: Layout | None
    summary: str | None
    as_recorded: bool
    only: str | None
    from_ns: int | None
    to_ns: int | None
    pace: float | None
    loop: int
    step: bool
    nodes: Sequence[str]
    expect: str | None
    golden: str | None
    write_golden: str | None

    @property
    def kind(self) -> str:
        return f"only {self.only}" if self.only else "as recorded" if self.as_recorded else "fresh"


#: The exit code of what was interrupted, as shells have it for Ctrl-C.
_INTERRUPTED = 130


def replay_all(ask: Ask) -> None:
    """Every turn, and the comparisons. Raises DifferenceError where one fails, OmniStreamError where there could be none.

    What is interrupted ends with the code 130.
    """
    undo_on_signals()
    try:
        _replay_all(ask)
    except KeyboardInterrupt:
        typer.echo(f"interrupted{_undone(ask)}", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _undone(ask: Ask) -> str:
    """What is missing where the first turn was not whole."""
    lost = [*(["compared"] if ask.expect or ask.golden else []), *(["written"] if ask.write_golden else [])]
    return f": nothing was {' or '.join(lost)}" if lost else ""


def _replay_all(ask: Ask) -> None:
    part = Part(ask.from_ns, ask.to_ns)
    golden = None if ask.golden is None else read_golden(ask.golden)
    if golden is not None:
        check_about(golden.about, About(kind=ask.kind, from_ns=ask.from_ns, to_ns=ask.to_ns), str(ask.golden))
    if not ask.as_recorded and ask.only is None:
        found = prepare(ask.recording, ask.graph, ask.sets, part)
        for notice in found.notices:
            typer.echo(notice, err=True)
        _turns(ask, part, golden, found.graph, found.start_ns, lambda watch: _fresh(ask, found, watch))
        return
    with open_run(ask.recording) as file:
        again = Again.of(file, ask.graph, ask.sets, part, partial=ask.only is not None)

        def once(watch: Watch | None) -> Outcome:
            if ask.only is not None:
                return replay_only(again, ask.only, ask.summary, ask.pace, watch, judge=not (ask.golden or ask.write_golden))
            return replay_as_recorded(again, ask.summary, ask.pace, watch)

        _turns(ask, part, golden, again.plan.graph, again.start_ns, once)


def _turns(
    ask: Ask, part: Part, golden: Golden | None, graph: Graph, start_ns: int, once: Callable[[Watch | None], Outcome]
) -> None:
    check_nodes(ask.nodes, graph.nodes)
    console = screen()
    first: str | None = None
    turn = 0
    while not ask.loop or turn < ask.loop:
        turn += 1
        if ask.loop != 1:
            console.print(f"\nturn {turn}" + (f" of {ask.loop}" if ask.loop else ""), highlight=False)
        watches: list[Watch] = []
        if ask.step:
            watches.append(Stepper(console, ask.nodes, graph.nodes, start_ns))
        kept = GoldenWatch(graph, ask.only or "")
        if golden is not None or ask.write_golden is not None:
            watches.append(kept)
        outcome = once(watch_all(watches) if watches else None)
        if outcome.stopped_by == "enough":
            if turn == 1 and (undone := _undone(ask)):
                raise OmniStreamError(f"the replay was ended before its end{undone}")
            return
        if outcome.stopped_by != "drained":  # a signal
            why = f"in turn {turn}; each before it was whole" if turn > 1 else f"by {outcome.stopped_by}{_undone(ask)}"
            typer.echo(f"interrupted {why}", err=True)
            raise typer.Exit(_INTERRUPTED)
        if turn > 1:
            if outcome.digest != first:
                raise DifferenceError(f"turn {turn} has the digest {outcome.digest}, and the first had {first}")
            continue
        first = outcome.digest
        kept.about(ask.recording, ask.kind, part, outcome.digest or "")
        _compare(ask, golden, kept, start_ns)


def _compare(ask: Ask, golden: Golden | None, kept: GoldenWatch, start_ns: int) -> None:
    """With the digest and the golden file that are expected; then this replay's own is kept."""
    digest = kept.golden.about.digest
    if ask.expect is not None and digest != ask.expect.strip().lower():
        raise DifferenceError(f"the digest is {digest}, and {ask.expect} was expected")
    if golden is not None:
        found = difference(golden, kept.golden, kept.inexact, start_ns, str(ask.golden))
        if found is not None:
            raise DifferenceError(found)
        count = sum(len(messages) for messages in golden.seen.values())
        screen().print(f"  equal to {ask.golden}: {count} messages", highlight=False, soft_wrap=True)
    if ask.write_golden is not None:
        write_golden(ask.write_golden, kept.golden)
        count = sum(len(messages) for messages in kept.golden.seen.values())
        screen().print(f"  kept {count} messages in {ask.write_golden}", highlight=False, soft_wrap=True)


def _fresh(ask: Ask, found: Prepared, watch: Watch | None) -> Outcome:
    """One replay, with its table and summary."""
    plan = make_plan(found.graph, layout_of(ask.engine, ask.layout).value)
    console = screen()
    for notice in plan.notices:
        console.print(f"notice: {notice}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    undo_on_signals()
    home = RunDir()
    try:
        if watch is not None:
            conductor = watched_conductor(found, watch, ask.pace)
        else:
            options = fresh_options(found, home.path)
            conductor = fresh_conductor(plan, crew_of(plan, ask.engine, options, None), options, ask.pace)
        try:
            title = f"replay on {ask.engine.value} of {found.graph.name}"
            outcome = asyncio.run(conduct(conductor, console, title, table=not ask.step, run_dir=home.path))
        finally:
            undo_on_signals()  # the event loop has taken its own away
    finally:
        home.remove()
    summary = summarize(plan, ask.engine.value, outcome)
    print_summary(summary, console)
    if ask.summary is not None:
        write_summary(summary, ask.summary)
    return outcome
