"""Messages: what crosses an edge, and the closed set of payloads that a message can carry.

All times are integer nanoseconds of run time (DESIGN section 3). Arrays are numpy, read-only by convention,
and never copied without need; inside a worker they may be torch tensors (tensor.py). Payloads are frozen dataclasses;
those with arrays compare by identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

__all__ = [
    "INFINITY",
    "MS",
    "PAYLOADS",
    "SECOND",
    "Action",
    "AudioChunk",
    "Caption",
    "Command",
    "Detections",
    "Event",
    "Features",
    "Gesture",
    "Imu",
    "Message",
    "Origin",
    "Payload",
    "Pose",
    "RobotState",
    "Text",
    "Transcript",
    "VideoFrame",
    "Window",
]

MS = 1_000_000
SECOND = 1_000_000_000
#: The bound of a stream that has ended: no stamp is as large.
INFINITY = 1 << 62

#: Identity of an effect (rule 24): ``(port, parent, k)``; at a source ``(stream, epoch, seq)``. Nested tuples of str and int.
Origin = tuple[Any, ...]
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One image. `image` is (H, W, 3) uint8 RGB, or (H, W) uint8 grey, or (H, W) uint16 depth in millimetres."""

    image: np.ndarray
    encoding: str = "rgb8"


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Mono samples, (N,) int16. The message is stamped at the chunk's end and its `start_ns` is the first sample."""

    samples: np.ndarray
    rate_hz: int = 16000

    @property
    def duration_ns(self) -> int:
        return len(self.samples) * SECOND // self.rate_hz


@dataclass(frozen=True, slots=True)
class Text:
    """Typed text, one command or sentence."""

    text: str
    lang: str = "en"


@dataclass(frozen=True, slots=True)
class Command:
    """An intent with its slots; `start_ns`..`end_ns` is the span in which it was said (equal for typed text).

    `intent` is a name of the grammar, or ``"none"`` with the reason in `rejected` (never a guess).
    `values` holds numbers in SI units under names with units, such as ``distance_m`` or ``angle_rad``.
    """

    intent: str
    text: str
    slots: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 1.0
    rejected: str = ""
    start_ns: int = 0
    end_ns: int = 0
    lang: str = "en"


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Encoder output, (T, D) float32; row i covers `hop_ns` of input, the last row ends at the message's stamp."""

    data: np.ndarray
    hop_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects in one image: `boxes` (N, 4) float32 as x0 y0 x1 y1 in pixels, `scores` (N,) float32 in 0..1."""

    boxes: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Gesture:
    """What a hand shows: point_left, point_right, point_up, open_palm, thumbs_up or none (as the person sees it).

    `landmarks` is (21, 3) float32 in image coordinates 0..1 (z relative to the wrist), or None.
    """

    name: str
    confidence: float = 1.0
    hand: str = ""
    landmarks: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """Recognized speech. Partials share `utterance` with rising `rev`; the last of them is `final`."""

    text: str
    final: bool
    utterance: int = 0
    rev: int = 0
    start_ns: int = 0
    end_ns: int = 0
    confidence: float = 1.0
    lang: str = "en"


@dataclass(frozen=True, slots=True)
class Action:
    """Something for a robot to do until `valid_until_ns` (run time; `INFINITY` never expires, as a stop does).

    `kind`: stop, velocity, or a skill such as forward, turn, pick, place, gripper, look, home, wave, wait, follow.
    `values`: finite numbers whose names carry their units, such as ``x_mps``, ``yaw_radps``, ``distance_m``.
    """

    kind: str
    valid_until_ns: int
    values: Mapping[str, float] = field(default_factory=dict)
    target: str = ""
    text: str = ""
    chunk_index: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """Text for a person to read. Revisions of one caption share `id`; the last one is `final`."""

    id: str
    text: str
    final: bool = True
    rev: int = 0
    start_ns: int = 0
    end_ns: int = 0
    lang: str = "en"
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Pose:
    """Position in metres and orientation as a unit quaternion (x, y, z, w) in the coordinate frame `frame`."""

    position_m: tuple[float, float, float]
    orientation_xyzw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    frame: str = "map"


@dataclass(frozen=True, slots=True)
class RobotState:
    """Named readings of a robot, with units in their names: ``arm_wrist_rad``, ``battery_v``."""

    values: Mapping[str, float] = field(default_factory=dict)
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Imu:
    """Inertial reading in the sensor's frame: acceleration in m/s^2, angular rate in rad/s."""

    acceleration_mps2: tuple[float, float, float]
    angular_rate_radps: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Event:
    """A named happening: a tick, a button, a fault. `data` holds str, int, float, bool, None, lists and maps of them."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


Payload = (
    VideoFrame | AudioChunk | Text | Command | Features | Detections | Gesture | Transcript
    | Action | Caption | Pose | RobotState | Imu | Event
)  # fmt: skip
#: Every payload type by its name on the wire.
PAYLOADS: dict[str, type] = {
    t.__name__: t
    for t in (
        VideoFrame, AudioChunk, Text, Command, Features, Detections, Gesture, Transcript,
        Action, Caption, Pose, RobotState, Imu, Event,
    )
}  # fmt: skip

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Message(Generic[T]):
    """One payload on one stream. Not frozen, because a frozen one costs three times as much to make; never assigned to.

    `stream` names an output port, "node.port". `seq` counts from 0 in each `epoch` of the stream.
    `lineage` gives, per source stream, the newest stamp of all that led here. `packed` is how the payload crosses to other
    workers, where that has been made already.
    """

    stream: str
    epoch: int
    seq: int
    origin: Origin
    stamp_ns: int
    cause_ns: int
    deadline_ns: int
    lineage: Mapping[str, int]
    payload: T
    start_ns: int | None = None
    packed: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Window(Generic[T]):
    """The messages of [start_ns, end_ns) on one port, in order. `complete` is False where the input ended inside it.

    Audio is cut at the window's edges, to the sample.
    """

    start_ns: int
    end_ns: int
    messages: tuple[Message[T], ...]
    complete: bool = True

    def __iter__(self) -> Iterator[T]:
        return (m.payload for m in self.messages)

    def __len__(self) -> int:
        return len(self.messages)
