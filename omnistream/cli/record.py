"""``omnistream record``: what a recording holds, parts of it, and the recording of a run that was killed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.errors import GraphError
from omnistream.graph.units import parse_duration

__all__ = ["cut", "info", "recover"]


@sentences
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording; anybody's (docs/recordings.md).")],
) -> None:
    """Show a recording's streams, how long it is, and whether the run can be had again as it was."""
    from omnistream.errors import RecordingError
    from omnistream.record.cut import CUT
    from omnistream.record.evidence import RunEvidence
    from omnistream.record.journal import Fired
    from omnistream.record.playable import open_recording
    from omnistream.record.reader import Recording
    from omnistream.record.writer import HEAD

    console = screen()
    with open_recording(file) as recording:
        head = recording.metadata.get(HEAD, {})
        console.print(
            f"{head.get('graph') or 'no graph'}, {(recording.end_ns - recording.start_ns) / 1e9:.1f} s", highlight=False
        )
        if recording.notice:
            console.print(recording.notice, highlight=False, markup=False)
        if part := recording.metadata.get(CUT):
            console.print(_part_of(part), highlight=False, markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("stream", "holds", "messages", ""):
            table.add_column(column, justify="right" if column == "messages" else "left")
        for stream, types in sorted(recording.streams().items()):
            kinds = ", ".join(sorted(t.__name__ for t in types))
            kept = "" if recording.is_foreign(stream) else "as received" if recording.is_lossless(stream) else "lossy"
            table.add_row(stream, kinds, str(recording.count(stream, 1 << 62)), kept)
        console.print(table, highlight=False)
        if not isinstance(recording, Recording) or all(map(recording.is_foreign, recording.streams())):
            return
        try:
            evidence = RunEvidence(recording)
            rows = [r for found in evidence.rows().values() for r in found if isinstance(r, Fired)]
        except RecordingError as error:
            console.print(f"not as recorded: {error}", highlight=False, markup=False)
        else:
            console.print(f"journal of {len(rows)} firings; digest {evidence.digest or 'not known'}", highlight=False)


def _part_of(part: Mapping[str, str]) -> str:
    """Which part of which recording it is, as its metadata say."""
    try:
        first, last, start = (int(part[k]) for k in ("from_ns", "to_ns", "start_ns"))
    except (KeyError, ValueError):
        return "a part of a recording"
    return f"a part of {part.get('file', 'a recording')}: {(first - start) / 1e9:.3f} s to {(last - start) / 1e9:.3f} s"


@sentences
def cut(
    file: Annotated[str, typer.Argument(metavar="FILE.mcap", help="A recording.")],
    out: Annotated[str, typer.Argument(metavar="OUT.mcap", help="The file to make; it must not be there yet.")],
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="So long after its start: 12.5s.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to, and without, so long after its start.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STREAM", help="Keep this stream; may be repeated.")
    ] = None,
) -> None:
    """Make a recording of a part of one: from a time to another, of all streams or some.

    It replays as that part did in the whole; video that begins between two key frames keeps its pixels, too. A part from
    the very beginning with all streams can be replayed --as-recorded, any other cannot.
    """
    from omnistream.record.cut import cut as cut_file
    from omnistream.record.reader import Recording

    with Recording(file) as recording:
        if recording.notice:
            typer.echo(recording.notice, err=True)
        end = None if to is None else _time("--to", to)
        count = cut_file(recording, out, 0 if from_ is None else _time("--from", from_), end, only or ())
    typer.echo(f"{count} messages in {out}")


def _time(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise GraphError(f"{option} {text}: {error}") from None


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
