"""``omnistream replay --as-recorded``: a live run again, and whether it came out the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from omnistream.cli.files import check_output
from omnistream.cli.screen import screen

__all__ = ["replay_as_recorded"]


def replay_as_recorded(recording: str, graph: str, sets: Sequence[str], summary_file: str | None) -> None:
    """Raises RecordingError at the first difference from the run, and where the recording is no evidence of it."""
    from omnistream.engine.as_recorded import AsRecorded
    from omnistream.errors import RecordingError
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan
    from omnistream.observe.summary import print_summary, summarize, write_summary
    from omnistream.record.evidence import RunEvidence
    from omnistream.record.reader import Recording

    if summary_file is not None:
        check_output("--summary", summary_file)
    console = screen()
    with Recording(recording) as file:
        evidence = RunEvidence(file)
        plan = make_plan(load_graph(graph, [*evidence.sets, *sets]), "planned")
        replay = AsRecorded(plan, evidence)
        outcome = asyncio.run(replay.run())
        if not replay.cut and evidence.digest and outcome.digest != evidence.digest:
            raise RecordingError(f"the digest is {outcome.digest}, and the run's was {evidence.digest}")
    summary = summarize(plan, "as recorded", outcome)
    print_summary(summary, console)
    if replay.cut:
        console.print(f"  [yellow]notice:[/] {outcome.digest_note}; what came before is equal to the run", highlight=False)
    else:
        console.print("  equal to the run" if evidence.digest else "  each firing equal to the run's", highlight=False)
    if summary_file is not None:
        write_summary(summary, summary_file)
