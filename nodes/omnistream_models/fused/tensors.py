"""Arrays by name in the safetensors format: eight bytes of header length, a JSON header, raw little-endian data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError

__all__ = ["parse", "read", "write"]

_KINDS = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32}
_MOST_HEADER = 1 << 20


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str] | None = None) -> None:
    """Write `arrays` of float16, float32, float64, int32 or int64, whole or not at all; `about` are words that go with them."""
    header: dict[str, Any] = {"__metadata__": dict(about or {})}
    names = {np.dtype(kind): name for name, kind in _KINDS.items()}
    parts, at = list[bytes](), 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.writelines(parts)
    part.replace(path)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the words that go with them. Raises ModelError where the file is none of ours, or cut short."""
    try:
        return parse(path.read_bytes())
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror})") from e
    except ModelError as e:
        raise ModelError(f"{path}: {e}") from None


def parse(raw: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The same of a file's bytes."""
    try:
        length = int.from_bytes(raw[:8], "little")
        if length > _MOST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(raw[8 : 8 + length])
        about = header.pop("__metadata__", {})
        data, arrays = memoryview(raw)[8 + length :], dict[str, np.ndarray]()
        for name, entry in header.items():
            kind, (start, end) = np.dtype(_KINDS[entry["dtype"]]), entry["data_offsets"]
            if end > len(data) or end - start != math.prod(entry["shape"]) * kind.itemsize:
                raise ValueError(f"'{name}' does not fit")
            arrays[name] = np.frombuffer(data[start:end], kind).reshape(entry["shape"]).copy()
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelError(f"this is no whole safetensors file ({e}); train it again or take the one that ships") from e
    return arrays, about
