"""A folder of weights that were trained here: each file has the digest that its description gives. Nothing here needs torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from omnistream.errors import ModelError

__all__ = ["digests", "folder_of", "shipped_folder", "verified_bytes"]


def shipped_folder(name: str) -> Path:
    """The folder that ships with OmniStream."""
    return Path(__file__).resolve().parent / "weights" / name


def folder_of(name: str, where: str) -> Path:
    """The folder that somebody wrote: "shipped" is the one of `name` that ships with OmniStream."""
    return shipped_folder(name) if where == "shipped" else Path(where).expanduser()


def digests(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """The sha256 of each file."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}


def verified_bytes(path: Path, sha256: Mapping[str, str], described: str, train: str) -> bytes:
    """A file's bytes, which have the digest that is `described` for its name.

    Raises ModelError where it is missing or another; `train` is the command that makes it.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: the weights cannot be read ({e.strerror}); '{train}' makes them") from e
    if hashlib.sha256(data).hexdigest() != sha256.get(path.name):
        raise ModelError(f"{path}: its sha256 is not the one in {described}; it is not used. Fetch it again, or '{train}'")
    return data
