"""ROS 2 messages in MCAP, written by mcap-ros2-support: what they become, and what is refused."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from foreign_files import (
    COMPRESSED,
    IMAGE,
    IMU,
    STRING,
    T0,
    TYPES,
    cdr,
    claims,
    compressed,
    header,
    image,
    imu,
    picture,
    raw_file,
    robot_bag,
    ros2_file,
)  # fmt: skip
from mcap_ros2._dynamic import serialize_dynamic

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import MS, SECOND, Action, Imu, RobotState, Text, VideoFrame
from omnistream.record import Recording
from omnistream.record.foreign import ros2
from omnistream.record.foreign.images import decode_image
from omnistream.record.playable import open_recording


def encoded(kind: str, text: str, fields: dict) -> bytes:
    return serialize_dynamic(kind, text)[kind](fields)


def test_a_bag_plays_as_streams_of_payloads(tmp_path: Path) -> None:
    with open_recording(ros2_file(tmp_path / "a.mcap", robot_bag())) as bag:
        assert bag.streams() == {"/imu/data": {Imu}, "/camera/image_raw": {VideoFrame}, "/said": {Text}}
        turned = list(bag.messages("/imu/data"))
        assert [m.stamp_ns - T0 for m in turned] == [i * 10 * MS for i in range(100)]  # when they were taken
        assert {m.clock_source for m in turned} == {"device"}
        assert turned[7].payload == Imu((0.25, 7.0, 9.81), (pytest.approx(0.7), -0.5, 2.0))
        frames = list(bag.messages("/camera/image_raw"))
        assert all(np.array_equal(m.payload.image, picture(5 * i)) for i, m in enumerate(frames))
        assert [m.payload.text for m in bag.messages("/said")] == [f"go to {i} \u00fc" for i in (0, 25, 50, 75)]
        assert [m.stamp_ns - T0 for m in bag.messages("/said")] == [i * 10 * MS + 4 * MS for i in (0, 25, 50, 75)]
        assert [m.stamp_ns for m in bag.messages("/imu/data", T0 + 500 * MS)] == [m.stamp_ns for m in turned[50:]]
        assert bag.stream_for("camera", [VideoFrame]) == "/camera/image_raw"


def test_a_header_far_from_its_recording_is_not_believed_and_stamps_rise(tmp_path: Path) -> None:
    taken = [T0, T0 - 2 * SECOND, 0, T0 + 30 * MS, T0 + 20 * MS, T0 + SECOND]
    said = [("/imu", "sensor_msgs/msg/Imu", T0 + i * 10 * MS, imu(t, i)) for i, t in enumerate(taken)]
    with open_recording(ros2_file(tmp_path / "a.mcap", said)) as bag:
        got = [(m.stamp_ns - T0, m.clock_source) for m in bag.messages("/imu")]
    # too old; none at all; as it is; before the one before; of the future
    assert got == [
        (0, "device"), (10 * MS, "arrival"), (20 * MS, "arrival"), (30 * MS, "device"), (30 * MS + 1, "device"),
        (50 * MS, "arrival"),
    ]  # fmt: skip


TWISTED = {"linear": {"x": 0.25, "y": 0.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": -0.5}}


def test_joints_and_velocities(tmp_path: Path) -> None:
    arm = {"header": header(T0), "name": ["pan", "grip"], "position": [0.5, 0.01], "velocity": [1.5, 0.0], "effort": []}
    said = [
        ("/joint_states", "sensor_msgs/msg/JointState", T0 + MS, arm),
        ("/cmd_vel", "geometry_msgs/msg/Twist", T0 + 2 * MS, TWISTED),
        ("/cmd_vel_stamped", "geometry_msgs/msg/TwistStamped", T0 + 3 * MS, {"header": header(T0 + MS), "twist": TWISTED}),
    ]
    with open_recording(ros2_file(tmp_path / "a.mcap", said)) as bag:
        got = {topic: [(m.stamp_ns - T0, m.payload) for m in bag.messages(topic)] for topic in bag.streams()}
    values = {"pan.pos": 0.5, "grip.pos": 0.01, "pan.vel": 1.5, "grip.vel": 0.0}
    moved = {"x_mps": 0.25, "y_mps": 0.0, "z_mps": 0.0, "roll_radps": 0.0, "pitch_radps": 0.0, "yaw_radps": -0.5}
    assert got == {
        "/joint_states": [(0, RobotState(values))],
        "/cmd_vel": [(2 * MS, Action("velocity", T0 + 502 * MS, moved))],
        "/cmd_vel_stamped": [(MS, Action("velocity", T0 + 501 * MS, moved))],
    }
    for kind in ("sensor_msgs/msg/JointState", "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"):
        assert ros2.misfit(kind, "ros2msg", TYPES[kind].encode()) == ""


RGB = picture(3)
GREY, DEEP = RGB[..., 0], (RGB[..., 0].astype("<u2") << 4)
FOUR = np.concatenate([RGB, np.full((*RGB.shape[:2], 1), 255, np.uint8)], axis=2)
METRES = np.where(RGB[..., :1] < 9, np.nan, RGB[..., :1].astype("<f4") / 100)


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected", "called", "more"),
    [
        ("rgb8", RGB, RGB, "rgb8", {}),
        ("bgr8", RGB[..., ::-1], RGB, "rgb8", {}),
        ("rgba8", FOUR, RGB, "rgb8", {}),
        ("bgra8", FOUR[..., [2, 1, 0, 3]], RGB, "rgb8", {}),
        ("mono8", GREY, GREY, "mono8", {}),
        ("16UC1", DEEP, DEEP, "16UC1", {}),
        ("16UC1", DEEP.astype(">u2"), DEEP, "16UC1", {"is_bigendian": 1}),
        ("32FC1", METRES, np.nan_to_num(np.rint(METRES[..., 0].astype(float) * 1000)).astype("<u2"), "16UC1", {}),
    ],
)
def test_pixels(tmp_path: Path, encoding: str, pixels: np.ndarray, expected: np.ndarray, called: str, more: dict) -> None:
    said = [("/c", "sensor_msgs/msg/Image", T0, image(T0, pixels, encoding, **more))]
    with open_recording(ros2_file(tmp_path / "a.mcap", said)) as bag:
        (frame,) = [m.payload for m in bag.messages("/c")]
    assert frame.encoding == called
    assert frame.image.dtype == expected.dtype
    assert np.array_equal(frame.image, expected)


def test_rows_may_be_padded_and_the_last_need_not_be() -> None:
    wide = np.concatenate([RGB, np.zeros((24, 4, 3), np.uint8)], axis=1)
    data = wide.tobytes()
    for length in (len(data), len(data) - 12):
        fields = {"header": header(T0), "height": 24, "width": 32, "encoding": "rgb8", "step": 36 * 3, "data": data[:length]}
        frame = ros2.decode("sensor_msgs/msg/Image", encoded("sensor_msgs/msg/Image", IMAGE, fields))
        assert np.array_equal(frame.image, RGB)


@pytest.mark.parametrize("encoding", ["yuv422_yuy2", "yuv422"])
def test_a_webcams_pixels(encoding: str) -> None:
    """Red, green and blue patches, within what 8-bit YUV can say."""
    colours = {(81, 90, 240): (255, 0, 0), (145, 54, 34): (0, 255, 0), (41, 240, 110): (0, 0, 255)}
    for (y, u, v), expected in colours.items():
        pair = (y, u, y, v) if encoding == "yuv422_yuy2" else (u, y, v, y)
        fields = image(T0, np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (4, 3, 1)), encoding)
        frame = ros2.decode("sensor_msgs/msg/Image", encoded("sensor_msgs/msg/Image", IMAGE, fields))
        assert frame.image.shape == (4, 6, 3)
        assert np.abs(frame.image.astype(int) - expected).max() <= 3


@pytest.mark.parametrize(("codec", "apart"), [("png", 0), ("mjpeg", 25)])
def test_compressed_pictures(codec: str, apart: int) -> None:
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)[..., None] * np.array([1, 2, 1], np.uint8)
    for pixels in (smooth, smooth[..., 0]) if codec == "png" else (smooth,):
        data = encoded("sensor_msgs/msg/CompressedImage", COMPRESSED, {"format": codec, "data": compressed(pixels, codec)})
        frame = ros2.decode("sensor_msgs/msg/CompressedImage", data)
        assert frame.image.shape == pixels.shape
        assert np.abs(frame.image.astype(int) - pixels).mean() <= apart


def test_big_endian_and_short_texts() -> None:
    assert ros2.decode("std_msgs/msg/String", b"\0\0\0\0" + struct.pack(">I", 3) + b"ab\0") == Text("ab")
    assert ros2.decode("std_msgs/msg/String", cdr(claims(0))) == Text("")
    assert ros2.decode("std_msgs/msg/String", cdr(claims(1), b"\0")) == Text("")


HUGE = 0xFFFFFFF0
NO_HEADER = claims(0) * 2 + claims(1) + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("std_msgs/msg/String", b"", "not plain CDR"),
        ("std_msgs/msg/String", b"\0\3\0\0aaaa", "not plain CDR"),
        ("std_msgs/msg/String", cdr(b"\1"), "breaks off"),
        ("std_msgs/msg/String", cdr(claims(HUGE), b"abc"), "claims 4294967280 bytes where 3 are left"),
        ("std_msgs/msg/String", cdr(claims(3), b"\xff\xfe\0"), "not UTF-8"),
        ("sensor_msgs/msg/JointState", cdr(NO_HEADER, claims(HUGE)), "claims 4294967280 elements where 0 bytes"),
        ("sensor_msgs/msg/JointState", cdr(NO_HEADER, claims(0), claims(HUGE)), "claims 4294967280 elements"),
        ("sensor_msgs/msg/JointState", cdr(NO_HEADER, claims(0), claims(1), b"\0" * 20), "1 values of pos for 0 joints"),
        ("geometry_msgs/msg/Twist", cdr(b"\xff" * 48), "cannot be"),
        ("sensor_msgs/msg/Imu", cdr(NO_HEADER, b"\0" * 80), "breaks off"),
        ("sensor_msgs/msg/CompressedImage", cdr(NO_HEADER, claims(4), b"jpg\0", claims(3), b"GIF"), "use JPEG, PNG or WebP"),
        ("sensor_msgs/msg/CompressedImage", cdr(NO_HEADER, claims(4), b"jpg\0", claims(HUGE)), "claims"),
    ],
)
def test_a_damaged_message_is_a_sentence(tmp_path: Path, kind: str, data: bytes, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        ros2.decode(kind, data)
    with Recording(raw_file(tmp_path / "a.mcap", kind, [data])) as bag, pytest.raises(RecordingError) as refused:
        list(bag.messages("/t"))
    assert "message 0 of '/t' cannot be read" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoding": "bayer_rggb8"}, "encoding 'bayer_rggb8' cannot be read; use one of rgb8"),
        ({"width": 1 << 31, "height": 1 << 31, "step": 1 << 31}, "2147483648x2147483648 pixels cannot be"),
        ({"width": 0}, "0x24 pixels cannot be"),
        ({"step": 5}, "does not fit"),
        ({"height": 25}, "does not fit in 2304 bytes"),
        ({"data": b""}, "does not fit in 0 bytes"),
    ],
)
def test_absurd_pictures_are_refused_before_there_is_memory_for_them(change: dict, says: str) -> None:
    data = encoded("sensor_msgs/msg/Image", IMAGE, image(T0, RGB) | change)
    with pytest.raises(PayloadError, match=says):
        ros2.decode("sensor_msgs/msg/Image", data)


def test_a_picture_that_unpacks_to_gigabytes_is_refused() -> None:
    """A PNG whose head says 60000x60000."""
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    with pytest.raises(PayloadError, match="cannot be read"):
        decode_image(bomb)


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_give_a_payload_or_a_sentence(seed: int) -> None:
    """Truncated at every place, and with bytes changed at random: nothing else is raised, and nothing hangs."""
    chance = random.Random(seed)
    whole = {
        "sensor_msgs/msg/Image": encoded("sensor_msgs/msg/Image", IMAGE, image(T0, picture(1, 4, 6))),
        "sensor_msgs/msg/Imu": encoded("sensor_msgs/msg/Imu", IMU, imu(T0, 1)),
        "std_msgs/msg/String": encoded("std_msgs/msg/String", STRING, {"data": "hello"}),
        "geometry_msgs/msg/TwistStamped": encoded(
            "geometry_msgs/msg/TwistStamped", TYPES["geometry_msgs/msg/TwistStamped"], {}
        ),
        "sensor_msgs/msg/JointState": encoded(
            "sensor_msgs/msg/JointState", TYPES["sensor_msgs/msg/JointState"], {"name": ["a", "b"], "position": [1.0, 2.0]}
        ),
        "sensor_msgs/msg/CompressedImage": encoded(
            "sensor_msgs/msg/CompressedImage", COMPRESSED, {"format": "png", "data": compressed(picture(2, 8, 8), "png")}
        ),
    }
    for kind, data in whole.items():
        for length in range(len(data)):
            _try(kind, data[:length])
        for _ in range(150):
            changed = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
            _try(kind, bytes(changed))


def _try(kind: str, data: bytes) -> None:
    try:
        ros2.taken_ns(kind, data)
        ros2.decode(kind, data)
    except PayloadError as error:
        assert "\n" not in str(error)
        assert str(error)


def test_a_topic_whose_fields_are_not_those_of_its_name_is_left_out(tmp_path: Path) -> None:
    other = STRING + "uint32 more\n"
    assert ros2.misfit("std_msgs/msg/String", "ros2msg", STRING.encode()) == ""
    for kind, text in (
        ("sensor_msgs/msg/Image", IMAGE),
        ("sensor_msgs/msg/Imu", IMU),
        ("sensor_msgs/msg/CompressedImage", COMPRESSED),
    ):
        assert ros2.misfit(kind, "ros2msg", text.encode()) == ""
    with open_recording(raw_file(tmp_path / "a.mcap", "std_msgs/msg/String", [cdr(claims(0))], other)) as bag:
        assert bag.streams() == {}
        assert "'/t' is left out: its std_msgs/String has other fields than ROS 2's: string data, uint32 more" in bag.notice
    with open_recording(raw_file(tmp_path / "b.mcap", "my_msgs/msg/Odd", [b"\0"], "uint8 x")) as bag:
        assert bag.streams() == {}
        assert bag.notice == ""
