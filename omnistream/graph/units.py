"""Durations, sizes, shares and addresses as people write them: ``20ms``, ``inf``, ``64MiB``, ``1%``, ``127.0.0.1:9464``."""

from __future__ import annotations

import re
from decimal import Decimal

from omnistream.message import INFINITY

__all__ = [
    "DURATION_PATTERN",
    "SIZE_PATTERN",
    "parse_duration",
    "parse_endpoint",
    "parse_share",
    "parse_size",
    "show_duration",
    "show_size",
]

_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER = r"[0-9]{1,19}(?:\.[0-9]{1,9})?"
DURATION_PATTERN = rf"^(?:{_NUMBER} ?(?:ns|us|ms|s|min)|0|inf)$"
SIZE_PATTERN = rf"^{_NUMBER} ?(?:B|KB|MB|GB|KiB|MiB|GiB)$"


def parse_duration(value: object) -> int:
    """Nanoseconds of a duration; ``inf`` is `INFINITY`. ValueError says what to write instead."""
    if value in (0, "0") and not isinstance(value, bool):
        return 0
    if value in ("inf", float("inf")):
        return INFINITY
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"the duration {value} has no unit; write '{value}ms' or '{value}s'")
    found = re.fullmatch(rf"({_NUMBER}) ?([a-z]+)", value.strip()) if isinstance(value, str) else None
    if found is None or found[2] not in _NS:
        raise ValueError(f"{value!r} is not a duration; write one like '20ms', with ns, us, ms, s or min, or 'inf'")
    ns = int(Decimal(found[1]) * _NS[found[2]])
    if ns >= INFINITY:
        raise ValueError(f"{value!r} is longer than OmniStream can count (146 years); write 'inf' for no end")
    return ns


def show_duration(ns: int) -> str:
    """The shortest way to write a duration that `parse_duration` reads back exactly."""
    if ns >= INFINITY:
        return "inf"
    unit = next((u for u in ("min", "s", "ms", "us") if ns and ns % _NS[u] == 0), "ns")
    return f"{ns // _NS[unit]}{unit}" if ns else "0"


def parse_size(value: object) -> int:
    """Bytes of a size: a whole number, or one with a unit. ValueError says what to write instead."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        found = re.fullmatch(rf"({_NUMBER}) ?([A-Za-z]+)", value.strip()) if isinstance(value, str) else None
        if found is None or found[2] not in _BYTES:
            raise ValueError(f"{value!r} is not a size; write bytes, or one like '64MiB' ({', '.join(_BYTES)})")
        size = int(Decimal(found[1]) * _BYTES[found[2]])
    if not 0 < size <= 1 << 40:
        raise ValueError(f"the size {value!r} is not between 1 byte and 1 TiB")
    return size


def show_size(size: int) -> str:
    """A size in its largest whole binary unit."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if size and size % _BYTES[u] == 0), "B")
    return f"{size // _BYTES[unit]}{unit}"


def parse_share(value: str) -> float:
    """A share from 0 to 1, written in percent: ``1%``. ValueError says what to write instead."""
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%", value.strip())
    if found is None or float(found[1]) > 100:
        raise ValueError(f"{value[:40]!r} is no share; write one in percent, such as '1%' or '100%'")
    return float(found[1]) / 100


def parse_endpoint(value: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` (``[::1]:9464`` for IPv6). ValueError says what to write instead."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9][A-Za-z0-9.-]{0,252})):([0-9]{1,5})", value)
    if found is None or int(found[3]) > 65535:
        raise ValueError("write HOST:PORT, such as '127.0.0.1:9464'")
    return found[1] or found[2], int(found[3])
