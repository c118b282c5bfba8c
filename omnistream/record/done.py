"""How far a recording has come and what it lacks, as a scribe leaves it for the next; and the lock by which there is one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from omnistream.errors import RecordingError
from omnistream.record.part import DONE
from omnistream.record.progress import read_progress

__all__ = ["Done", "Hole", "Made", "finished", "only_one"]

#: So many holes are told one by one; from then on, those of one stream are told as one.
_MANY = 100
#: Tenths of a second.
_PATIENCE = 50


@dataclass(frozen=True, slots=True)
class Hole:
    """What was not kept of a stream, or of a worker's; the times are stamps."""

    what: str
    from_ns: int
    to_ns: int
    count: int
    why: str


@dataclass(slots=True)
class Made:
    """What has come of a recording."""

    files: list[str]
    messages: int
    holes: list[Hole]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Made:
        """From its fields as JSON gives them."""
        return cls(said["files"], said["messages"], [Hole(**h) for h in said["holes"]], said["notes"])


@dataclass(slots=True)
class Done:
    """How far it is: what the file has of the spools when it has `size` bytes."""

    number: int = 1
    size: int = 0
    count: int = 0
    repeated: int = 0
    written: int = 0
    boxed: int = 0
    boxes: list[str] = field(default_factory=list)
    start_ns: int = 0
    began_ns: int = 0
    now_ns: int = 0
    last: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    open: dict[str, Hole] = field(default_factory=dict)
    #: What has come of it, when it is finished; then nobody is to go on with it.
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Any) -> Done:
        holes = [Hole(*h) for h in said.pop("holes")]
        opened = {k: Hole(*h) for k, h in said.pop("open").items()}
        places = {k: (int(n), int(at)) for k, (n, at) in said.pop("places").items()}
        return cls(**said, holes=holes, open=opened, places=places)

    def as_json(self) -> str:
        said = asdict(self)
        said["holes"] = [list(h.values()) for h in said["holes"]]
        said["open"] = {k: list(h.values()) for k, h in said["open"].items()}
        return json.dumps(said)

    def end_hole(self, what: str, to_ns: int, count: int) -> None:
        """What was not kept is kept again; where there are many holes of a stream, they become one."""
        begun = self.open.pop(what, Hole(what, to_ns, to_ns, 0, "the recorder was behind"))
        hole = Hole(what, begun.from_ns, to_ns, count, begun.why)
        if len(self.holes) >= _MANY and (same := [n for n, h in enumerate(self.holes) if h.what == what]):
            last = self.holes.pop(same[-1])
            hole = replace(last, to_ns=to_ns, count=last.count + count, why=f"{begun.why}, time and again")
        self.holes.append(hole)


def only_one(run_dir: Path) -> int:
    """A lock that one scribe holds; the system lets go of it, however that dies. It is waited for a while."""
    lock = os.open(run_dir, os.O_RDONLY | os.O_CLOEXEC)
    for _ in range(_PATIENCE):
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        Event().wait(0.1)
    os.close(lock)
    raise RecordingError(f"the recorder of {run_dir} is still at work; try again in a moment")


def finished(run_dir: Path) -> Made | None:
    """What has come of a run's recording, where that is finished and nothing is to be done any more."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        made = json.loads(read_progress(run_dir / DONE)).get("made")
        return Made.of(made) if made else None
    return None
