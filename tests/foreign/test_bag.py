"""Directories of rosbag2."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import omnistream
from foreign_files import T0, raw_file, robot_bag, ros2_file

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND
from omnistream.record.playable import open_recording

METADATA = """rosbag2_bagfile_information:
  version: 9
  storage_identifier: {storage}
  duration: {{nanoseconds: 1000}}
  relative_file_paths: {files}
  compression_format: ""
  compression_mode: "{mode}"
"""


def split_bag(folder: Path, count: int = 3) -> list[str]:
    """The robot's bag in so many files, by their time."""
    said = robot_bag()
    size = len(said) // count + 1
    names = [f"bag_{i}.mcap" for i in range(count)]
    for i, name in enumerate(names):
        ros2_file(folder / name, said[i * size : (i + 1) * size])
    return names


@pytest.mark.parametrize("described", [True, False])
def test_its_files_are_one_recording(tmp_path: Path, described: bool) -> None:
    names = split_bag(tmp_path, 12)  # bag_10 comes after bag_9
    if described:
        (tmp_path / "metadata.yaml").write_text(METADATA.format(storage="mcap", files=names, mode=""))
    with open_recording(tmp_path) as bag:
        assert [m.stamp_ns - T0 for m in bag.messages("/imu/data")] == [i * 10 * MS for i in range(100)]
        assert [m.stamp_ns - T0 for m in bag.messages("/imu/data", T0 + 900 * MS)] == [i * 10 * MS for i in range(90, 100)]
        assert len(list(bag.messages("/camera/image_raw"))) == 20
        assert len(list(bag.messages("/said"))) == 4
        assert bag.count("/imu/data", T0 + 504 * MS) == 50
        assert (bag.start_ns, bag.end_ns) == (T0 + 4 * MS, T0 + SECOND - 6 * MS)
        assert set(bag.streams()) == {"/imu/data", "/camera/image_raw", "/said"}
        with pytest.raises(RecordingError, match="no stream '/nose'"):
            list(bag.messages("/nose"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (METADATA.format(storage="sqlite3", files=["a.db3"], mode=""), "bag of 'sqlite3'; make it one of MCAP first"),
        (METADATA.format(storage="mcap", files=["bag_0.mcap"], mode="FILE"), "compressed by FILE"),
        (METADATA.format(storage="mcap", files=["bag_7.mcap"], mode=""), "bag_7.mcap cannot be opened"),
        (METADATA.format(storage="mcap", files=["../../etc/passwd"], mode=""), "is not in the bag"),
        (METADATA.format(storage="mcap", files="[]", mode=""), "names no files"),
        ("rosbag2_bagfile_information: [", "cannot be read"),
        ("!!python/object/apply:os.system [echo]", "cannot be read"),
        ("rosbag2_bagfile_information: 3", "says nothing of a bag"),
        ("a: 1", "cannot be read"),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, text: str, says: str) -> None:
    split_bag(tmp_path, 1)
    (tmp_path / "metadata.yaml").write_text(text)
    with pytest.raises(RecordingError, match=says) as refused:
        open_recording(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_directory_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is a directory without recordings"):
        open_recording(tmp_path)


def test_topics_that_cannot_be_played_are_listed(tmp_path: Path) -> None:
    raw_file(tmp_path / "a.mcap", "tf2_msgs/msg/TFMessage", [b"\0\1\0\0"], "geometry_msgs/TransformStamped[] transforms")
    ros2_file(tmp_path / "b.mcap", robot_bag(2))
    said = omnistream("record", "info", tmp_path)
    assert said.code == 0, said.err
    assert "not played: /t (tf2_msgs/msg/TFMessage)" in said.out
    assert "/imu/data" in said.out
