"""What of a run is recorded, and how: the `record:` of a graph file, with what the command line changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

__all__ = ["BLACK_BOX_EVENTS", "Keep", "VideoKept"]

VideoKept = Literal["exact", "compact"]
#: What a black box is written for.
BLACK_BOX_EVENTS = ("stop", "refused", "error", "restart")


@dataclass(frozen=True, slots=True)
class Keep:
    """`streams` are "node.port"; none named: all that comes from outside. What is 0 is without a limit.

    `queue` bounds the bytes that wait for the recorder, for each worker. With `box_ns` only the last so many nanoseconds
    are kept, in `box_bytes` at most, until one of `events` writes them out, `after_ns` later.
    """

    path: str = ""
    streams: tuple[str, ...] = ()
    video: VideoKept = "exact"
    rotate_bytes: int = 0
    rotate_ns: int = 0
    queue: int = 256 << 20
    box_ns: int = 0
    box_bytes: int = 256 << 20
    after_ns: int = 2_000_000_000
    events: tuple[str, ...] = BLACK_BOX_EVENTS

    @property
    def rotates(self) -> bool:
        return bool(self.rotate_bytes or self.rotate_ns)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """From its fields as JSON gives them. Raises KeyError, TypeError or ValueError where they are damaged."""
        video = "compact" if said["video"] == "compact" else "exact"
        sizes = [int(said[name]) for name in ("rotate_bytes", "rotate_ns", "queue", "box_ns", "box_bytes", "after_ns")]
        streams, events = tuple(map(str, said["streams"])), tuple(map(str, said["events"]))
        return cls(str(said["path"]), streams, video, *sizes, events=events)
