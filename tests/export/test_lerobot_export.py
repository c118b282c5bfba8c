"""Recordings as a LeRobotDataset v3: laid out as lerobot itself lays one out, and the same when it is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import omnistream, refused
from foreign_files import T0 as BAG
from foreign_files import header, robot_bag, ros2_file
from test_people import frame, made

from omnistream.message import INFINITY, MS, SECOND, Action, Command, Imu, Payload, RobotState, Text
from omnistream.record.foreign.dataset import cells, tables_in
from omnistream.record.playable import BEGINNING_NS, open_recording

#: Written by lerobot 0.4.4 itself (its README says what is in it).
THEIRS = Path(__file__).parent.parent / "foreign" / "lerobot" / "dataset"
T0 = 1_800_000_000 * SECOND
Said = list[tuple[str, int, Payload]]


def info(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta" / "info.json").read_text())


def data(folder: Path, *columns: str) -> dict[str, list[Any]]:
    tables = list(tables_in(folder / "data/chunk-000/file-000.parquet", columns, columns))
    return {c: [value for table in tables for value in cells(table, c)] for c in columns}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their dataset, read as recordings and written again."""
    folder = tmp_path_factory.mktemp("lerobot") / "again"
    said = omnistream("record", "export", *(f"{THEIRS}#{e}" for e in range(3)), folder, "--to", "lerobot")
    assert said.code == 0, said.err
    assert (
        "3 episodes, 75 rows at 30 Hz of observation.images.front, observation.images.wrist, action, observation.state"
        in said.out
    )
    return folder


def test_what_it_says_of_itself_is_what_lerobot_says(ours: Path) -> None:
    mine, theirs = info(ours), info(THEIRS)
    assert mine.keys() == theirs.keys()
    assert {k: v for k, v in mine.items() if k != "features"} == {k: v for k, v in theirs.items() if k != "features"}
    assert mine["features"].keys() == theirs["features"].keys()
    for key, feature in theirs["features"].items():
        told = {k: v for k, v in mine["features"][key].items() if k != "info"}
        if not key.startswith("observation.images"):
            assert told == feature
        else:
            assert (told["shape"], told["names"]) == (feature["shape"], feature["names"])
    about, known = mine["features"]["observation.images.front"]["info"], theirs["features"]["observation.images.front"]["info"]
    assert about == known | {"video.codec": "h264"}


def test_its_tables_have_lerobots_columns_types_and_values(ours: Path) -> None:
    import pyarrow.parquet as pq

    for place in ("data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"):
        mine, theirs = pq.read_schema(ours / place), pq.read_schema(THEIRS / place)
        columns = {n for n in theirs.names if "wrist" not in n}  # theirs are images inside the table, ours a video
        assert {n for n in mine.names if "wrist" not in n} == columns
        plain = [n for n in columns if not n.startswith("stats/")]
        types = [{n: str(f.field(n).type).replace("large_", "") for n in plain} for f in (mine, theirs)]  # as pandas pleases
        assert types[0] == types[1]
    for key in ("action", "observation.state", "timestamp", "frame_index", "episode_index", "index", "task_index"):
        assert data(ours, key) == data(THEIRS, key)
    said, known = (pq.read_schema(f / "meta/tasks.parquet").pandas_metadata for f in (ours, THEIRS))
    assert said["index_columns"] == known["index_columns"] == ["__index_level_0__"]
    columns = ["episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index"]
    place = "meta/episodes/chunk-000/file-000.parquet"
    rows = [[{c: cells(t, c) for c in columns} for t in tables_in(f / place, columns, columns)] for f in (ours, THEIRS)]
    assert rows[0] == rows[1]


def test_its_statistics_have_lerobots_shapes_and_sizes(ours: Path) -> None:
    mine, theirs = (json.loads((f / "meta" / "stats.json").read_text()) for f in (ours, THEIRS))
    assert mine.keys() == theirs.keys()
    for key, known in theirs.items():
        assert mine[key].keys() == known.keys()
        for name in ("min", "max", "mean", "std"):
            a, b = np.array(mine[key][name]), np.array(known[name])
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= (0.06 if "images" in key else 1e-4), (key, name)
        assert all(np.array(mine[key][n]).shape == np.array(known[n]).shape for n in known)


@pytest.mark.parametrize("episode", range(3))
def test_read_again_it_is_the_same(ours: Path, episode: int) -> None:
    with open_recording(f"{ours}#{episode}") as mine, open_recording(f"{THEIRS}#{episode}") as theirs:
        assert mine.streams() == theirs.streams()
        for topic in ("action", "observation.state", "task"):
            assert [(m.stamp_ns, m.payload) for m in mine.messages(topic)] == [
                (m.stamp_ns, m.payload) for m in theirs.messages(topic)
            ]
        for topic in ("observation.images.front", "observation.images.wrist"):
            pairs = zip(mine.messages(topic), theirs.messages(topic), strict=True)
            assert max(np.abs(a.payload.image.astype(int) - b.payload.image).max() for a, b in pairs) <= 3


