"""Reading what workers spool, while they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from omnistream.record.spool import apart, is_damaged, life_of, read_frames, segments

__all__ = ["Life", "Tail"]


class Life:
    """One life of a worker: its segments as they come, and how far they have been read."""

    def __init__(self, worker: str, incarnation: int, number: int = 0, at: int = 0) -> None:
        self.worker, self.incarnation = worker, incarnation
        self.number, self.at = number, at
        self.begun = False
        #: Segments that were damaged, so that what came behind in them is lost; whoever reads on notes it, and sets it to 0.
        self.breaks = 0
        self._file: BinaryIO | None = None

    @property
    def name(self) -> str:
        return f"{self.worker}.{self.incarnation}"

    def frames(self, paths: list[Path]) -> Iterator[bytes]:
        """The whole frames that are there by now and have not been read; `paths` are its segments."""
        ours = {life_of(path)[2]: path for path in paths}
        while self.number in ours:
            if self._file is None:
                self._file = ours[self.number].open("rb")
            self._file.seek(self.at)
            for at, data in read_frames(self._file):
                self.at = at + 8 + len(data)
                self.begun = True
                yield data
            if self.number + 1 not in ours:
                return
            self.breaks += self.at != self._file.seek(0, 2)  # others follow, so this one has ended
            self.close()
            self.number, self.at = self.number + 1, 0

    def look(self) -> None:
        """At the end: whether the last segment is damaged. What was only not written to its end never counted."""
        if self._file is not None and is_damaged(self._file, self.at):
            self.breaks += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Tail:
    """All lives of all workers of a run. `places` is how far an earlier reader has come: name -> (segment, place in it)."""

    def __init__(self, run_dir: Path, places: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._dir = run_dir
        self.lives: dict[tuple[str, int], Life] = {}
        for name, (number, at) in (places or {}).items():
            worker, _, incarnation = name.rpartition(".")
            self.lives[worker, int(incarnation)] = Life(worker, int(incarnation), number, at)

    def frames(self, *, last: bool = False) -> Iterator[tuple[Life, bytes]]:
        """What is new. A life is read after the one before it, once all of that is here, or at the end (`last`)."""
        missing = set() if last else apart(self._dir)
        for (worker, incarnation), paths in segments(self._dir).items():
            if any((worker, n) in missing for n in range(incarnation)):
                continue
            life = self.lives.setdefault((worker, incarnation), Life(worker, incarnation))
            for data in life.frames(paths):
                yield life, data
            if last:
                life.look()

    def places(self) -> dict[str, tuple[int, int]]:
        return {life.name: (life.number, life.at) for life in self.lives.values()}

    def remove_read(self) -> None:
        """Remove the segments that are read to their end, but the last of each life that has no successor: workers read in it
        how their sinks stood."""
        for (worker, incarnation), paths in segments(self._dir).items():
            life, after = self.lives.get((worker, incarnation)), self.lives.get((worker, incarnation + 1))
            if life is None:
                continue
            for path in paths:
                over = life_of(path)[2] < life.number or (after is not None and after.begun and path.stat().st_size == life.at)
                if over:
                    with suppress(FileNotFoundError):
                        path.unlink()

    def close(self) -> None:
        for life in self.lives.values():
            life.close()
