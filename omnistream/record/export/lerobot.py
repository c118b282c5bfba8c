"""Recordings as a LeRobotDataset v3 (codebase version v3.0), an episode each, as lerobot 0.4 to 0.6 loads and trains on.

Streams have times of their own, rows an even rate. Row k stands for the moment half a row after its nominal time, and holds
the newest of every stream by then, so that a camera at about the rate of the rows has each of its frames in a row of its own,
and nothing is from later than anything else in its row.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import SECOND, VideoFrame
from omnistream.record.export.columns import NUMBERS, WORDS, Series, key_of, series_of, words_of
from omnistream.record.export.lerobot_tables import rows_table, tasks_table
from omnistream.record.export.lerobot_video import feature_of, write_video
from omnistream.record.export.statistics import Pixels, of_numbers
from omnistream.record.foreign.dataset import DATA_PATH, VIDEO_PATH, arrow
from omnistream.record.playable import Playable

__all__ = ["Exported", "export_lerobot"]

_CHUNK = 1000  # files in a folder
_MOST_ROWS = 5_000_000
_DEFAULT = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of the recordings: rows of each episode, features, and what was left out."""

    lengths: list[int]
    features: list[str]
    left_out: list[str]
    fps: int


@dataclass(slots=True)
class _Streams:
    """A recording's streams by what becomes of them."""

    file: Playable
    cameras: dict[str, str]  # feature -> topic
    numbers: dict[str, type]
    words: dict[str, type]
    left_out: list[str]


@dataclass(slots=True)
class _Episode:
    """One recording, resampled."""

    tables: dict[str, np.ndarray] = field(default_factory=dict)
    pixels: dict[str, Pixels] = field(default_factory=dict)


