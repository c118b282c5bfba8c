"""What a run has spooled as one file, without a recorder: for tests, and where the run was killed before its file was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.flow.ledger import Row
from omnistream.record.about import About
from omnistream.record.copied import copied
from omnistream.record.damage import Damage, find_damage
from omnistream.record.done import Made, finished
from omnistream.record.ended import Ended
from omnistream.record.identity import run_of
from omnistream.record.mcap_file import McapFile
from omnistream.record.part import DONE
from omnistream.record.scribe import Scribe
from omnistream.record.writer import is_of_stream

__all__ = ["join_parts", "recover", "repair"]


def join_parts(run_dir: str, about: About, start_ns: int, rows: Sequence[Row], run: Mapping[str, Any] | None = None) -> Made:
    """All that is in a run's directory as one file, with the graph, the journal and the ledger inside. Nothing is removed.

    Raises RecordingError where the file cannot be written.
    """
    scribe = Scribe(run_dir, about, remove=False)
    try:
        return scribe.finish(start_ns, [r.as_dict() for r in rows], run)
    except BaseException:
        scribe.close()
        if run_of(about.numbered(1)) in (None, about.run):
            about.numbered(1).unlink(missing_ok=True)  # half a file would pass for all of it
        raise


def recover(run_dir: Path, to: str | None = None) -> Made:
    """Finish the file of a run that could not. Of a black box, write what led to the end: the last of the files, if any.

    Raises RecordingError where there is nothing to make it of, or another file is in its place.
    """
    about, made = About.found(run_dir), finished(run_dir)
    if made is None:
        begun = (run_dir / DONE).exists() and not about.keep.box_ns
        if to is not None:
            there = replace(about, path=str(Path(to).absolute()))
            _check_free(there)
            about = copied(run_dir, about, Path(there.path)) if begun else there
        elif not begun and not about.keep.box_ns:
            _check_free(about)
        scribe, ended = Scribe(str(run_dir), about, remove=True), Ended.found(run_dir)
        try:
            if about.keep.box_ns:
                scribe.turn(last=True)
                scribe.write_box(["the run died"])
            made = scribe.finish(ended.start_ns, ended.rows, ended.run)
        finally:
            scribe.close()
    return made


def _check_free(about: About) -> None:
    for path in about.pieces():
        if path.stat().st_size and run_of(path) != about.run:
            raise RecordingError(f"{path} is there already; move it, or name another file with --to")


def repair(path: Path, damage: Damage | None = None) -> int:
    """Give a file that broke off, or is damaged, its index again, after the last message before the damage; their number.
    `damage` is what `find_damage` says of it, where that has been asked.

    What comes behind is cut off. Raises RecordingError where nothing is whole, and the file is as it was.
    """
    damage = damage or find_damage(path)
    if damage is not None and not damage.messages:
        raise RecordingError(f"{path} holds no message that can be read: it {damage.why} at byte {damage.at} of {damage.size}")
    try:
        file = McapFile(path, resume=True)
        file.finish()
    except OSError as error:
        raise RecordingError(f"{path} cannot be repaired ({error.strerror})") from None
    return sum(n for c, n in file.counts.items() if is_of_stream(file.channels[c]))
