"""What a recording's streams become in a table of rows at an even rate: the newest of each at the row's time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import SECOND, Action, Command, Imu, Payload, Pose, RobotState, Text, Transcript
from omnistream.record.playable import Playable

__all__ = ["NUMBERS", "WORDS", "Series", "key_of", "series_of", "words_of"]

#: Payloads that become numbers, and those that say what was asked, the best first.
NUMBERS = (RobotState, Action, Imu, Pose)
WORDS = (Command, Transcript, Text)
#: Units of what ends when its action has: at rest it is 0. Everything else stays where it was put.
_RATES = ("mps", "radps", "dps", "mps2", "radps2")


@dataclass(slots=True)
class Series:
    """Values by name, each with the times at which they came; `until` is when an action's values cease to hold."""

    key: str
    stamps: list[int] = field(default_factory=list)
    values: list[Mapping[str, float]] = field(default_factory=list)
    until: list[int] = field(default_factory=list)

    def rows(self, names: Sequence[str], times: Sequence[int]) -> np.ndarray:
        """(len(times), len(names)) float32. Raises RecordingError for a value that is not finite."""
        table = np.zeros((len(times), len(names)), np.float32)
        held: dict[str, tuple[float, int]] = {}
        done = 0
        for row, at in enumerate(times):
            newest = bisect_right(self.stamps, at)
            for i in range(done, newest):
                if self.until and not self.values[i]:  # a stop
                    held = {n: (v, 0) for n, (v, _) in held.items()}
                held |= {n: (v, self.until[i] if self.until else 1 << 62) for n, v in self.values[i].items()}
            done = max(done, newest)
            for column, name in enumerate(names):
                value, until = held.get(name, (0.0, 0))
                if until > at or not name.rpartition("_")[2].endswith(_RATES):
                    table[row, column] = value
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            late = (times[bad[0][0]] - times[0]) / SECOND
            raise RecordingError(
                f"'{self.key}': {names[bad[0][1]]} is not finite {late:.3f} s after the first row; leave it out"
            )
        return table

    def names(self) -> list[str]:
        """In the order in which they first came."""
        return list(dict.fromkeys(name for values in self.values for name in values))


def key_of(topic: str) -> str:
    """A stream's name as a feature may be called: "/camera/image_raw" is camera.image_raw, "arm.out" is arm."""
    name = topic.removesuffix(".out").strip("/").replace("/", ".")
    return name.removeprefix("observation.images.").removeprefix("observation.")


def series_of(file: Playable, topics: Mapping[str, type]) -> dict[str, Series]:
    """The numbers of each of the streams, by feature: states, actions, and each IMU and pose by itself."""
    found: dict[str, Series] = {}
    kinds = list(topics.values())
    for topic, kind in sorted(topics.items()):
        if kind in (RobotState, Action):
            key = "action" if kind is Action else _state_key(topic)
            prefix = f"{key_of(topic)}." if key in ("action", "observation.state") and kinds.count(kind) > 1 else ""
        else:
            key, prefix = f"observation.{key_of(topic)}", ""
        one = Series(key)
        for message in file.messages(topic):
            if not isinstance(message.payload, kind):
                continue
            values, until = _numbers(message.payload)
            one.stamps.append(message.stamp_ns)
            one.values.append({prefix + n: v for n, v in values.items()})
            if kind is Action:
                one.until.append(until)
        found[key] = _merged(key, found[key], one) if key in found else one
    return {k: s for k, s in found.items() if s.names()}


def _state_key(topic: str) -> str:
    """What is called as LeRobot calls it stays so; all other states of a robot are one vector."""
    return topic if topic.startswith(("observation.", "next.")) and "/" not in topic else "observation.state"


def _merged(key: str, a: Series, b: Series) -> Series:
    until = zip(a.stamps + b.stamps, a.values + b.values, (a.until + b.until) or [0] * len(a.stamps + b.stamps), strict=True)
    rows = sorted(until, key=lambda row: row[0])
    return Series(key, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows] if a.until or b.until else [])


def _numbers(payload: Payload) -> tuple[Mapping[str, float], int]:
    match payload:
        case RobotState(values=values):
            return values, 0
        case Action(values=values, valid_until_ns=until, kind=kind):
            return ({} if kind == "stop" else values), until
        case Imu(acceleration_mps2=pushed, angular_rate_radps=turning):
            named = zip(("acceleration_{}_mps2", "angular_rate_{}_radps"), (pushed, turning), strict=True)
            return {n.format(axis): v for n, three in named for axis, v in zip("xyz", three, strict=True)}, 0
        case Pose(position_m=place, orientation_xyzw=turned):
            return dict(zip(("x_m", "y_m", "z_m", "qx", "qy", "qz", "qw"), (*place, *turned), strict=True)), 0
        case _:
            return {}, 0


def words_of(file: Playable, topics: Mapping[str, type]) -> tuple[list[int], list[str]]:
    """What was asked and when, of the best kind that the recording has."""
    best = next((kind for kind in WORDS if kind in topics.values()), None)
    said: list[tuple[int, str]] = []
    for topic, kind in topics.items():
        if kind is best:
            said += [(m.stamp_ns, text) for m in file.messages(topic) if (text := _words(m.payload))]
    said.sort()
    return [s for s, _ in said], [t for _, t in said]


def _words(payload: Payload) -> str:
    match payload:
        case Command(text=text, rejected=rejected):
            return "" if rejected else text.strip()
        case Transcript(text=text, final=final):
            return text.strip() if final else ""
        case Text(text=text):
            return text.strip()
        case _:
            return ""
