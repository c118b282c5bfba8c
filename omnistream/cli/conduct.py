"""What `run` and `replay` have in common: engines and layouts, a conductor with its live table, and what signals mean."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from omnistream.cli.files import check_output
from omnistream.cli.watching import Watching

if TYPE_CHECKING:
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.crew import Crew
    from omnistream.engine.options import RunOptions
    from omnistream.graph.graph import Plan
    from omnistream.graph.host import Host
    from omnistream.observe.outcome import Outcome

__all__ = [
    "Engine",
    "EngineOption",
    "Layout",
    "LayoutOption",
    "SummaryOption",
    "check_summary",
    "conduct",
    "crew_of",
    "host_of",
    "layout_of",
    "undo_on_signals",
]


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


def layout_of(engine: Engine, layout: Layout | None) -> Layout:
    """The layout that was asked for, or the engine's own."""
    return layout or (Layout.planned if engine is Engine.ray else Layout.one)


def check_summary(file: str | None) -> None:
    """Raises GraphError where no summary can be written; makes its folder."""
    if file is not None:
        with contextlib.suppress(OSError):  # which check_output then tells
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        check_output("--summary", file)


def host_of(engine: Engine, address: str | None) -> Host | None:
    """What a cluster has, if one is named; else this host is looked at."""
    if engine is not Engine.ray or address is None:
        return None
    from omnistream.engine.ray import cluster_host

    return cluster_host(address)


def crew_of(plan: Plan, engine: Engine, options: RunOptions, address: str | None) -> Crew:
    """An engine's hands."""
    if engine is Engine.ray:
        from omnistream.engine.ray import RayCrew

        return RayCrew(plan, options, address)
    from omnistream.clock import SystemClock
    from omnistream.engine.local import LocalCrew

    return LocalCrew(plan, SystemClock(options.offset_ns), options)


async def conduct(
    conductor: Conductor,
    console: Console,
    title: str,
    until: Sequence[str] = (),
    for_s: float | None = None,
    table: bool = True,
    run_dir: str = "",
    also: Callable[[Conductor], None] | None = None,
    watching: Watching | None = None,
) -> Outcome:
    """A whole run, with its live table; signals end it. With `run_dir`, it can be looked at from outside.

    `also` is called after each look at the run. `watching` says what else it is shown to.
    """
    from omnistream.engine.control import Control
    from omnistream.observe.table import LiveTable

    control = Control(conductor, title)
    conductor.crew.on_asked(control.answer)
    shown_to = (watching or Watching()).of_run(conductor, console)
    with LiveTable(console, title) if table else contextlib.nullcontext() as shown:
        async with shown_to as look:

            def watch(run: Conductor) -> None:
                if also is not None:
                    also(run)
                look()
                control.note(run)
                if shown is not None:
                    shown(run)
                else:
                    run.said.clear()

            conductor.watch = watch
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, *_endings()):
                loop.add_signal_handler(number, conductor.stop, signal.Signals(number).name)
            if run_dir:
                await control.open(run_dir)
            try:
                return await conductor.run(until, for_s)
            finally:
                await control.close()


def undo_on_signals() -> None:
    """While no event loop listens to them, signals of an end are as Ctrl-C: an exception, so that what was begun is undone."""
    for number in _endings():
        signal.signal(number, signal.default_int_handler)


def _endings() -> list[signal.Signals]:
    """SIGTERM, and the end of the terminal unless it is to be survived (nohup)."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, *hung_up]
