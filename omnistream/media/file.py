"""A media file that nothing outside of it is read for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["open_file"]


#: To open it, and for each read: a path may be a pipe, or on a disk that is away.
_OPEN_SECONDS, _READ_SECONDS = 8.0, 5.0


def open_file(path: str | Path, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open it, with more of FFmpeg's `options`. A playlist may name files, and nothing on the network.

    Raises av.error.FFmpegError.
    """
    import av

    return av.open(
        f"file:{Path(path).expanduser()}",
        options={"protocol_whitelist": "file,crypto,data"} | dict(options or {}),
        timeout=(_OPEN_SECONDS, _READ_SECONDS),
    )
