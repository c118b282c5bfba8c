"""Two replays side by side: the first message that is not the same, field by field, and what led there."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.observe.brief import at, value_text
from omnistream.record.golden import About, Golden, Plain

__all__ = ["check_about", "difference", "fields_apart"]

_SHOWN = 8


def difference(golden: Golden, now: Golden, inexact: Mapping[str, Mapping[str, float]], start_ns: int, name: str) -> str | None:
    """The first message, by its stamp, that is not as in the golden file, both side by side; None where all are.

    `inexact` is by node. Raises RecordingError where they cannot be compared.
    """
    check_about(golden.about, now.about, name)
    found: list[tuple[int, str, int]] = []
    for where in sorted(golden.seen.keys() | now.seen.keys()):
        pairs = _pairs(golden.seen.get(where, ()), now.seen.get(where, ()))
        for number, (then, here) in enumerate(pairs):
            if then is None or here is None or list(_differences(then, here, inexact)):
                stamps = [m["stamp_ns"] for m in (then, here) if m is not None]
                found.append((min(stamps), where, number))
                break
    if not found:
        return None
    stamp, where, number = min(found)
    then, here = _at(golden, where, number), _at(now, where, number)
    return "\n".join(
        [f"{where}, message {number + 1} at {at(stamp, start_ns)}, is not as in {name}", *_told(then, here, inexact, start_ns)]
    )


def check_about(golden: About, now: About, name: str) -> None:
    """Raises RecordingError where one is of another kind of replay than the other, or of another part."""
    for what, then, here in (("kind", golden.kind, now.kind), ("part", _part(golden), _part(now))):
        if then != here:
            raise RecordingError(f"{name} is of another {what} of replay: of {then}, and this is one of {here}")


def _pairs(one: Sequence[Plain], other: Sequence[Plain]) -> Iterator[tuple[Plain | None, Plain | None]]:
    for i in range(max(len(one), len(other))):
        yield (one[i] if i < len(one) else None), (other[i] if i < len(other) else None)


def _part(about: About) -> str:
    if about.from_ns is None and about.to_ns is None:
        return "the whole"
    return f"{about.from_ns or 0} ns to {'the end' if about.to_ns is None else f'{about.to_ns} ns'}"


def _at(golden: Golden, where: str, number: int) -> Plain | None:
    found = golden.seen.get(where, [])
    return found[number] if number < len(found) else None


def _told(then: Plain | None, here: Plain | None, inexact: Mapping[str, Mapping[str, float]], start_ns: int) -> Iterator[str]:
    """Both side by side, and what led there."""
    rows: list[tuple[str, str, str]] = []
    if then is None or here is None:
        rows.append(("message", _message_text(then), _message_text(here)))
    else:
        for name, a, b in list(_differences(then, here, inexact))[:_SHOWN]:
            times = name == "stamp" or (name.endswith("_ns") and all(type(v) is int and v >= start_ns > 0 for v in (a, b)))
            rows.append((name, at(a, start_ns), at(b, start_ns)) if times else (name, _shown(a), _shown(b)))
    widths = [max(len(row[i]) for row in [("", "golden", ""), *rows]) for i in (0, 1)]
    for name, a, b in [("", "golden", "now"), *rows]:
        yield f"  {name:{widths[0]}}  {a:{widths[1]}}  {b}".rstrip()
    led = {word: _led(message, start_ns) for word, message in (("golden", then), ("now", here)) if message is not None}
    if len(set(led.values())) == 1:
        yield f"  led to by  {next(iter(led.values()))}"
    else:
        yield from (f"  led to by  {text} ({word})" for word, text in led.items())


def _led(message: Plain, start_ns: int) -> str:
    return ", ".join(f"{s} up to {at(t, start_ns)}" for s, t in message["lineage"].items()) or "nothing that was sensed"


class _Said(str):
    """What is to be shown as it is."""

    __slots__ = ()


def _shown(value: Any) -> str:
    return value if isinstance(value, _Said) else repr(value) if isinstance(value, float) else value_text(value)


def _message_text(message: Plain | None) -> str:
    if message is None:
        return "none"
    return f"{message['type']} of {message['stream']}: {value_text(message['fields'])}"


def _differences(then: Plain, here: Plain, inexact: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, Any, Any]]:
    """(what, in the golden file, now) of all that is not the same."""
    for key in ("stream", "stamp_ns", "type"):
        if then[key] != here[key]:
            yield key.removesuffix("_ns"), then[key], here[key]
    tolerances = inexact.get(str(here["stream"]).rpartition(".")[0], {})
    for name in sorted(then["fields"].keys() | here["fields"].keys()):
        yield from _compare(name, then["fields"].get(name), here["fields"].get(name), tolerances.get(name, 0.0))


def fields_apart(then: Plain, here: Plain, inexact: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    """The fields that two payloads of one type differ in, with both values for a person."""
    for name in then["fields"]:
        for path, a, b in _compare(name, then["fields"][name], here["fields"][name], inexact.get(name, 0.0)):
            yield path, _shown(a), _shown(b)


def _compare(path: str, a: Any, b: Any, tolerance: float) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if _is_array(a) and _is_array(b):
            yield from _compare_arrays(path, a, b, tolerance)
            return
        for key in sorted(a.keys() | b.keys()):
            yield from _compare(f"{path}.{key}", a.get(key), b.get(key), tolerance)
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _compare(f"{path}[{i}]", x, y, tolerance)
    elif isinstance(a, float) and isinstance(b, float):
        if not _close(a, b, tolerance):
            yield path, a, b
    elif a != b or type(a) is not type(b):
        yield path, a, b


def _close(a: float, b: float, tolerance: float) -> bool:
    """Equal, or not further apart than `tolerance` (above 1, as a part of the larger one)."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return bool(tolerance) and abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


def _compare_arrays(path: str, a: Plain, b: Plain, tolerance: float) -> Iterator[tuple[str, Any, Any]]:
    if (a["dtype"], a["shape"]) != (b["dtype"], b["shape"]):
        yield path, _Said(f"{a['dtype']} {a['shape']}"), _Said(f"{b['dtype']} {b['shape']}")
        return
    one, other = _array(a), _array(b)
    if one is None or other is None:
        if a != b:
            yield path, _Said(f"{a['dtype']} {a['shape']}, hash {a.get('blake2b')}"), _Said(f"hash {b.get('blake2b')}")
        return
    x, y = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(x - y) <= tolerance * np.maximum(1.0, np.maximum(np.abs(x), np.abs(y)))
    apart = ~((one == other) | (np.isnan(x) & np.isnan(y)) | (near & (tolerance > 0)))
    if apart.any():
        first = int(np.argmax(apart))
        place = ", ".join(str(int(i)) for i in np.unravel_index(first, tuple(a["shape"])))
        many = f" ({int(apart.sum())} of {apart.size} differ)"
        yield f"{path}[{place}]", _Said(f"{x[first]:.6g}{many}"), _Said(f"{y[first]:.6g}")


def _is_array(value: Plain) -> bool:
    return {"dtype", "shape"} <= value.keys() <= {"dtype", "shape", "base64", "blake2b"}


def _array(value: Plain) -> np.ndarray | None:
    try:
        found = np.frombuffer(base64.b64decode(value["base64"], validate=True), np.dtype(value["dtype"]))
        return found if found.size == math.prod(value["shape"]) else None
    except (KeyError, ValueError, TypeError, binascii.Error):
        return None