def export_lerobot(
    files: Sequence[Playable], out: str | Path, *, fps: int | None = None, task: str | None = None, only: Sequence[str] = ()
) -> Exported:
    """Write the recordings as episodes of a dataset in a directory that is not there yet.

    `fps`: None is the first camera's own. `task`: None is what was asked last (commands, else speech, else texts). `only`:
    these streams. Raises RecordingError where there is nothing to write, or the recordings do not go together.
    """
    parquet = arrow()
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecordingError(f"{folder} is there already; name a directory that is not")
    streams = [_sorted(file, only) for file in files]
    rate = fps or _rate_of(streams[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = _Writer(folder, rate, parquet)
        for one in streams:
            writer.episode(one, task)
        writer.finish()
    except OSError as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise RecordingError(f"{folder} cannot be written ({e.strerror or e}); name a directory with room") from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    left = sorted({topic for one in streams for topic in one.left_out})
    return Exported(writer.lengths, list(writer.features), left, rate)


def _sorted(file: Playable, only: Sequence[str]) -> _Streams:
    held = file.streams()
    wanted = {t: k for t, k in held.items() if not only or t in only or t.removesuffix(".out") in only}
    strange = [n for n in only if n not in held and f"{n}.out" not in held]
    if strange:
        raise RecordingError(f"{file.path} has no stream '{strange[0]}'; it has {', '.join(sorted(held)) or 'none'}")
    found = _Streams(file, {}, {}, {}, [])
    for topic, kinds in sorted(wanted.items()):
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        if kind is VideoFrame and _is_picture(file, topic):
            found.cameras[f"observation.images.{key_of(topic)}"] = topic
        elif kind in NUMBERS:
            found.numbers[topic] = kind
        elif kind in WORDS:
            found.words[topic] = kind
        else:
            found.left_out.append(topic)
    if not found.cameras and not found.numbers:
        raise RecordingError(
            f"{file.path} has neither pictures nor numbers for a dataset; it has {', '.join(held) or 'no streams'}"
        )
    return found


def _is_picture(file: Playable, topic: str) -> bool:
    first = next(file.messages(topic), None)
    return first is not None and isinstance(first.payload, VideoFrame) and first.payload.image.dtype == np.uint8


def _rate_of(streams: _Streams) -> int:
    """Of the first camera, else of the first numbers: from the usual time between messages, whatever jitters or is missing."""
    topic = next(iter([*streams.cameras.values(), *streams.numbers]))
    stamps = list(islice(streams.file.stamps(topic), 120))
    apart = sorted(b - a for a, b in pairwise(stamps))
    if not apart:
        raise RecordingError(f"{streams.file.path}: '{topic}' has one message only; say how many rows a second with --fps")
    usual = [t for t in apart if abs(2 * t - 2 * apart[len(apart) // 2]) <= apart[len(apart) // 2]]
    return min(1000, max(1, round(SECOND * len(usual) / sum(usual))))


class _Writer:
    """Writes a dataset: videos as the episodes come, the tables at the end."""

    def __init__(self, folder: Path, fps: int, parquet: Any) -> None:
        self._folder, self._fps, self._parquet = folder, fps, parquet
        self.features: dict[str, dict[str, Any]] = {}
        self.lengths: list[int] = []
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._columns: list[dict[str, np.ndarray]] = []
        self._pixels: dict[str, Pixels] = {}

    def episode(self, streams: _Streams, task: str | None) -> None:
        number = len(self.lengths)
        series = series_of(streams.file, streams.numbers)
        first, last = self._span(streams, series)
        step = Fraction(SECOND, self._fps)
        begin = first + step / 2
        count = int((last - first) / step + Fraction(1, 1000)) + 1  # stamps are rounded to the nanosecond
        if count > _MOST_ROWS:
            raise RecordingError(f"{streams.file.path} would have {count} rows; cut it first ('omnistream record cut')")
        times = [int(begin + k * step) for k in range(count)]
        episode = _Episode()
        for key, topic in streams.cameras.items():
            path = self._folder / VIDEO_PATH.format(video_key=key, chunk_index=number // _CHUNK, file_index=number % _CHUNK)
            shape = write_video(path, streams.file.messages(topic), times, self._fps, episode.pixels.setdefault(key, Pixels()))
            self._feature(key, feature_of(shape, self._fps), streams.file)
        for key, one in series.items():
            names = one.names()
            self._feature(key, {"dtype": "float32", "shape": [len(names)], "names": names}, streams.file)
            episode.tables[key] = one.rows(names, times)
        stamps, words = ([], []) if task is not None else words_of(streams.file, streams.words)
        said = [task or "" if task is not None else words[i - 1] if (i := bisect_right(stamps, t)) else "" for t in times]
        self._keep(number, streams, episode, said)

    def _span(self, streams: _Streams, series: dict[str, Series]) -> tuple[int, int]:
        """From when on every stream has something (but actions, which are 0 before), up to where the first camera ends."""
        starts: list[int] = []
        ends: list[int] = []
        for topic in streams.cameras.values():
            stamps = list(streams.file.stamps(topic))
            starts.append(stamps[0])
            ends.append(stamps[-1])
        starts += [s.stamps[0] for s in series.values() if not s.until]
        starts = starts or [s.stamps[0] for s in series.values()]
        first, last = max(starts), min(ends) if ends else max(s.stamps[-1] for s in series.values())
        if last < first:
            raise RecordingError(f"{streams.file.path}: its streams do not overlap; name those that do with --only")
        return first, last

    def _feature(self, key: str, feature: dict[str, Any], file: Playable) -> None:
        before = self.features.setdefault(key, feature)
        if before["shape"] != feature["shape"] or before["names"] != feature["names"]:
            raise RecordingError(
                f"{file.path}: '{key}' is {feature['shape']} of {feature['names']}, and before it was {before['shape']} of "
                f"{before['names']}; the episodes of a dataset are alike"
            )

    def _keep(self, number: int, streams: _Streams, episode: _Episode, said: list[str]) -> None:
        if self.lengths and (set(episode.tables) | set(episode.pixels)) != set(self.features):
            lacking = sorted(set(self.features) - set(episode.tables) - set(episode.pixels)) or sorted(self.features)
            raise RecordingError(
                f"{streams.file.path} has no '{lacking[0]}', as others have; the episodes of a dataset are alike"
            )
        count, before = len(said), sum(self.lengths)
        rows = np.arange(count)
        own = {
            "timestamp": (rows / self._fps).astype(np.float32),
            "frame_index": rows,
            "episode_index": np.full(count, number),
            "index": rows + before,
            "task_index": np.array([self._tasks.setdefault(s, len(self._tasks)) for s in said]),
        }
        columns = episode.tables | own
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(dict.fromkeys(said)),
            "length": count,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": before,
            "dataset_to_index": before + count,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for key, pixels in episode.pixels.items():
            place = {"chunk_index": number // _CHUNK, "file_index": number % _CHUNK}
            row |= {f"videos/{key}/{k}": v for k, v in place.items()}
            row |= {f"videos/{key}/from_timestamp": 0.0, f"videos/{key}/to_timestamp": count / self._fps}
            row |= {f"stats/{key}/{k}": v for k, v in pixels.statistics().items()}
            self._pixels.setdefault(key, Pixels()).add(pixels)
        for key, table in columns.items():
            row |= {f"stats/{key}/{k}": v for k, v in of_numbers(table.reshape(count, -1)).items()}
        self._episodes.append(row)
        self._columns.append(columns)
        self.lengths.append(count)

    def finish(self) -> None:
        import pyarrow as pa

        stats = {k: p.statistics() for k, p in self._pixels.items()}
        for key in self._columns[0]:
            whole = np.concatenate([c[key] for c in self._columns])
            stats[key] = of_numbers(whole.reshape(len(whole), -1))
        self._write(DATA_PATH.format(chunk_index=0, file_index=0), [rows_table(columns) for columns in self._columns])
        self._write("meta/episodes/chunk-000/file-000.parquet", [pa.Table.from_pylist(self._episodes)])
        self._write("meta/tasks.parquet", [tasks_table(list(self._tasks))])
        self._json("meta/stats.json", stats)
        self._json("meta/info.json", self._info())

    def _info(self) -> dict[str, Any]:
        defaults = {k: {"dtype": d, "shape": [1], "names": None} for k, d in _DEFAULT.items()}
        return {
            "codebase_version": "v3.0",
            "robot_type": None,
            "total_episodes": len(self.lengths),
            "total_frames": sum(self.lengths),
            "total_tasks": len(self._tasks),
            "chunks_size": _CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self.lengths)}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self._pixels else None,
            "features": self.features | defaults,
        }

    def _write(self, place: str, tables: Sequence[Any]) -> None:
        """Each table a row group, as an episode is to lerobot."""
        path = self._folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._parquet.ParquetWriter(path, tables[0].schema, compression="snappy") as writer:
            for table in tables:
                writer.write_table(table)

    def _json(self, place: str, value: Any) -> None:
        (self._folder / place).write_text(json.dumps(value, indent=4, ensure_ascii=False), "utf-8")