def run_of_a_robot() -> Said:
    """A 20 Hz camera that shows the time, a state at 50 Hz, an IMU, commands, velocities that end, and a stop."""
    said: Said = [("eye.out", i * 50 * MS + (i % 3) * 4 * MS, frame(i)) for i in range(60)]
    said += [("arm.out", i * 20 * MS, RobotState({"wrist_rad": i / 10, "grip_m": 0.5})) for i in range(160)]
    said += [("imu.out", i * 10 * MS + 3, Imu((0.0, 0.0, i * 1.0), (1.0, 2.0, 3.0))) for i in range(300)]
    said += [
        ("typed.out", 990 * MS, Command("forward", "go on")),
        ("typed.out", 2 * SECOND, Command("none", "mmh", rejected="?")),
    ]
    said += [("note.out", 500 * MS, Text("not asked"))]
    said += [
        ("drive.out", t * MS, Action("velocity", T0 + (t + 150) * MS, {"x_mps": 0.3, "lift_m": t / 1000})) for t in (1000, 1100)
    ]
    said += [
        ("drive.out", 2500 * MS, Action("velocity", T0 + 2900 * MS, {"x_mps": 0.2})),
        ("drive.out", 2700 * MS, Action("stop", INFINITY)),
    ]
    return said


def test_streams_of_their_own_times_become_rows(tmp_path: Path) -> None:
    recording = made(tmp_path / "a.mcap", run_of_a_robot())
    said = omnistream("record", "export", recording, tmp_path / "d", "--to", "lerobot")
    assert said.code == 0, said.err
    features = info(tmp_path / "d")["features"]
    assert features["observation.state"]["names"] == ["grip_m", "wrist_rad"]  # as a recording holds them
    assert features["observation.imu"]["names"][0] == "acceleration_x_mps2"
    assert features["action"]["names"] == ["lift_m", "x_mps"]
    columns = data(tmp_path / "d", "timestamp", "observation.state", "observation.imu", "action", "task_index")
    assert np.allclose(columns["timestamp"], np.arange(60) / 20)
    with open_recording(tmp_path / "d") as file:
        levels = [round(m.payload.image.mean()) for m in file.messages("observation.images.eye")]
        tasks = [(m.stamp_ns - BEGINNING_NS, m.payload.text) for m in file.messages("task")]
    assert max(abs(a - b) for a, b in zip(levels, range(60), strict=True)) <= 2  # each frame once, though they jitter
    for row in range(60):  # the newest at half a row after the row's time, of each
        at = row * 50 + 25
        assert columns["observation.state"][row] == pytest.approx([0.5, at // 20 / 10])
        assert columns["observation.imu"][row][2] == pytest.approx(min(299, (at * MS - 3) // (10 * MS)))
        moving = 0.3 if 1000 <= at < 1250 else 0.2 if 2500 <= at < 2700 else 0
        lift = 0 if at < 1000 else 1.0 if at < 1100 else 1.1
        assert columns["action"][row] == pytest.approx([lift, moving]), row
    assert tasks == [(0, ""), (1 * SECOND, "go on")]


def test_a_bag_of_ros2_becomes_a_dataset(tmp_path: Path) -> None:
    said = robot_bag(20)
    for i in range(100):
        arm = {"header": header(BAG + i * 10 * MS), "name": ["pan", "grip"], "position": [i / 100, 0.5]}
        said.append(("/joint_states", "sensor_msgs/msg/JointState", BAG + i * 10 * MS, arm))
    for i in range(50, 60):
        twist = {"linear": {"x": 0.5}, "angular": {"z": 1.0}}
        said.append(("/cmd_vel", "geometry_msgs/msg/Twist", BAG + i * 10 * MS, twist))
    bag = ros2_file(tmp_path / "a.mcap", sorted(said, key=lambda s: s[2]))
    assert "1 episodes, 20 rows at 20 Hz" in omnistream("record", "export", bag, tmp_path / "d", "--to", "lerobot").out
    features = info(tmp_path / "d")["features"]
    assert features["observation.state"]["names"] == ["pan.pos", "grip.pos"]
    assert features["action"]["names"][0] == "x_mps"
    columns = data(tmp_path / "d", "observation.state", "action")
    for row in range(20):
        assert columns["observation.state"][row] == pytest.approx([(row * 50 + 25) // 10 / 100, 0.5])
        assert columns["action"][row][0] == (0.5 if row >= 10 else 0)  # the last one holds half a second


def test_options_and_several_recordings(tmp_path: Path) -> None:
    a = made(tmp_path / "a.mcap", run_of_a_robot())
    b = ros2_file(tmp_path / "b.mcap", robot_bag())
    words = ("--to", "lerobot", "--fps", "10", "--task", "fetch", "--only", "eye", "--only", "arm")
    assert "2 episodes, 60 rows at 10 Hz" in omnistream("record", "export", a, a, tmp_path / "d", *words).out
    assert set(info(tmp_path / "d")["features"]) >= {"observation.images.eye", "observation.state"}
    with open_recording(f"{tmp_path}/d#1") as file:
        assert [m.payload.text for m in file.messages("task")] == ["fetch"]
        assert [round(m.payload.image.mean()) // 2 for m in file.messages("observation.images.eye")] == pytest.approx(
            range(30), abs=1
        )
    assert "the episodes of a dataset are alike" in refused(
        "record", "export", a, b, tmp_path / "e", "--to", "lerobot", "--fps", "10"
    )
    assert "is there already" in refused("record", "export", a, tmp_path / "d", "--to", "lerobot")
    assert "no stream 'nose'" in refused("record", "export", a, tmp_path / "e", "--to", "lerobot", "--only", "nose")
    assert "neither pictures nor numbers" in refused(
        "record", "export", a, tmp_path / "e", "--to", "lerobot", "--only", "typed"
    )
    assert not (tmp_path / "e").exists()


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    recording = made(
        tmp_path / "a.mcap", [("arm.out", i * 20 * MS, RobotState({"x": float("nan") if i == 5 else 0.0})) for i in range(9)]
    )
    assert "x is not finite 0.100 s after the first row" in refused(
        "record", "export", recording, tmp_path / "d", "--to", "lerobot"
    )
    assert not (tmp_path / "d").exists()
