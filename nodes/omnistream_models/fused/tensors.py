"""Arrays by name in a safetensors file, whole or not at all, with words that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from omnistream.errors import ModelError

__all__ = ["parse", "read", "write"]

_WRONG = "this is no whole safetensors file ({}); train it again or take the one that ships"


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str] | None = None) -> None:
    """Write `arrays` and the words `about` them."""
    from safetensors.numpy import save_file

    part = path.with_name(f".{path.name}.part")
    save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, part, dict(about or {}))
    part.replace(path)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the words that go with them. Raises ModelError where the file cannot be read, or is cut short."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  no mapping
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except SafetensorError as e:
        raise ModelError(f"{path}: {_WRONG.format(e)}") from e


def parse(raw: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file's bytes. Raises ModelError where they are cut short."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(raw)
    except SafetensorError as e:
        raise ModelError(_WRONG.format(e)) from e
