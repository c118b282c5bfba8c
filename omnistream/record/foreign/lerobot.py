"""An episode of a LeRobotDataset v3 as a recording: its cameras, its robot's state and actions, and what was asked of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import SECOND, Action, Payload, RobotState, Text, VideoFrame
from omnistream.record.codec import RecordedMessage
from omnistream.record.foreign.dataset import Feature, cells, columns_of, read_info, read_tasks, tables_in
from omnistream.record.foreign.images import decode_image, frame_of
from omnistream.record.foreign.media import open_container, prepared, seek, timed
from omnistream.record.playable import BEGINNING_NS, Playable

__all__ = ["Episode"]

#: The stream of what was asked, as Text: at the beginning, and wherever it changes.
TASK = "task"
_DEFAULT = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_NUMBERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_DTYPES = frozenset(["video", "image", "string", "float16", "float32", "float64", "bool", *_NUMBERS])
_MOST_ROWS = 10_000_000


class Episode(Playable):
    """One episode; its first frame is stamped `BEGINNING_NS`. A stream is called like its feature.

    A video or image is a VideoFrame; ``action`` an Action of the kind "joints", valid until the next one; a text Text; all
    other numbers a RobotState, under the names that the dataset gives them. Raises RecordingError where there is no such
    episode, and where none is named but there are several.
    """

    def __init__(self, folder: Path, number: str = "") -> None:
        self.path = folder
        self.metadata: Mapping[str, Mapping[str, str]] = {}
        self._info = read_info(folder)
        self._features = {k: f for k, f in self._info.features.items() if k not in _DEFAULT and f.dtype in _DTYPES}
        left = sorted(self._info.features.keys() - self._features.keys() - set(_DEFAULT))
        if left:
            self.notice = f"{folder}: {', '.join(left)} cannot be played and {'is' if len(left) == 1 else 'are'} left out"
        self._row = _row_of(folder, number)
        self.number = int(self._row["episode_index"])
        self._times, self._tasks = self._read_times()
        self._texts = read_tasks(folder)
        self.start_ns = BEGINNING_NS
        self.end_ns = self._times[-1]

    def streams(self) -> dict[str, frozenset[type]]:
        held: dict[str, frozenset[type]] = {k: frozenset({_kind(f)}) for k, f in self._features.items()}
        return held | ({TASK: frozenset[type]({Text})} if self._texts else {})

    def named(self, topic: str) -> str:
        return f"{self.path}#{self.number}/{topic}"

    def messages(self, topic: str, since_ns: int = 0) -> Iterator[RecordedMessage]:
        self._known(topic, self.streams())
        first = next((i for i, stamp in enumerate(self._times) if stamp >= since_ns), len(self._times))
        for row, payload in self._payloads(topic, first):
            yield RecordedMessage(self._times[row], None, payload, seq=row, clock_source="dataset")

    def stamps(self, topic: str) -> Iterator[int]:
        return super().stamps(topic) if topic == TASK else iter(self._times)

    def count(self, topic: str, before_ns: int) -> int:
        self._known(topic, self.streams())
        rows = (row for row, _ in self._asked(0)) if topic == TASK else range(len(self._times))
        return sum(self._times[row] < before_ns for row in rows)

    # -- inside ------------------------------------------------------------------------------------

    def _payloads(self, topic: str, first: int) -> Iterator[tuple[int, Payload]]:
        """From row `first` on."""
        if topic == TASK:
            return self._asked(first)
        feature = self._features[topic]
        return self._film(topic, first) if feature.dtype == "video" else self._column(feature, first)

    def _asked(self, first: int) -> Iterator[tuple[int, Payload]]:
        last = None
        for row, task in enumerate(self._tasks):
            if task != last and task in self._texts and row >= first:
                yield row, Text(self._texts[task])
            last = task

    def _column(self, feature: Feature, first: int) -> Iterator[tuple[int, Payload]]:
        row = 0
        for table in self._tables([feature.key]):
            for value in cells(table, feature.key):
                if row >= first:
                    stamp = self._times[row]
                    until = self._times[row + 1] if row + 1 < len(self._times) else stamp + round(SECOND / self._info.fps)
                    yield row, self._payload(feature, value, stamp, until)
                row += 1

    def _payload(self, feature: Feature, value: Any, stamp: int, until: int) -> Payload:
        where = f"{self.path}: '{feature.key}' of episode {self.number} at {(stamp - BEGINNING_NS) / SECOND:.3f} s"
        if feature.dtype == "string":
            return Text(value if isinstance(value, str) else "")
        if feature.dtype == "image":
            data = value.get("bytes") if isinstance(value, dict) else None
            if not isinstance(data, bytes):
                raise RecordingError(f"{where} holds no picture")
            try:
                return decode_image(data)
            except PayloadError as e:
                raise RecordingError(f"{where}: {e}") from None
        numbers = _flat(value)
        if len(numbers) != len(feature.names):
            raise RecordingError(f"{where} has {len(numbers)} values, not {len(feature.names)}")
        values = dict(zip(feature.names, numbers, strict=True))
        if _kind(feature) is Action:
            if not all(map(math.isfinite, numbers)):
                raise RecordingError(f"{where} is no action: a value of it is not finite")
            return Action("joints", until, values)
        return RobotState(values)

    def _film(self, key: str, first: int) -> Iterator[tuple[int, Payload]]:
        """For each row, the frame nearest to its time."""
        chunk, file, start = (self._row.get(f"videos/{key}/{w}") for w in ("chunk_index", "file_index", "from_timestamp"))
        if type(chunk) is not int or type(file) is not int or not isinstance(start, int | float) or not 0 <= start < 1e9:
            raise RecordingError(f"{self.path}: episode {self.number} does not say where its '{key}' lies")
        path = self._info.path(self._info.video_path, chunk, file, key)
        wanted = [round(Fraction(start) * SECOND) + t for t in self._times]
        near = round(SECOND / self._info.fps) // 2 + 1
        row = first
        with open_container(path) as container:
            if not container.streams.video:
                raise RecordingError(f"{path} holds no video")
            if row < len(wanted):
                seek(container, max(0, (wanted[row] - BEGINNING_NS) // 1000 - 1), str(path))
            before: tuple[int, Any] | None = None
            for shown, frame in timed(container, prepared(container), str(path), zero_us=0):
                while row < len(wanted) and wanted[row] <= shown:
                    best = min((c for c in (before, (shown, frame)) if c), key=lambda c: abs(c[0] - wanted[row]))
                    if abs(best[0] - wanted[row]) > near:
                        break
                    yield row, frame_of(best[1])
                    row += 1
                if row == len(wanted) or shown > wanted[row] + near:
                    break
                before = shown, frame
            if row < len(wanted) and before is not None and abs(before[0] - wanted[row]) <= near:
                yield row, frame_of(before[1])
                row += 1
        if row < len(wanted):
            late = (self._times[row] - BEGINNING_NS) / SECOND
            raise RecordingError(f"{path} has no frame for episode {self.number} at {late:.3f} s")

    def _read_times(self) -> tuple[list[int], list[int]]:
        times: list[int] = []
        tasks: list[int] = []
        for table in self._tables(["timestamp", "frame_index", "task_index"]):
            for t, number in zip(cells(table, "timestamp"), cells(table, "frame_index"), strict=True):
                times.append(self._time(t, number, times[-1] if times else -1))
            held = cells(table, "task_index") if "task_index" in table.column_names else [0] * table.num_rows
            tasks += [t if type(t) is int else 0 for t in held]
            if len(times) > _MOST_ROWS:
                raise RecordingError(f"{self.path}: episode {self.number} has more than {_MOST_ROWS} rows")
        if not times:
            raise RecordingError(f"{self.path}: episode {self.number} has no rows")
        return times, tasks

    def _time(self, said: Any, number: Any, last: int) -> int:
        """In ns. A timestamp has 24 bits; where it is the frame's number over `fps`, as it should be, that is exact."""
        where = f"{self.path}: a timestamp of episode {self.number}"
        if not isinstance(said, int | float) or not math.isfinite(said) or not 0 <= said < 1e8 or type(number) is not int:
            raise RecordingError(f"{where} is {str(said)[:40]}, which is no time")
        at = BEGINNING_NS + round(Fraction(said) * SECOND)
        even = BEGINNING_NS + round(Fraction(number) * SECOND / Fraction(self._info.fps))
        at = even if abs(even - at) <= max(100_000, at >> 22) else at
        if at <= last:
            raise RecordingError(f"{where} does not rise: {said} s comes after {(last - BEGINNING_NS) / SECOND} s")
        return at

    def _tables(self, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of the episode, in order, by row group."""
        import pyarrow.compute

        chunk, file = self._row.get("data/chunk_index"), self._row.get("data/file_index")
        if type(chunk) is not int or type(file) is not int:
            raise RecordingError(f"{self.path}: episode {self.number} does not say where its data lie")
        path = self._info.path(self._info.data_path, chunk, file)
        needed = ["episode_index", *(c for c in columns if c != "task_index")]
        for table in tables_in(path, ["episode_index", *columns], needed):
            compute: Any = pyarrow.compute
            yield table.filter(compute.equal(table.column("episode_index"), self.number))


def _kind(feature: Feature) -> type:
    if feature.dtype in ("video", "image"):
        return VideoFrame
    if feature.dtype == "string":
        return Text
    return Action if feature.key == "action" or feature.key.startswith("action.") else RobotState


def _flat(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for inner in value for number in _flat(inner)]
    return [float(value) if isinstance(value, int | float) else math.nan]


def _row_of(folder: Path, number: str) -> Mapping[str, Any]:
    """The episode's row of the table of episodes."""
    paths = sorted((folder / "meta" / "episodes").glob("*/*.parquet"))
    if not paths:
        raise RecordingError(f"{folder}: there is no table of its episodes in meta/episodes")
    if number and (not number.isdecimal() or len(number) > 12):
        raise RecordingError(f"{folder}: '{number[:40]}' is no episode; write its number, as in {folder}#0")
    count = 0
    found: Mapping[str, Any] | None = None
    for path in paths:
        for table in tables_in(path, _without_stats(path), ["episode_index"]):
            numbers = cells(table, "episode_index")
            count += len(numbers)
            if found is None and (not number or int(number) in numbers):
                found = {
                    n: cells(table.slice(numbers.index(int(number)) if number else 0, 1), n)[0] for n in table.column_names
                }
    if not number and count > 1:
        raise RecordingError(f"{folder} holds {count} episodes; name one of them, as in {folder}#0")
    if found is None or type(found["episode_index"]) is not int:
        raise RecordingError(f"{folder} has no episode {number or 0}; it holds {count}")
    return found


def _without_stats(path: Path) -> list[str]:
    return [c for c in columns_of(path) if not c.startswith("stats/")]
