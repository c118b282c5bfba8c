"""ROS 2 messages as they lie in a bag: pictures, IMUs, joints, velocities and texts.

They are read by what they are (OMG DDS-XTypes 1.3, 7.4.3: plain CDR of version 1, which rosbag2 writes), with every length
checked against the bytes there are; the schema in the file is only compared. A schema-driven decoder would believe the
file: one of 100 bytes can claim four thousand million elements.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from omnistream.errors import PayloadError
from omnistream.message import MS, SECOND, Action, Imu, Payload, RobotState, Text, VideoFrame
from omnistream.record.foreign.images import decode_image, raw_frame

__all__ = ["TYPES", "decode", "misfit", "stamp_of", "taken_ns"]

#: Payloads by the name of the schema.
TYPES: dict[str, type] = {
    "sensor_msgs/msg/Image": VideoFrame,
    "sensor_msgs/msg/CompressedImage": VideoFrame,
    "sensor_msgs/msg/Imu": Imu,
    "sensor_msgs/msg/JointState": RobotState,
    "geometry_msgs/msg/Twist": Action,
    "geometry_msgs/msg/TwistStamped": Action,
    "std_msgs/msg/String": Text,
}
#: Of these no header says when they were.
_BARE = ("std_msgs/msg/String", "geometry_msgs/msg/Twist")
#: A velocity that is not renewed holds so long, as for a robot's watchdog (DESIGN, section 8).
_VELOCITY_NS = 500 * MS
_FIELDS: dict[str, str] = {
    "sensor_msgs/Image": (
        "Header header, uint32 height, uint32 width, string encoding, uint8 is_bigendian, uint32 step, uint8[] data"
    ),
    "sensor_msgs/CompressedImage": "Header header, string format, uint8[] data",
    "sensor_msgs/Imu": (
        "Header header, Quaternion orientation, float64[9] orientation_covariance, Vector3 angular_velocity, "
        "float64[9] angular_velocity_covariance, Vector3 linear_acceleration, float64[9] linear_acceleration_covariance"
    ),
    "sensor_msgs/JointState": "Header header, string[] name, float64[] position, float64[] velocity, float64[] effort",
    "geometry_msgs/Twist": "Vector3 linear, Vector3 angular",
    "geometry_msgs/TwistStamped": "Header header, Twist twist",
    "std_msgs/String": "string data",
    "std_msgs/Header": "Time stamp, string frame_id",
    "builtin_interfaces/Time": "int32 sec, uint32 nanosec",
    "geometry_msgs/Quaternion": "float64 x, float64 y, float64 z, float64 w",
    "geometry_msgs/Vector3": "float64 x, float64 y, float64 z",
}
#: A header's stamp further than this before the moment at which it was recorded is not believed (DESIGN, rule 1).
_MAX_SKEW_NS = SECOND
_SLACK_NS = 5 * MS


def misfit(name: str, encoding: str, schema: bytes) -> str:
    """What in a channel's schema is not as ROS 2 has it; empty if nothing is, or nothing can be said of it."""
    if encoding != "ros2msg" or not schema:
        return ""
    parts = re.split(r"^={3,}\s*$", schema.decode("utf-8", "replace"), flags=re.MULTILINE)
    for number, part in enumerate(parts):
        head = re.match(r"\s*MSG: (\S+)", part)
        short = _short(name if number == 0 or head is None else head[1])
        if short in _FIELDS and _fields(part) != _FIELDS[short]:
            return f"its {short} has other fields than ROS 2's: {_fields(part)[:200] or 'none'}"
    return ""


def taken_ns(name: str, data: bytes) -> int | None:
    """The stamp in the message's header; None where it has none. Raises PayloadError."""
    if name in _BARE:
        return None
    cdr = _Cdr(data)
    seconds, rest = cdr.u32(), cdr.u32()
    if seconds >= 1 << 31 or rest >= SECOND:
        return None
    return (seconds * SECOND + rest) or None


def stamp_of(recorded_ns: int, taken: int | None) -> tuple[int, str]:
    """When it happened, and by which clock: the header's stamp, where it lies at most 1 s before the message was recorded."""
    if taken is not None and recorded_ns - _MAX_SKEW_NS <= taken <= recorded_ns + _SLACK_NS:
        return min(taken, recorded_ns), "device"
    return recorded_ns, "arrival"


