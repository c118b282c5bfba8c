"""Golden files: what a replay gave, to compare later ones with. A text, for people and for git: a line for each message.

The first line says what was replayed. Each other one is a JSON map of a message and where it was seen (a sink's port such as
"robot.action", or with `--only` a node's output): stream, stamp, lineage, fields. Of large arrays only a hash is kept.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.link.wire import pack
from omnistream.message import Message
from omnistream.tensor import with_arrays

__all__ = ["About", "Golden", "Plain", "plain_message", "read_golden", "write_golden"]

VERSION = 1
#: Arrays of more bytes are kept as a hash, unless they are compared with a tolerance.
_SMALL = 1024

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class About:
    """What was replayed: comparing with another kind of replay, or another part, would find nothing but that."""

    graph: str = ""
    recording: str = ""
    kind: str = "fresh"
    from_ns: int | None = None
    to_ns: int | None = None
    digest: str = ""


@dataclass(slots=True)
class Golden:
    """The messages by where they were seen, in order."""

    about: About = field(default_factory=About)
    seen: dict[str, list[Plain]] = field(default_factory=dict)

    def add(self, where: str, message: Message[Any], inexact: Mapping[str, float]) -> None:
        self.seen.setdefault(where, []).append(plain_message(message, inexact))


def plain_message(message: Message[Any], inexact: Mapping[str, float]) -> Plain:
    """A message as a golden file has it."""
    payload = with_arrays(message.payload)
    (kind, values), _ = pack(payload)
    names = [f.name for f in dataclasses.fields(payload)]
    shown: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        held = getattr(payload, name)
        shown[name] = _plain_array(held, whole=name in inexact) if isinstance(held, np.ndarray) else value
    return {
        "stream": message.stream,
        "stamp_ns": message.stamp_ns,
        "type": kind,
        "fields": shown,
        "lineage": dict(sorted(message.lineage.items())),
    }


def _plain_array(array: np.ndarray, *, whole: bool) -> Plain:
    data = np.ascontiguousarray(array).tobytes()
    head: dict[str, Any] = {"dtype": array.dtype.str, "shape": list(array.shape)}
    if whole or len(data) <= _SMALL:
        return head | {"base64": base64.b64encode(data).decode()}
    return head | {"blake2b": hashlib.blake2b(data, digest_size=16).hexdigest()}


def write_golden(path: str | Path, golden: Golden) -> None:
    """Raises RecordingError where it cannot be written."""
    head = {"golden": VERSION} | dataclasses.asdict(golden.about)
    lines = [head, *({"at": where} | dict(m) for where, found in sorted(golden.seen.items()) for m in found)]
    try:
        Path(path).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} cannot be written ({error.strerror}); name a file in a folder that exists") from None


def read_golden(path: str | Path) -> Golden:
    """Raises RecordingError for what is no golden file, naming the line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}); make it with --write-golden") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path} is no golden file; make one with --write-golden") from None
    golden = Golden()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value: Any = json.loads(line)
            if number == 1:
                golden.about = _about(value)
            else:
                golden.seen.setdefault(str(value.pop("at")), []).append(_checked(value))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            hint = "; make one with --write-golden" if number == 1 else f" ({type(error).__name__}: {str(error)[:80]})"
            raise RecordingError(f"{path}:{number}: this is no line of a golden file{hint}") from None
    if not text:
        raise RecordingError(f"{path} is empty; make a golden file with --write-golden")
    return golden


def _about(value: Any) -> About:
    if value.pop("golden") != VERSION:
        raise ValueError("another version")
    about = About(**value)
    if not all(isinstance(t, str) for t in (about.graph, about.recording, about.kind, about.digest)):
        raise ValueError("no text")
    return about


def _checked(value: Any) -> Plain:
    ok = isinstance(value["stream"], str) and isinstance(value["stamp_ns"], int) and isinstance(value["type"], str)
    if not ok or not isinstance(value["fields"], dict) or not all(isinstance(s, int) for s in value["lineage"].values()):
        raise ValueError("a field is of another type")
    return value
