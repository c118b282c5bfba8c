"""A black box: the last while of a run as a ring of short recordings in memory, and one file of them when something happens.

Each of the short ones can be read alone, so the oldest are let go without touching the rest, and a recorder that dies
leaves the ring as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from errno import ENOSPC
from pathlib import Path

from omnistream.clock import unix_ns, utc_name
from omnistream.errors import RecordingError
from omnistream.graph.keep import Keep
from omnistream.link.segment import LINK_NAME
from omnistream.message import SECOND
from omnistream.record.about import About
from omnistream.record.packets import BETWEEN, PACKETS, Groups, decode
from omnistream.record.part import BOX
from omnistream.record.reader import Recording
from omnistream.record.writer import HEAD, RUN, RecordingWriter, is_of_stream

__all__ = ["BoxError", "Ring", "make_room", "ring_folder"]

#: How long each of the short recordings is.
PIECE_NS = SECOND
#: However little is free, so many bytes are tried.
_LEAST = 1 << 20


class BoxError(RecordingError):
    """The file that was asked for cannot be written; the ring is as it was."""


class Ring:
    """The short recordings in a folder, by number. `written` is the last that is in a file already.

    `most` bytes are for all of it, `piece` for each: of what is free there, no more than a half is taken.
    """

    def __init__(self, folder: Path, keep: Keep, written: int = 0) -> None:
        self._folder, self._keep = folder, keep
        self.written = written
        folder.mkdir(exist_ok=True)
        there = os.statvfs(folder)
        free = there.f_bavail * there.f_frsize + sum(p.stat().st_size for p in self._pieces())
        self.most = min(keep.box_bytes, max(free // 2, _LEAST))
        self.piece = self.most // 8

    def path(self, number: int, began_ns: int) -> Path:
        return self._folder / f"{number:06d}-{began_ns}.mcap"

    def _pieces(self) -> list[Path]:
        return sorted(self._folder.glob("*-*.mcap"))

    def trim(self, now_ns: int) -> None:
        """Let go of what is too old, or too much; the newest stays."""
        pieces = self._pieces()
        first_ns = now_ns - self._keep.box_ns - PIECE_NS  # the first is cut into, the last has just begun
        sizes = [p.stat().st_size for p in pieces]
        while len(pieces) > 1 and (_began(pieces[1]) <= first_ns or sum(sizes) > self.most):
            pieces.pop(0).unlink(missing_ok=True)
            sizes.pop(0)

    def let_go(self) -> bool:
        """Let go of the oldest, but not of the newest, since there is no room. Whether there was one."""
        pieces = self._pieces()
        if len(pieces) < 2:
            return False
        pieces[0].unlink(missing_ok=True)
        return True

    def write(
        self, path: Path, before: int, why: Sequence[str], stepped: Callable[[], None] = lambda: None
    ) -> tuple[Path, int] | None:
        """One file of the pieces before that number which no file has yet; its path and how many messages it has, if any.

        `stepped` is called after each piece. Raises BoxError where it cannot be written.
        """
        pieces = [p for p in self._pieces() if self.written < _number(p) < before]
        with ExitStack() as stack:
            files = []
            for piece in pieces:
                try:
                    files.append(stack.enter_context(Recording(piece)))
                except RecordingError:  # a piece without a message
                    continue
            if not files:
                return None
            target = path.with_name(f"{path.stem}.{utc_name(unix_ns())}{path.suffix}")
            while target.exists():
                target = target.with_name(f"{target.stem}x{target.suffix}")
            try:
                count = _merged(files, target, {"middle": "yes", "events": json.dumps(list(why))}, stepped)
            except (OSError, RecordingError) as error:
                with suppress(OSError):
                    target.unlink(missing_ok=True)  # half a box would pass for all of it
                raise BoxError(str(error)) from error
        self.written = _number(pieces[-1])
        if count is None:
            target.unlink()
            return None
        return target, count


def _number(piece: Path) -> int:
    return int(piece.stem.partition("-")[0])


def _began(piece: Path) -> int:
    return int(piece.stem.partition("-")[2])


def _merged(files: Sequence[Recording], target: Path, words: Mapping[str, str], stepped: Callable[[], None]) -> int | None:
    """The records of several recordings as one file, as they are; how many messages, None where there is nothing to see."""
    first = files[0]
    start = int(first.metadata[HEAD]["start_ns"])
    head = {k: v for k, v in first.metadata[HEAD].items() if k not in ("version", "start_ns")}
    count, held, groups = 0, 0, Groups()
    with RecordingWriter(target, start_ns=start, metadata=head) as writer:
        writer.metadata(RUN, dict(first.metadata.get(RUN, {})) | dict(words))
        for name, data in first.attachments.items():
            writer.attach(name, data, "application/yaml")
        for file in files:
            for channel, record in file.records():
                if PACKETS in channel.metadata:
                    packet = decode(channel.metadata[PACKETS], record.data, record.log_time)
                    if groups.has(channel.topic, packet):
                        continue  # each piece begins with what its frames depend on
                    groups.take(channel.topic, packet)
                writer.copy(file.schema_of(channel), channel, record)
                held += BETWEEN not in channel.metadata
                count += is_of_stream(channel)
            stepped()
    return count if held else None


def ring_folder(run_dir: Path) -> Path:
    """The folder of the ring: in the run's shared memory if it has any."""
    link = run_dir / LINK_NAME
    return (link.resolve() if link.exists() else run_dir) / BOX


def make_room(run_dir: str, about: About, error: RecordingError) -> bool:
    """Let go of the oldest of a ring, where it was its memory that had no room. Whether there was anything."""
    cause = error.__cause__ or error.__context__
    if not about.keep.box_ns or isinstance(error, BoxError) or not isinstance(cause, OSError) or cause.errno != ENOSPC:
        return False
    return Ring(ring_folder(Path(run_dir)), about.keep).let_go()