def decode(name: str, data: bytes, stamp_ns: int = 0) -> Payload:
    """The payload; what it asks for is asked at `stamp_ns`. Raises PayloadError for what is no such message."""
    cdr = _Cdr(data)
    if name == "std_msgs/msg/String":
        return Text(cdr.string())
    if name not in _BARE:
        cdr.header()
    if name.startswith("geometry_msgs/msg/Twist"):
        return _velocity(cdr.floats(6), stamp_ns)
    if name == "sensor_msgs/msg/JointState":
        return _joints(cdr)
    if name == "sensor_msgs/msg/Imu":
        cdr.floats(4 + 9)
        turning, _, pushed, _ = cdr.floats(3), cdr.floats(9), cdr.floats(3), cdr.floats(9)
        return Imu(_three(pushed), _three(turning))
    if name == "sensor_msgs/msg/CompressedImage":
        kind, picture = cdr.string(), cdr.blob()
        if "compressedDepth" in kind:
            picture = picture[12:]  # compressed_depth_image_transport's ConfigHeader
        return decode_image(picture)
    height, width, encoding, big, step = cdr.u32(), cdr.u32(), cdr.string(), cdr.u8(), cdr.u32()
    return raw_frame(cdr.blob(), height, width, step, encoding, big_endian=bool(big))


def _velocity(twist: tuple[float, ...], stamp_ns: int) -> Action:
    names = ("x_mps", "y_mps", "z_mps", "roll_radps", "pitch_radps", "yaw_radps")
    if not all(map(math.isfinite, twist)):
        raise PayloadError(f"a velocity of {twist} cannot be")
    return Action("velocity", stamp_ns + _VELOCITY_NS, dict(zip(names, twist, strict=True)))


def _joints(cdr: _Cdr) -> RobotState:
    """NAME.pos in rad or m (the message does not say of what kind a joint is), and NAME.vel and NAME.effort where told."""
    names = [cdr.string() for _ in range(cdr.count(4))]
    values: dict[str, float] = {}
    for ending in ("pos", "vel", "effort"):
        told = cdr.floats(cdr.count(8))
        if told and len(told) != len(names):
            raise PayloadError(f"it has {len(told)} values of {ending} for {len(names)} joints")
        values |= {f"{name}.{ending}": value for name, value in zip(names, told, strict=False)}
    return RobotState(values)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]


def _short(name: str) -> str:
    return re.sub(r"/msg/", "/", name)


def _fields(text: str) -> str:
    """The fields of a message's definition, without comments, constants, packages and defaults."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and words[0] != "MSG:" and "=" not in " ".join(words[1:]):
            found.append(f"{words[0].rpartition('/')[2]} {words[1]}")
    return ", ".join(found)


class _Cdr:
    """Reads plain CDR; nothing is read past the end, and no length is believed."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 4 or data[0] != 0 or data[1] > 1:
            raise PayloadError(f"a message that begins with {data[:4].hex() or 'nothing'} is not plain CDR of version 1")
        self._data, self._at = data, 4
        self._order = "<" if data[1] else ">"

    def u8(self) -> int:
        return self._take("B", 1)

    def u32(self) -> int:
        return self._take("I", 4)

    def floats(self, count: int) -> tuple[float, ...]:
        return tuple(self._take("d", 8) for _ in range(count))

    def count(self, each: int) -> int:
        """Of the elements of a sequence, of at least `each` bytes."""
        length = self.u32()
        if length * each > len(self._data) - self._at:
            raise PayloadError(f"it claims {length} elements where {len(self._data) - self._at} bytes are left")
        return length

    def header(self) -> None:
        """Passes over a std_msgs/Header."""
        self.u32()
        self.u32()
        self.string()

    def string(self) -> str:
        raw = self.blob()
        try:
            return raw.removesuffix(b"\0").decode()
        except UnicodeDecodeError:
            raise PayloadError("a text in it is not UTF-8") from None

    def blob(self) -> bytes:
        length = self.u32()
        if length > len(self._data) - self._at:
            raise PayloadError(f"it claims {length} bytes where {len(self._data) - self._at} are left")
        self._at += length
        return self._data[self._at - length : self._at]

    def _take(self, code: str, size: int) -> Any:
        at = self._at + (4 - self._at) % size  # aligned to its size, counted from after the first four bytes
        if at + size > len(self._data):
            raise PayloadError(f"it breaks off after {len(self._data)} bytes")
        self._at = at + size
        return struct.unpack_from(self._order + code, self._data, at)[0]
