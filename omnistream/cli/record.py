"""``omnistream record``: what a recording holds, and the recording of a run that was killed."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences

__all__ = ["info", "recover"]


@sentences
def info(file: Annotated[str, typer.Argument(metavar="FILE.mcap", help="A recording.")]) -> None:
    """Show a recording's streams, how long it is, and whether the run can be had again as it was."""
    from omnistream.errors import RecordingError
    from omnistream.record.evidence import RunEvidence
    from omnistream.record.journal import Fired
    from omnistream.record.reader import Recording
    from omnistream.record.writer import HEAD

    console = screen()
    with Recording(file) as recording:
        head = recording.metadata.get(HEAD, {})
        console.print(
            f"{head.get('graph') or 'no graph'}, {(recording.end_ns - recording.start_ns) / 1e9:.1f} s", highlight=False
        )
        if recording.notice:
            console.print(recording.notice, highlight=False, markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("stream", "holds", "messages", ""):
            table.add_column(column, justify="right" if column == "messages" else "left")
        for stream, types in sorted(recording.streams().items()):
            kinds = ", ".join(sorted(t.__name__ for t in types))
            kept = "as received" if recording.is_lossless(stream) else "lossy"
            table.add_row(stream, kinds, str(recording.count(stream, 1 << 62)), kept)
        console.print(table, highlight=False)
        try:
            evidence = RunEvidence(recording)
            rows = [r for found in evidence.rows().values() for r in found if isinstance(r, Fired)]
        except RecordingError as error:
            console.print(f"not as recorded: {error}", highlight=False, markup=False)
        else:
            console.print(f"journal of {len(rows)} firings; digest {evidence.digest or 'not known'}", highlight=False)


@sentences
def recover(
    to: Annotated[str | None, typer.Option(metavar="FILE.mcap", help="Another file than the run was to make.")] = None,
) -> None:
    """Make the recordings of runs that were killed or failed: each in the file that its --record named."""
    from omnistream.engine.rundir import dead
    from omnistream.errors import RecordingError
    from omnistream.record.join import recover as join
    from omnistream.record.part import ABOUT

    left = [path for path in dead() if (path / ABOUT).exists()]
    if not left:
        typer.echo("no run has left a recording unfinished")
    if to is not None and len(left) > 1:
        raise RecordingError(f"{len(left)} runs have left recordings; leave --to out, and move what is in the way")
    for path in left:
        file, count = join(path, to)
        shutil.rmtree(path, ignore_errors=True)
        typer.echo(f"recorded {count} messages in {file}")
