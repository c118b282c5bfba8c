"""What is recorded, as it stands in the run's directory: for the recorder, and for whoever has to go on without it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from omnistream.errors import RecordingError
from omnistream.graph.graph import Graph
from omnistream.graph.keep import Keep
from omnistream.record.part import ABOUT

__all__ = ["About"]


@dataclass(frozen=True)
class About:
    """`path` is the file as named; with rotation its number comes before the ending.

    `left_out` are streams from outside that are not kept. `words` are versions and digests. `run` is the run's own id, which
    each of its files bears; with `overwrite` it takes the place of another run's.
    """

    path: str
    graph: str
    file: str
    text: str
    sets: tuple[str, ...]
    sources: tuple[str, ...]
    seed: int = 0
    threads: Mapping[str, int] = field(default_factory=dict)
    keep: Keep = field(default_factory=Keep)
    left_out: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    run: str = field(default_factory=lambda: token_hex(8))
    overwrite: bool = False

    @classmethod
    def of(
        cls, graph: Graph, path: str, seed: int, threads: Mapping[str, int] | None = None, keep: Keep | None = None,
        words: Mapping[str, str] | None = None,
    ) -> Self:  # fmt: skip
        """`threads` says of each node how many its model has."""
        keep = keep or Keep()
        outside = [f"{n.name}.{o}" for n in graph.nodes.values() if n.role == "source" or n.external for o in n.outputs]
        left_out = tuple(s for s in outside if keep.streams and s not in keep.streams)
        where = str(Path(path).absolute())
        said = (graph.name, graph.file, graph.text, tuple(graph.sets), tuple(graph.sources))
        return cls(where, *said, seed, threads or {}, keep, left_out, words or {})

    def leave(self, run_dir: str) -> None:
        Path(run_dir, ABOUT).write_text(json.dumps(asdict(self)))

    @classmethod
    def found(cls, run_dir: Path) -> Self:
        """Raises RecordingError where it is damaged."""
        try:
            said: dict[str, Any] = json.loads((run_dir / ABOUT).read_text())
            path, graph, file, text = (str(said[k]) for k in ("path", "graph", "file", "text"))
            sets, sources, left_out = (tuple(map(str, said[k])) for k in ("sets", "sources", "left_out"))
            words = {str(k): str(v) for k, v in said["words"].items()}
            threads = {str(k): int(v) for k, v in said["threads"].items()}
            keep, run, overwrite = Keep.of(said["keep"]), str(said["run"]), bool(said["overwrite"])
            seed = int(said["seed"])
            return cls(path, graph, file, text, sets, sources, seed, threads, keep, left_out, words, run, overwrite)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordingError(f"{run_dir / ABOUT} does not say what was recorded ({error})") from None

    def numbered(self, number: int) -> Path:
        """The file of that number, from 1 on."""
        path = Path(self.path)
        return path.with_name(f"{path.stem}.{number:04d}{path.suffix}") if self.keep.rotates else path

    def pieces(self) -> list[Path]:
        """The files that there are of that name, with rotation of all numbers, whosever they are."""
        path = Path(self.path)
        if not self.keep.rotates:
            return [path] if path.exists() else []
        found = path.parent.glob(f"{escape(path.stem)}.*{escape(path.suffix)}")
        return sorted(p for p in found if re.fullmatch(r"\.\d{4,}", p.name[len(path.stem) : -len(path.suffix) or None]))
