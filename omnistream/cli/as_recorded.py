"""``omnistream replay --as-recorded``: a live run again, and whether it came out the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnistream.cli.screen import screen

if TYPE_CHECKING:
    from omnistream.engine.replay import Part
    from omnistream.observe.outcome import Outcome

__all__ = ["replay_as_recorded"]


def replay_as_recorded(
    recording: str, graph: str, sets: Sequence[str], summary_file: str | None, part: Part, pace: float | None
) -> Outcome:
    """Raises DifferenceError at the first difference from the run, RecordingError where the recording is no evidence of it."""
    from omnistream.engine.as_recorded import AsRecorded
    from omnistream.errors import DifferenceError
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan
    from omnistream.observe.summary import print_summary, summarize, write_summary
    from omnistream.record.evidence import RunEvidence
    from omnistream.record.reader import Recording

    console = screen()
    with Recording(recording) as file:
        evidence = RunEvidence(file)
        plan = make_plan(load_graph(graph, [*evidence.sets, *sets]), "planned")
        replay = AsRecorded(plan, evidence, part.span(file.start_ns, file.end_ns), pace)
        outcome = asyncio.run(replay.run())
        whole = not replay.cut and not replay.left
        if whole and evidence.digest and outcome.digest != evidence.digest:
            raise DifferenceError(f"the digest is {outcome.digest}, and the run's was {evidence.digest}")
    summary = summarize(plan, "as recorded", outcome)
    print_summary(summary, console)
    if replay.cut:
        console.print(f"  [yellow]notice:[/] {outcome.digest_note}; what came before is equal to the run", highlight=False)
    elif whole and evidence.digest:
        console.print("  equal to the run", highlight=False)
    else:
        console.print("  each firing equal to the run's" + (" up to here" if replay.left else ""), highlight=False)
    if summary_file is not None:
        write_summary(summary, summary_file)
    return outcome
