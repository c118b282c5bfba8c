"""``omnistream replay --as-recorded`` and ``--only``: a live run again, or one node of it, and whether it came out the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console

from omnistream.cli.screen import screen

if TYPE_CHECKING:
    from omnistream.engine.only import OnlyOne
    from omnistream.engine.replay import Again
    from omnistream.engine.seen import Watch
    from omnistream.observe.outcome import Outcome

__all__ = ["replay_as_recorded", "replay_only"]

#: How many firings that differ are shown.
_SHOWN = 20


def replay_as_recorded(again: Again, summary_file: str | None, pace: float | None, watch: Watch | None) -> Outcome:
    """Raises DifferenceError at the first difference from the run, RecordingError where the recording has a hole."""
    from omnistream.observe.summary import print_summary, summarize, write_summary

    console = screen()
    replay = again.replay(pace, watch)
    outcome = asyncio.run(replay.run())
    equal = again.check(replay, outcome)
    summary = summarize(again.plan, "as recorded", outcome)
    print_summary(summary, console)
    if replay.cut:
        console.print(f"  [yellow]notice:[/] {outcome.digest_note}; what came before is equal to the run", highlight=False)
    elif equal:
        console.print("  equal to the run", highlight=False)
    else:
        console.print("  each firing equal to the run's" + (" up to here" if replay.left else ""), highlight=False)
    if summary_file is not None:
        write_summary(summary, summary_file)
    return outcome


def replay_only(
    again: Again, name: str, summary_file: str | None, pace: float | None, watch: Watch | None, *, judge: bool
) -> Outcome:
    """One node on what the run gave it: which firings differ is shown; with `judge` they are a DifferenceError."""
    from omnistream.engine.only import OnlyOne
    from omnistream.engine.recorded_graph import check_inputs, node_then
    from omnistream.errors import DifferenceError
    from omnistream.observe.summary import write_summary

    console = screen()
    graph = again.plan.graph
    then = node_then(again.then, graph, name)
    replay = OnlyOne(again.plan, again.evidence, name, then, again.span, pace, watch)
    check_inputs(again.then, graph, replay.nodes)
    try:
        outcome = asyncio.run(replay.run())
    except DifferenceError as error:
        raise DifferenceError(f"{error}; with --only, what stands before '{name}' must be as it was in the run") from None
    _show(console, replay, again.start_ns)
    if summary_file is not None:
        words = {"graph": graph.name, "engine": f"only {name}", "firings": replay.tried.firings, "basis": replay.basis}
        apart = [{"t_ns": a.t, "firing": a.firing, "differences": list(a.lines)} for a in replay.apart]
        write_summary(words | {"differ": apart}, summary_file)
    if replay.apart and judge:
        count = replay.tried.firings
        raise DifferenceError(f"{len(replay.apart)} of {count} firings of '{name}' do not give what they gave in the run")
    return outcome


def _show(console: Console, replay: OnlyOne, start_ns: int) -> None:
    from omnistream.observe.brief import at

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    for apart in replay.apart[:_SHOWN]:
        say(f"{at(apart.t, start_ns)}  {replay.name}, firing {apart.firing}")
        for line in apart.lines:
            say(f"    {line}")
    if len(replay.apart) > _SHOWN:
        say(f"... and {len(replay.apart) - _SHOWN} firings more")
    say(f"\n{replay.name}: {replay.tried.firings} firings, {len(replay.apart)} differ; {replay.basis}")
    if replay.cut:
        say(f"notice: {sum(replay.cut.values())} firings were not to be had: what they need is not in the journal")
