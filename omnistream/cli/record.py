"""``omnistream record``: what a recording holds, parts and other forms of it, and the recording of a run that was killed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from omnistream.cli.files import duration
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.errors import GraphError, RecordingError

if TYPE_CHECKING:
    from omnistream.record.playable import Playable

__all__ = ["cut", "export", "info", "recover"]


@sentences
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording; anybody's (docs/recordings.md).")],
) -> None:
    """Show a recording's streams, how long it is, and whether the run can be had again as it was."""
    from omnistream.record.cut import CUT
    from omnistream.record.evidence import RunEvidence
    from omnistream.record.journal import Fired
    from omnistream.record.playable import open_recording
    from omnistream.record.reader import Recording
    from omnistream.record.writer import HEAD

    console = screen()
    with open_recording(file) as recording:
        head = recording.metadata.get(HEAD, {})
        what = head.get("graph") or ("no graph" if head else recording.path.name)
        console.print(f"{what}, {(recording.end_ns - recording.start_ns) / 1e9:.1f} s", highlight=False, markup=False)
        if recording.notice:
            console.print(recording.notice, highlight=False, markup=False)
        if part := recording.metadata.get(CUT):
            console.print(_part_of(part), highlight=False, markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("stream", "holds", "messages", ""):
            table.add_column(column, justify="right" if column == "messages" else "left")
        for stream, types in sorted(recording.streams().items()):
            kinds = ", ".join(sorted(t.__name__ for t in types))
            table.add_row(stream, kinds, str(recording.count(stream, 1 << 62)), recording.kept(stream))
        console.print(table, highlight=False)
        for topic, kind in recording.others().items():
            console.print(f"not played: {topic} ({kind or 'of no known kind'})", highlight=False, markup=False)
        if not isinstance(recording, Recording) or (not head and all(map(recording.is_foreign, recording.streams()))):
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
        end = duration("--to", to)
        count = cut_file(recording, out, duration("--from", from_) or 0, end, only or ())
    typer.echo(f"{count} messages in {out}")


class Form(StrEnum):
    """What a recording can be made into."""

    lerobot = "lerobot"
    mp4 = "mp4"
    wav = "wav"
    vtt = "vtt"


@sentences
def export(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE... OUT", help="Recordings (several for lerobot: an episode each), then what to make."),
    ],
    to: Annotated[Form | None, typer.Option(help="The form; left out, the ending of OUT says it.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="STREAM", help="Of this stream; may be repeated.")] = None,
    fps: Annotated[int | None, typer.Option(min=1, max=1000, help="lerobot: rows a second; the first camera's own.")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TEXT", help="lerobot: what was asked; else what the recording says.")
    ] = None,
) -> None:
    """Make of a recording a LeRobotDataset v3 (a directory), a film (mp4), its sound (wav), or its words as captions (vtt)."""
    from omnistream.record.playable import open_recording

    *files, out = paths
    if not files:
        raise GraphError(f"{out}: what is to be made of it? Write the file to make after it, such as film.mp4")
    form = to or next((f for f in Form if out.lower().endswith(f".{f.value}")), None)
    if form is None:
        raise GraphError(f"{out}: what is it to be? Write --to lerobot, mp4, wav or vtt")
    if form is not Form.lerobot and (len(files) > 1 or fps is not None or task is not None):
        raise GraphError(f"--to {form.value} takes one recording, and no --fps or --task")
    with ExitStack() as stack:
        opened = [stack.enter_context(open_recording(f)) for f in files]
        for notice in (o.notice for o in opened if o.notice):
            typer.echo(notice, err=True)
        typer.echo(_exported(form, opened, out, tuple(only or ()), fps, task))


def _exported(form: Form, opened: list[Playable], out: str, only: tuple[str, ...], fps: int | None, task: str | None) -> str:
    """Make it; what to say of it."""
    if form is Form.lerobot:
        from omnistream.record.export.lerobot import export_lerobot

        made = export_lerobot(opened, out, fps=fps, task=task, only=only)
        left = f"; left out: {', '.join(made.left_out)}" if made.left_out else ""
        rows = f"{len(made.lengths)} episodes, {sum(made.lengths)} rows at {made.fps} Hz"
        return f"{out}: {rows} of {', '.join(made.features)}{left}"
    from omnistream.record.cut import remove

    path = Path(out)
    if path.exists():
        raise RecordingError(f"{path} is there already; move it, or name another file")
    try:
        if form is Form.mp4:
            from omnistream.record.export.film import export_mp4

            frames, seconds = export_mp4(opened[0], path, only)
            return f"{out}: {frames} frames, {f'{seconds:.1f} s of' if seconds else 'no'} sound"
        if form is Form.wav:
            from omnistream.record.export.sound import export_wav

            return f"{out}: {export_wav(opened[0], path, only):.1f} s of sound"
        from omnistream.record.export.captions import export_vtt

        return f"{out}: {export_vtt(opened[0], path, only)} captions"
    except OSError as error:
        remove(path)
        raise RecordingError(f"{path} cannot be written ({error.strerror}); name a file in a folder with room") from None
    except BaseException:
        remove(path)  # half a film would pass for all of it
        raise


@sentences
def recover(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE.mcap]", help="A recording that broke off or is damaged; else what runs have left."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="FILE.mcap", help="The file to make; of several runs, the second is FILE-2.mcap.")
    ] = None,
) -> None:
    """Make the recordings of runs that were killed or failed: each in the file that its --record named.

    Of a damaged file, a copy (FILE.recovered.mcap) with every whole message before the damage.
    """
    if file is not None:
        _mend(Path(file), Path(to) if to is not None else None)
        return
    from omnistream.engine.rundir import remove, unfinished
    from omnistream.record.index import BROKEN
    from omnistream.record.join import recover as join

    failed = 0
    with unfinished() as left:
        if not left:
            typer.echo("no run has left a recording unfinished")
        for number, path in enumerate(left, 1):
            try:
                made = join(path, to and str(_beside(Path(to), number)))
            except (RecordingError, *BROKEN) as error:
                said = str(error) if isinstance(error, RecordingError) else f"{path}: {type(error).__name__}: {error}"
                typer.echo(said if str(path) in said else f"{path}: {said}", err=True)
                failed += 1
                continue
            remove(path)
            if made.files:
                typer.echo(f"recorded {made.messages} messages in {made.files[0]}")
            else:
                typer.echo(f"{path}: there was nothing to write a black box of")
            for note in made.notes:
                typer.echo(note, err=True)
            for hole in made.holes:
                typer.echo(f"not recorded: {(hole.to_ns - hole.from_ns) / 1e9:.3f} s of {hole.what}: {hole.why}", err=True)
    if failed:
        if to is None:
            typer.echo("with --to FILE.mcap what is left becomes another file; 'rm -r' of its directory gives it up", err=True)
        raise typer.Exit(2)


def _beside(path: Path, number: int) -> Path:
    """A name for each of several."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _mend(file: Path, to: Path | None) -> None:
    """A copy of a damaged recording, up to the damage."""
    from omnistream.record.cut import remove
    from omnistream.record.damage import find_damage
    from omnistream.record.join import repair

    damage = find_damage(file)
    if damage is None:
        typer.echo(f"{file} is whole: there is nothing to mend")
        return
    to = to or file.with_name(f"{file.stem}.recovered{file.suffix}")
    if to.exists():
        raise RecordingError(f"{to} is there already; name another file with --to")
    try:
        shutil.copyfile(file, to)
        count = repair(to, damage)
    except OSError as error:
        with suppress(OSError):
            to.unlink(missing_ok=True)
        raise RecordingError(f"{to} cannot be written ({error.strerror})") from None
    except RecordingError as error:
        remove(to)
        raise RecordingError(str(error).replace(str(to), str(file))) from None
    typer.echo(damage.told(str(file)), err=True)
    typer.echo(f"recovered {count} messages in {to}")
