"""The tables and words of a LeRobotDataset v3, with every size and name checked before it is used.

Source: lerobot 0.4 to 0.6, ``lerobot/datasets`` (codebase version v3.0). A dataset comes from anybody: its paths are templates,
filled here by hand (never by `str.format`), and may not lead out of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError

__all__ = ["DATA_PATH", "VIDEO_PATH", "Feature", "Info", "arrow", "cells", "columns_of", "read_info", "read_tasks", "tables_in"]

_MOST_JSON = 64 << 20
_MOST_FEATURES = 1000
_MOST_VALUES = 100_000
_MOST_GROUP_BYTES = 1 << 30
_NAME = re.compile(r"[^/\\\0]{1,200}")
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


@dataclass(frozen=True, slots=True)
class Feature:
    """A column: its type ("video", "depth", "image", "string" or a number's), and the names of its values."""

    key: str
    dtype: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Info:
    """What meta/info.json says."""

    folder: Path
    fps: float
    features: Mapping[str, Feature]
    data_path: str
    video_path: str

    def path(self, template: str, chunk: int, file: int, key: str = "") -> Path:
        """A file of the dataset. Raises RecordingError where its template leads out of it, or has other words."""

        def fill(found: re.Match[str]) -> str:
            values: dict[str, int | str] = {"chunk_index": chunk, "file_index": file, "video_key": key}
            value = values.get(found[1])
            if value is None:
                raise RecordingError(f"{self.folder}: its paths hold '{found[0][:40]}', which LeRobotDataset v3 has not")
            return f"{value:0{int(found[2] or 0)}d}" if isinstance(value, int) else value

        path = self.folder / re.sub(r"\{(\w{1,40})(?::0?(\d)d)?\}", fill, template)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise RecordingError(f"{self.folder}: its paths lead out of it, to {path}")
        return path


def arrow() -> Any:
    """pyarrow's Parquet. Raises RecordingError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise RecordingError("LeRobotDatasets are read and written with pyarrow: pip install 'omnistream[lerobot]'") from None
    return pyarrow.parquet


def read_info(folder: Path) -> Info:
    """Raises RecordingError for another version, and for what is no such file."""
    place = folder / "meta" / "info.json"
    try:
        if place.stat().st_size > _MOST_JSON:
            raise RecordingError(f"{place} is larger than {_MOST_JSON} bytes, and is not read")
        said: Any = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise RecordingError(f"{place} cannot be read ({str(e)[:100]})") from None
    version = said.get("codebase_version") if isinstance(said, dict) else None
    if not isinstance(version, str) or not version.startswith("v3."):
        raise RecordingError(
            f"{folder} is a LeRobotDataset of version {str(version)[:20]}, and v3.0 is read; convert it with "
            "'python -m lerobot.datasets.v30.convert_dataset_v21_to_v30'"
        )
    fps, features = said.get("fps"), said.get("features")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not math.isfinite(fps) or not 0 < fps <= 100_000:
        raise RecordingError(f"{place}: fps is {str(fps)[:40]}; it must be a number above 0")
    if not isinstance(features, dict) or not 0 < len(features) <= _MOST_FEATURES:
        raise RecordingError(f"{place}: it lists no features, or more than {_MOST_FEATURES}")
    paths = [said.get(k) or d for k, d in (("data_path", DATA_PATH), ("video_path", VIDEO_PATH))]
    if not all(isinstance(p, str) and len(p) < 1000 for p in paths):
        raise RecordingError(f"{place}: data_path and video_path are no texts")
    return Info(folder, float(fps), {str(k): _feature(str(k), v, place) for k, v in features.items()}, paths[0], paths[1])


def _feature(key: str, said: Any, place: Path) -> Feature:
    dtype, shape = (said.get("dtype"), said.get("shape")) if isinstance(said, dict) else (None, None)
    sides = shape if isinstance(shape, list) else []
    sound = all(type(s) is int and 0 <= s < 1 << 31 for s in sides)
    if not _NAME.fullmatch(key) or key in (".", "..") or not isinstance(dtype, str) or not isinstance(shape, list) or not sound:
        raise RecordingError(f"{place}: the feature '{key[:80]}' has no name, dtype and shape that can be")
    if dtype in ("video", "image", "string"):
        about = said.get("info")
        depth = isinstance(about, dict) and any(about.get(k) for k in ("video.is_depth_map", "is_depth_map"))
        return Feature(key, "depth" if depth else dtype, ())
    size = math.prod(sides)
    if size > _MOST_VALUES:
        raise RecordingError(f"{place}: the feature '{key}' has {size} values; at most {_MOST_VALUES} are read")
    names = list(_flat(said.get("names")))
    if len(names) != size or len(set(names)) != size:
        names = [key] if size == 1 else [f"{key}_{i}" for i in range(size)]
    return Feature(key, dtype, tuple(names))


def _flat(names: Any) -> Iterator[str]:
    """Names as lists, or as maps of lists (``{"motors": [...]}``)."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, Mapping):
        for inner in names.values():
            if isinstance(inner, list):
                yield from (n for n in inner if isinstance(n, str))
    elif isinstance(names, list):
        yield from (n for n in names if isinstance(n, str))


def tables_in(path: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[Any]:
    """The row groups of a Parquet file, each with those of `columns` that there are. Raises RecordingError."""
    parquet = arrow()
    import pyarrow as pa

    try:
        with parquet.ParquetFile(path) as file:
            held = set(file.schema_arrow.names)
            lacking = [c for c in needed if c not in held]
            if lacking:
                raise RecordingError(f"{path} has no column '{lacking[0]}'")
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                size = sum(group.column(i).total_uncompressed_size for i in range(group.num_columns))
                if size > _MOST_GROUP_BYTES or group.num_rows > _MOST_GROUP_BYTES:
                    raise RecordingError(f"{path}: a row group of {size} bytes is too large to read")
                yield file.read_row_group(number, columns=[c for c in columns if c in held])
    except (OSError, ValueError, pa.ArrowException, MemoryError) as e:
        why = (str(e).splitlines() or [type(e).__name__])[0]
        raise RecordingError(f"{path} cannot be read ({why[:120]})") from None


def columns_of(path: Path) -> list[str]:
    """The names of a Parquet file's columns. Raises RecordingError."""
    parquet = arrow()
    import pyarrow as pa

    try:
        return list(parquet.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException, MemoryError) as e:
        raise RecordingError(f"{path} cannot be read ({(str(e).splitlines() or [''])[0][:120]})") from None


def cells(table: Any, column: str) -> list[Any]:
    """A column as plain values. Raises RecordingError."""
    import pyarrow as pa

    try:
        return table.column(column).to_pylist()
    except (ValueError, KeyError, pa.ArrowException, MemoryError, OverflowError) as e:
        raise RecordingError(f"the column '{column}' cannot be read ({str(e)[:100]})") from None


def read_tasks(folder: Path) -> dict[int, str]:
    """What was asked of the robot, by its number."""
    path = folder / "meta" / "tasks.parquet"
    if not path.exists():
        return {}
    found: dict[int, str] = {}
    for table in tables_in(path, ["task_index", "task", "__index_level_0__"], ["task_index"]):
        texts = [n for n in table.column_names if n != "task_index"]
        if texts:
            pairs = zip(cells(table, "task_index"), cells(table, texts[0]), strict=True)
            found |= {number: text for number, text in pairs if type(number) is int and isinstance(text, str)}
    return found
