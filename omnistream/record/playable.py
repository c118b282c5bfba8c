"""What every kind of recording has in common, so that a graph plays each the same way; and opening one, of whatever kind."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omnistream.errors import RecordingError
from omnistream.graph.played import split_part
from omnistream.message import SECOND
from omnistream.record.codec import RecordedMessage

__all__ = ["BEGINNING_NS", "Playable", "check_file", "open_recording"]

#: The stamp of the beginning of a file that knows only times from its beginning. Not 0: what lies before it (sound often
#: begins a little earlier than the picture) has a time, too.
BEGINNING_NS = SECOND

_MCAP = b"\x89MCAP0\r\n"
_SQLITE = b"SQLite format 3\0"


class Playable(ABC):
    """Streams of messages on one time line.

    `start_ns` and `end_ns`: from when to when it was recorded. `notice`: a sentence about what of it cannot be played, else
    empty. `chosen`: the stream that whoever opened it has named.
    """

    path: Path
    notice: str = ""
    chosen: str = ""
    start_ns: int = BEGINNING_NS
    end_ns: int = BEGINNING_NS
    metadata: Mapping[str, Mapping[str, str]]

    @abstractmethod
    def streams(self) -> dict[str, frozenset[type]]:
        """Each topic that holds payloads, with their types; a recorded stream has one type, or a few."""

    @abstractmethod
    def messages(self, topic: str, since_ns: int = 0) -> Iterator[RecordedMessage]:
        """The topic's messages stamped `since_ns` or later, in order; stamps rise.

        Raises RecordingError at damage, and for a topic that is not here.
        """

    def stamps(self, topic: str) -> Iterator[int]:
        """The stamps of all of the topic's messages, without decoding more of them than need be."""
        return (message.stamp_ns for message in self.messages(topic))

    @abstractmethod
    def count(self, topic: str, before_ns: int) -> int:
        """How many of the topic's messages are stamped before that time."""

    def others(self) -> dict[str, str]:
        """Topics that cannot be played, and what the file says they hold."""
        return {}

    def is_foreign(self, topic: str) -> bool:  # noqa: ARG002
        """Whether the stream was not recorded by a run, so that nothing is known of how its messages were received."""
        return True

    def is_lossless(self, topic: str) -> bool:  # noqa: ARG002
        """Whether every message is just as it was received: bounds, origins and all."""
        return False

    def kept(self, topic: str) -> str:  # noqa: ARG002
        """How the stream is kept, in a word or two; empty where it was not recorded by a run."""
        return ""

    def truth(self) -> list[dict[str, Any]]:
        """What really happened, in the order recorded: maps with "start_ns" and "end_ns". Empty where nobody wrote it down."""
        return []

    def stream_for(self, node: str, types: Collection[type]) -> str:
        """The topic that can stand in for the source `node` whose output may be of `types`.

        That is the one that was chosen; else the one named after the node ("mic" or "mic.out"); else the only one of a
        fitting type; else of those the only one with the node in its name ("/camera/image_raw" for "camera").
        Raises RecordingError where there is none, or a choice.
        """
        wanted = frozenset(types)
        held = self.streams()
        called = " or ".join(sorted(t.__name__ for t in wanted))
        if self.chosen and self.chosen not in held:
            raise RecordingError(f"{self.path} has no stream '{self.chosen}'; it has {', '.join(held) or 'none'}")
        for topic in (self.chosen,) if self.chosen else (f"{node}.out", node):
            if topic in held:
                if held[topic] <= wanted:
                    return topic
                found = " and ".join(sorted(t.__name__ for t in held[topic]))
                raise RecordingError(f"{self.path}: the stream '{topic}' holds {found}, but the node '{node}' gives {called}")
        fitting = [topic for topic, found in held.items() if found <= wanted]
        named = [topic for topic in fitting if node in re.split(r"[/.]", topic)]
        if len(fitting) == 1 or len(named) == 1:
            return (named if len(named) == 1 else fitting)[0]
        if fitting:
            raise RecordingError(
                f"{self.path} has several streams of {called} for the node '{node}': name one of {', '.join(fitting)}"
            )
        there = ", ".join(f"{t} ({'/'.join(sorted(k.__name__ for k in v))})" for t, v in held.items()) or "no streams"
        raise RecordingError(f"{self.path} has no stream of {called} for the node '{node}'; it has {there}")

    def named(self, topic: str) -> str:
        """What `open_recording` takes for this recording and that stream of it."""
        return f"{self.path}#{topic}"

    def close(self) -> None:  # noqa: B027 (most open their files as they are asked for messages)
        """Release files. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _known(self, topic: str, held: Sequence[str] | Mapping[str, Any]) -> None:
        if topic not in held:
            raise RecordingError(f"{self.path} has no stream '{topic}'; it has {', '.join(held) or 'none'}")


def open_recording(where: str | Path) -> Playable:
    """A run's recording or anybody else's: an MCAP file (of ROS 2, too), a directory of rosbag2, an episode of a LeRobotDataset
    v3 (``dataset#3``), a video or sound file. ``#STREAM`` after its path, or ``dataset#3/STREAM``, chooses a stream.

    Raises RecordingError where it is missing, of another kind, or damaged.
    """
    name, part = split_part(str(where))
    path = Path(name).expanduser()
    if not name:
        raise RecordingError("'' names no recording; name a file or a directory, such as live.mcap")
    check_file(path)
    file: Playable
    if path.is_dir() and (path / "meta" / "info.json").exists():
        from omnistream.record.foreign.lerobot import Episode

        number, _, stream = part.partition("/")
        file = Episode(path, number)
    elif path.is_dir():
        from omnistream.record.foreign.bag import Bag

        file, stream = Bag(path), part
    else:
        file, stream = _open_file(path), part
    file.chosen = stream
    return file


def check_file(path: Path) -> None:
    """Raises RecordingError for a pipe or a device, which cannot be sought in, and may never say anything."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise RecordingError(f"{path} is no file; a recording is a file, or a directory of them")


def _open_file(path: Path) -> Playable:
    from omnistream.record.reader import Recording

    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return Recording(path)  # which says why
    if head.startswith(_SQLITE):
        raise RecordingError(f"{path} is a SQLite file; make it MCAP first, with 'ros2 bag convert'")
    if not head.startswith(_MCAP) and path.suffix.lower() != ".mcap" and head:
        from omnistream.record.foreign.media import Media, is_media

        if is_media(path):
            return Media(path)
    return Recording(path)
