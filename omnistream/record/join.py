"""What a run has spooled as one file, without a recorder: for tests, and where the run was killed before its file was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.flow.ledger import Row
from omnistream.record.about import About
from omnistream.record.mcap_file import McapFile
from omnistream.record.packets import BETWEEN
from omnistream.record.part import DONE
from omnistream.record.reader import Recording
from omnistream.record.scribe import Made, Scribe, copied
from omnistream.record.writer import JOURNAL, RUN

__all__ = ["RUN", "About", "join_parts", "recover", "repair"]


def join_parts(run_dir: str, about: About, start_ns: int, rows: Sequence[Row], run: Mapping[str, Any] | None = None) -> Made:
    """All that is in a run's directory as one file, with the graph, the journal and the ledger inside. Nothing is removed.

    Raises RecordingError where the file cannot be written.
    """
    scribe = Scribe(run_dir, about, remove=False)
    try:
        return scribe.finish(start_ns, [r.as_dict() for r in rows], run)
    except BaseException:
        scribe.close()
        about.numbered(1).unlink(missing_ok=True)  # half a file would pass for all of it
        raise


def recover(run_dir: Path, to: str | None = None) -> tuple[str, int]:
    """Finish the file of a run that could not: its path, and the number of messages.

    Raises RecordingError where there is nothing to make it of, or another file is in its place.
    """
    about = About.found(run_dir)
    begun = (run_dir / DONE).exists()
    if to is not None:
        about = copied(run_dir, about, Path(to).absolute()) if begun else replace(about, path=str(Path(to).absolute()))
    if not begun and about.numbered(1).exists() and about.numbered(1).stat().st_size:
        raise RecordingError(f"{about.numbered(1)} is there already; move it, or name another file with --to")
    scribe = Scribe(str(run_dir), about, remove=True)
    try:
        made = scribe.finish(0, ())
    finally:
        scribe.close()
    return made.files[0], made.messages


def repair(path: Path) -> int:
    """Give a file that broke off, or is damaged, its index again, after the last message before the damage; their number.

    What comes behind is cut off. Raises RecordingError where nothing is whole, and the file is as it was.
    """
    with Recording(path):  # that something is whole
        pass
    try:
        file = McapFile(path, resume=True)
        file.finish()
    except OSError as error:
        raise RecordingError(f"{path} cannot be repaired ({error.strerror})") from None
    held = {c: file.channels[c] for c in file.counts}
    return sum(n for c, n in file.counts.items() if BETWEEN not in held[c].metadata and not held[c].topic.startswith(JOURNAL))
