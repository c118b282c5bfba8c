"""Other people's recordings, made by other people's writers: ROS 2 bags by mcap-ros2-support, videos by FFmpeg."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.message import MS, SECOND

T0 = 1_700_000_000 * SECOND
_BAR = "=" * 80

HEADER = "builtin_interfaces/Time stamp\nstring frame_id\n"
TIME = "int32 sec\nuint32 nanosec\n"
IMAGE = f"""# This message contains an uncompressed image
std_msgs/Header header # timestamp
uint32 height
uint32 width
string encoding  # Encoding of pixels
uint8 is_bigendian
uint32 step
uint8[] data
{_BAR}
MSG: std_msgs/Header
{HEADER}{_BAR}
MSG: builtin_interfaces/Time
{TIME}"""
COMPRESSED = f"std_msgs/Header header\nstring format\nuint8[] data\n{_BAR}\nMSG: std_msgs/Header\n{HEADER}"
IMU = f"""std_msgs/Header header
geometry_msgs/Quaternion orientation
float64[9] orientation_covariance # Row major about x, y, z axes
geometry_msgs/Vector3 angular_velocity
float64[9] angular_velocity_covariance
geometry_msgs/Vector3 linear_acceleration
float64[9] linear_acceleration_covariance
{_BAR}
MSG: geometry_msgs/Quaternion
float64 x 0
float64 y 0
float64 z 0
float64 w 1
{_BAR}
MSG: geometry_msgs/Vector3
float64 x
float64 y
float64 z
{_BAR}
MSG: std_msgs/Header
{HEADER}"""
STRING = "string data\n"
VECTOR = f"{_BAR}\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n"
JOINT = "string[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n"
JOINTS = f"std_msgs/Header header\n{JOINT}{_BAR}\nMSG: std_msgs/Header\n{HEADER}"
TWIST = f"Vector3  linear\nVector3  angular\n{VECTOR}"
TWIST_STAMPED = (
    f"std_msgs/Header header\nTwist twist\n{_BAR}\nMSG: geometry_msgs/Twist\n{TWIST}{_BAR}\nMSG: std_msgs/Header\n{HEADER}"
)
TYPES = {
    "sensor_msgs/msg/Image": IMAGE,
    "sensor_msgs/msg/CompressedImage": COMPRESSED,
    "sensor_msgs/msg/Imu": IMU,
    "sensor_msgs/msg/JointState": JOINTS,
    "geometry_msgs/msg/Twist": TWIST,
    "geometry_msgs/msg/TwistStamped": TWIST_STAMPED,
    "std_msgs/msg/String": STRING,
}
#: topic, type, when it was recorded, fields
Said = tuple[str, str, int, dict[str, Any]]


def header(stamp_ns: int) -> dict[str, Any]:
    return {"stamp": {"sec": stamp_ns // SECOND, "nanosec": stamp_ns % SECOND}, "frame_id": "base"}


def picture(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    """RGB, and each one different."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def image(stamp_ns: int, pixels: np.ndarray, encoding: str = "rgb8", **more: Any) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    raw = np.ascontiguousarray(pixels)
    said = {"height": height, "width": width, "encoding": encoding, "is_bigendian": 0, "step": raw.nbytes // height}
    return {"header": header(stamp_ns), **said, "data": raw.tobytes(), **more}


def imu(stamp_ns: int, number: int) -> dict[str, Any]:
    def three(*xyz: float) -> dict[str, float]:
        return dict(zip("xyz", xyz, strict=True))

    covariance = {f"{k}_covariance": [0.0] * 9 for k in ("orientation", "angular_velocity", "linear_acceleration")}
    turning, pushed = three(0.1 * number, -0.5, 2.0), three(0.25, number, 9.81)
    return {
        "header": header(stamp_ns),
        "orientation": three(0, 0, 0) | {"w": 1.0},
        "angular_velocity": turning,
        "linear_acceleration": pushed,
        **covariance,
    }


def compressed(pixels: np.ndarray, codec: str) -> bytes:
    import av

    context: Any = av.CodecContext.create(codec, "w")
    grey = pixels.ndim == 2
    formats = {"png": "gray" if grey else "rgb24", "mjpeg": "yuvj420p"}
    context.width, context.height, context.pix_fmt = pixels.shape[1], pixels.shape[0], formats[codec]
    context.time_base = Fraction(1, 25)
    frame: Any = av.VideoFrame.from_ndarray(pixels, format="gray" if grey else "rgb24").reformat(format=formats[codec])
    frame.pts = 0
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])


def ros2_file(path: Path, said: Iterable[Said], types: dict[str, str] = TYPES) -> Path:
    """An MCAP file by the writer of mcap-ros2-support."""
    from mcap_ros2.writer import Writer

    with path.open("wb") as file, Writer(file, chunk_size=20_000) as writer:
        schemas: dict[str, Any] = {}
        for number, (topic, kind, at, fields) in enumerate(said):
            if kind not in schemas:
                schemas[kind] = writer.register_msgdef(kind, types[kind])
            writer.write_message(topic, schemas[kind], fields, log_time=at, publish_time=at, sequence=number)
    return path


def robot_bag(count: int = 20) -> list[Said]:
    """A camera at 20 Hz, an IMU at 100 Hz, and a word now and then; recorded 4 ms after it was taken."""
    said: list[Said] = []
    for i in range(5 * count):
        at = T0 + i * 10 * MS
        said.append(("/imu/data", "sensor_msgs/msg/Imu", at + 4 * MS, imu(at, i)))
        if i % 5 == 0:
            said.append(("/camera/image_raw", "sensor_msgs/msg/Image", at + 4 * MS, image(at, picture(i))))
        if i % 25 == 0:
            said.append(("/said", "std_msgs/msg/String", at + 4 * MS, {"data": f"go to {i} \u00fc"}))
    return said


def cdr(*parts: bytes) -> bytes:
    return b"\0\1\0\0" + b"".join(parts)


def claims(length: int) -> bytes:
    return struct.pack("<I", length)


def raw_file(path: Path, kind: str, data: Sequence[bytes], schema: str = "", message_encoding: str = "cdr") -> Path:
    """One topic "/t" of messages that are just these bytes, recorded a second apart."""
    from mcap.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2", library="test")
        schema_id = writer.register_schema(kind, "ros2msg", schema.encode())
        channel = writer.register_channel("/t", message_encoding, schema_id)
        for i, one in enumerate(data):
            writer.add_message(channel, T0 + i * SECOND, one, T0 + i * SECOND)
        writer.finish()
    return path


def video_file(
    path: Path,
    times_ms: Sequence[int],
    pixels: Callable[[int], np.ndarray],
    sound: tuple[int, np.ndarray] | None = None,
    *,
    codec: str = "libx264",
    first_sample_ms: int = 0,
) -> Path:
    """Frames at these times (H.264, nearly lossless), and sound of a rate from a time on, as PyAV writes them."""
    import av

    height, width = pixels(0).shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=1000)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.options = {"crf": "4", "preset": "veryfast"}
        audio: Any = None
        if sound is not None:
            audio = container.add_stream("aac" if path.suffix == ".mp4" else "pcm_s16le", rate=sound[0], layout="mono")
        for number, at in enumerate(times_ms):
            frame: Any = av.VideoFrame.from_ndarray(pixels(number), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            rate, samples = sound
            heard: Any = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            heard.sample_rate, heard.time_base = rate, Fraction(1, rate)
            heard.pts = first_sample_ms * rate // 1000
            container.mux(audio.encode(heard))
            container.mux(audio.encode(None))
    return path
