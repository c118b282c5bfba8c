"""A bag of rosbag2: a directory of MCAP files, one after another, and a ``metadata.yaml`` that names them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.message import SECOND
from omnistream.record.codec import RecordedMessage
from omnistream.record.identity import RUN_ID
from omnistream.record.playable import Playable
from omnistream.record.reader import Recording
from omnistream.record.writer import HEAD, RUN

__all__ = ["Bag"]

_MOST_FILES = 10_000
_MOST_BYTES = 4 << 20


class Bag(Playable):
    """All files of the bag as one recording. Raises RecordingError where one is missing or damaged, and for bags of SQLite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: Mapping[str, Mapping[str, str]] = {}
        files = _files_of(path)
        self._parts: list[Recording] = []
        try:
            for file in files:
                self._parts.append(Recording(file))
            self.notice = "; ".join([*(p.notice for p in self._parts if p.notice), *_gaps(path, self._parts)])
        except BaseException:
            self.close()
            raise
        self.start_ns = min(p.start_ns for p in self._parts)
        self.end_ns = max(p.end_ns for p in self._parts)

    def streams(self) -> dict[str, frozenset[type]]:
        held: dict[str, frozenset[type]] = {}
        for part in self._parts:
            for topic, types in part.streams().items():
                held[topic] = held.get(topic, frozenset()) | types
        return held

    def others(self) -> dict[str, str]:
        return {topic: kind for part in self._parts for topic, kind in part.others().items()}

    def messages(self, topic: str, since_ns: int = 0) -> Iterator[RecordedMessage]:
        self._known(topic, self.streams())
        last = -1
        for part in self._parts:
            if topic not in part.streams():
                continue
            for message in part.messages(topic, since_ns):
                stamp = max(message.stamp_ns, last + 1)
                yield message if stamp == message.stamp_ns else replace(message, stamp_ns=stamp)
                last = stamp

    def count(self, topic: str, before_ns: int) -> int:
        return sum(p.count(topic, before_ns) for p in self._parts if topic in p.streams())

    def close(self) -> None:
        for part in self._parts:
            part.close()


def _gaps(path: Path, parts: Sequence[Recording]) -> Iterator[str]:
    """A sentence for each place where files of a run are missing. Raises RecordingError where they are of several runs."""
    first: dict[str, Path] = {}
    for part in parts:
        first.setdefault(part.metadata.get(HEAD, {}).get(RUN_ID, ""), part.path)
    first.pop("", None)
    if len(first) > 1:
        one, other, *_ = (p.name for p in first.values())
        raise RecordingError(f"{path} has files of {len(first)} runs, {one} of one and {other} of another; keep them apart")
    numbered = [p for p in parts if p.metadata.get(RUN, {}).get("number", "").isdecimal()]
    last, until = 0, 0
    for part in numbered:
        said = part.metadata[RUN]
        start, number = int(said["start_ns"]) if said.get("start_ns", "").isdecimal() else 0, int(said["number"])
        if number > last + 1:
            missing = f"file {last + 1} is" if number == last + 2 else f"files {last + 1} to {number - 1} are"
            span = f"{(max(until, start) - start) / SECOND:.3f} s to {(part.start_ns - start) / SECOND:.3f} s"
            yield f"{path}: {missing} missing: of the run from {span} there is nothing"
        last, until = number, part.end_ns
    if numbered and (after := numbered[-1].metadata[RUN].get("next")):
        yield f"{path}: the run goes on in file {after}, which is missing"


def _files_of(path: Path) -> list[Path]:
    """Those that metadata.yaml names, in its order; without one, all, by the numbers in their names."""
    said = path / "metadata.yaml"
    if not said.exists():
        found = sorted(path.glob("*.mcap"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem)])
        if not found:
            raise RecordingError(
                f"{path} is a directory without recordings; name an MCAP file, a rosbag2 or a LeRobotDataset v3"
            )
        return found
    about = _read(said)
    storage, names, packed = about.get("storage_identifier"), about.get("relative_file_paths"), about.get("compression_mode")
    if storage != "mcap":
        raise RecordingError(f"{path} is a bag of '{str(storage)[:40]}'; make it one of MCAP first, with 'ros2 bag convert'")
    if packed:
        raise RecordingError(f"{path} is compressed by {str(packed)[:20]}; make it plain first, with 'ros2 bag convert'")
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_FILES or not all(isinstance(n, str) for n in names):
        raise RecordingError(f"{said} names no files; write them under relative_file_paths, or delete it")
    files = [path / n for n in names]
    outside = [f for f in files if not f.resolve().is_relative_to(path.resolve())]
    if outside:
        raise RecordingError(f"{said} names {outside[0]}, which is not in the bag")
    return files


def _read(said: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if said.stat().st_size > _MOST_BYTES:
            raise RecordingError(f"{said} is larger than {_MOST_BYTES} bytes, and is not read")
        about = YAML(typ="safe", pure=True).load(said.read_text("utf-8"))
        found = about["rosbag2_bagfile_information"]
        if isinstance(found, dict):
            return found
    except (OSError, ValueError, YAMLError, KeyError, TypeError, RecursionError) as e:
        raise RecordingError(
            f"{said} cannot be read ({str(e).splitlines()[0][:100] if str(e) else type(e).__name__})"
        ) from None
    raise RecordingError(f"{said} says nothing of a bag; delete it to play the MCAP files beside it")
