"""A training of seconds: the loss falls, a stopped one goes on as if it had not been, and the files hold what was learned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ears_parts import SMALL, need_flite, small_grammar

from omnistream.errors import ModelError
from omnistream_models.ears.ahead import Ahead
from omnistream_models.ears.beginning import begun_with
from omnistream_models.ears.export import load_ears, save_ears
from omnistream_models.ears.features import MELS
from omnistream_models.ears.manifest import read_manifest, shipped_folder, verified_bytes
from omnistream_models.ears.network import Ears, Shape
from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_models.ears.scenes import Scenes
from omnistream_models.ears.synthesis import Amount, make_clips, plan
from omnistream_models.ears.training import Progress, Schedule, train

torch.set_num_threads(1)
SHAPE = Shape(4, channels=32)
PHRASES = ("stop", "go forward", "go forward two meters")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    need_flite()
    folder = tmp_path_factory.mktemp("clips")
    grammar = small_grammar(folder)
    clips = make_clips(plan(grammar, ["flite"], 1, {"flite": Amount(6, 5)}), folder)
    return Scenes(clips, grammar, seed=1, seconds=4)


@pytest.fixture(scope="module")
def trained(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ears, list[float], Path]:
    losses: list[float] = []
    folder = tmp_path_factory.mktemp("trained")
    ears = train(SHAPE, scenes, Schedule(50, batch=6), 1, folder / "c.safetensors", lambda p: losses.append(p.loss))
    return ears, losses, folder


def test_the_loss_falls(trained: tuple[Ears, list[float], Path]) -> None:
    _, losses, _ = trained
    assert len(losses) == 50
    assert np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_a_stopped_training_goes_on_as_if_it_had_not_been(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = Schedule(6, batch=2)
    whole = train(SHAPE, scenes, schedule, 3)
    path = tmp_path / "checkpoint.safetensors"

    class Stopped(Exception):
        pass

    def stop(p: Progress) -> None:
        if p.step == 3:
            raise Stopped

    monkeypatch.setattr("omnistream_models.ears.training._CHECKPOINT_S", 0.0)
    with pytest.raises(Stopped):
        train(SHAPE, scenes, schedule, 3, path, stop)
    steps: list[int] = []
    resumed = train(SHAPE, scenes, schedule, 3, path, lambda p: steps.append(p.step))
    assert steps[0] == 3  # what was said of step 3 came before it was kept
    for one, two in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_ears_that_are_gone_on_from_keep_what_they_know(
    trained: tuple[Ears, list[float], Path], scenes: Scenes, tmp_path: Path
) -> None:
    """Of phrases that both know; another order and other phrases are no matter."""
    save_ears(trained[0], tmp_path / "old", PHRASES, {"seed": 1})
    old, _ = load_ears(tmp_path / "old")
    begun = begun_with(tmp_path / "old", "convolutions", ("go forward two meters", "dance", "stop")).eval()
    mels = torch.from_numpy(scenes.batch(99, 2).mels)
    with torch.no_grad():
        knew, knows = old(mels).classes, begun(mels).classes
    for before, after in ((1, 3), (3, 1)):
        assert torch.allclose(knew[..., before] - knew[..., 0], knows[..., after] - knows[..., 0], atol=1e-4)
    with pytest.raises(ModelError, match="a network of convolutions, and --network says conformer"):
        begun_with(tmp_path / "old", "conformer", PHRASES)


def test_going_on_from_ears_is_another_training_than_from_chance(scenes: Scenes, tmp_path: Path) -> None:
    first: list[float] = []
    ears = train(SHAPE, scenes, Schedule(30, batch=6), 1)
    save_ears(ears, tmp_path / "old", PHRASES, {})
    begun = begun_with(tmp_path / "old", "convolutions", PHRASES)
    train(begun, scenes, Schedule(2, batch=6), 1, tmp_path / "c.safetensors", lambda p: first.append(p.loss))
    chance: list[float] = []
    train(SHAPE, scenes, Schedule(2, batch=6), 1, None, lambda p: chance.append(p.loss))
    assert first[0] < 0.8 * chance[0]
    with pytest.raises(ModelError, match="is of another training"):
        train(SHAPE, scenes, Schedule(3, batch=6), 1, tmp_path / "c.safetensors")


def test_a_checkpoint_of_another_training_is_a_sentence(trained: tuple[Ears, list[float], Path], scenes: Scenes) -> None:
    path = trained[2] / "c.safetensors"
    with pytest.raises(ModelError, match="is of another training"):
        train(SHAPE, scenes, Schedule(60, batch=6), 2, path)
    broken = trained[2] / "broken.safetensors"
    broken.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        train(SHAPE, scenes, Schedule(60, batch=6), 1, broken)


def test_the_streamed_file_says_what_torch_says(trained: tuple[Ears, list[float], Path], scenes: Scenes) -> None:
    ears, _, folder = trained
    manifest = save_ears(ears, folder, PHRASES, {"seed": 1})
    loaded, again = load_ears(folder)
    assert again == manifest
    mels = torch.from_numpy(scenes.batch(99, 1).mels)
    with torch.no_grad():
        whole = loaded(mels).classes[0].exp().numpy()
        assert np.allclose(whole, ears(mels).classes[0].exp().numpy(), atol=1e-5)
    stream = EarlyEars(str(folder), 1)
    stream._mel.step = lambda samples: samples  # the frames themselves, two for each step
    parts = np.stack([stream.step(mels[0, n : n + 2].numpy()) for n in range(0, mels.shape[1], 2)])
    assert np.allclose(parts, whole, atol=1e-4)
    assert whole[:, 1:].sum(1).max() > 0.3  # and it does hear something


def test_a_conformers_streamed_file_says_what_torch_says(scenes: Scenes, tmp_path: Path) -> None:
    """The same files and the same node as the convolutions; which network it is, the shape in the manifest says."""
    shape = Shape(4, channels=16, kernel=5, dilations=(1, 1), network="conformer", heads=2, window=10)
    ears = train(shape, scenes, Schedule(8, batch=2), 1)
    save_ears(ears, tmp_path, PHRASES, {"seed": 1})
    loaded, manifest = load_ears(tmp_path)
    assert Shape.from_json(dict(manifest.shape)) == shape
    mels = torch.from_numpy(scenes.batch(99, 1).mels)[:, :240]
    with torch.no_grad():
        whole = loaded(mels).classes[0].exp().numpy()
    stream = EarlyEars(str(tmp_path), 1)
    stream._mel.step = lambda samples: samples
    for _ in range(2):
        parts = np.stack([stream.step(mels[0, n : n + 2].numpy()) for n in range(0, mels.shape[1], 2)])
        assert np.allclose(parts, whole, atol=1e-4)
        stream.reset()
        stream._mel.step = lambda samples: samples
    assert np.ptp(whole, axis=0).max() > 0.05  # it is no constant


def test_files_that_are_not_those_of_the_manifest_are_refused(trained: tuple[Ears, list[float], Path], tmp_path: Path) -> None:
    ears, _, _ = trained
    save_ears(ears, tmp_path, PHRASES, {})
    data = bytearray((tmp_path / "ears.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "ears.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="its sha256 is not the one in ears.json"):
        EarlyEars(str(tmp_path), 1)
    (tmp_path / "ears.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        EarlyEars(str(tmp_path), 1)
    about = json.loads((tmp_path / "ears.json").read_text())
    (tmp_path / "ears.json").write_text(json.dumps(about | {"version": 99}))
    with pytest.raises(ModelError, match="version 99"):
        read_manifest(tmp_path)
    (tmp_path / "ears.json").write_text("{}")
    with pytest.raises(ModelError, match="no description of ears"):
        read_manifest(tmp_path)
    with pytest.raises(ModelError, match="'omnistream train ears"):
        EarlyEars(str(tmp_path / "nowhere"), 1)


def test_the_shipped_ears_are_what_they_say() -> None:
    manifest = read_manifest(shipped_folder())
    for name in manifest.sha256:
        verified_bytes(shipped_folder(), name, manifest)
    ears, _ = load_ears(shipped_folder())
    stream = EarlyEars("shipped", 1)
    sound = np.random.default_rng(0).normal(0, 900, 60 * STEP).astype(np.int16)
    mels = torch.from_numpy(np.concatenate([stream._mel.step(s) for s in np.split(sound, 60)])[None])
    assert mels.shape == (1, 120, MELS)
    stream.reset()
    with torch.no_grad():
        whole = ears(mels).classes[0].exp().numpy()
    assert np.allclose(np.stack([stream.step(s) for s in np.split(sound, 60)]), whole, atol=1e-4)
    assert sum(p.stat().st_size for p in shipped_folder().iterdir()) < 9_500_000


def test_the_command_makes_ears_that_a_node_can_use(tmp_path: Path) -> None:
    need_flite()
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    command = [sys.executable, "-m", "omnistream.cli.main", "train", "ears", "--programs", "flite", "--clips", "0.1"]
    command += ["--grammar", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "mine"), "--steps", "2"]
    command += ["--network", "conformer"]
    env = {"OMNISTREAM_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "the 3 phrases of" in done.stdout
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "flite: rms, slt" in card
    assert read_manifest(tmp_path / "mine").shape["network"] == "conformer"
    assert EarlyEars(str(tmp_path / "mine"), 1).step(np.zeros(STEP, np.int16)).shape == (4,)
    command += ["--from", str(tmp_path / "mine"), "--out", str(tmp_path / "next")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = read_manifest(tmp_path / "next").made
    assert (made["after"], made["steps"]) == (2, 2)
    assert "after 2 of other ears" in (tmp_path / "next" / "README.md").read_text()


def test_trainers_that_are_not_there_or_not_possible_are_sentences(tmp_path: Path) -> None:
    env = {"OMNISTREAM_CACHE": str(tmp_path), "PATH": "/nowhere"}
    base = [sys.executable, "-m", "omnistream.cli.main", "train"]
    for arguments, says in (
        (["nose"], "No such command 'nose'"),
        (["ears", "--programs", "flite"], "flite"),
        (["ears", "--network", "nose"], "--network nose: write one of convolutions, conformer"),
    ):
        done = subprocess.run([*base, *arguments], env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 2, done.stdout
        assert says in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("gpu", [False, True])
def test_batches_drawn_ahead_come_in_their_order(gpu: bool) -> None:
    def draw(n: int) -> tuple[int, int]:
        time.sleep(0.01 * (n % 3))  # a later one is done sooner
        if n == 19:
            raise ValueError("no more of them")
        return n, os.getpid()

    with Ahead(draw, 7, gpu=gpu) as batches:
        taken = [batches.take() for _ in range(12)]
        assert [n for n, _ in taken] == list(range(7, 19))
        drawers = {pid for _, pid in taken}
        assert os.getpid() not in drawers
        assert gpu or len(drawers) == 1
        with pytest.raises(ValueError, match="no more of them"):
            batches.take()


_DRAWS = """
import os, time
from omnistream_models.ears.ahead import Ahead
batches = Ahead(lambda n: (n, os.getpid()), 0, gpu=True)
print(*{batches.take()[1] for _ in range(20)}, flush=True)
time.sleep(60)
"""


def test_who_draws_ends_with_who_is_drawn_for() -> None:
    with subprocess.Popen([sys.executable, "-c", _DRAWS], stdout=subprocess.PIPE, text=True) as learner:
        assert learner.stdout is not None
        drawing = [int(pid) for pid in learner.stdout.readline().split()]
        learner.kill()
    assert drawing
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in drawing):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_that_a_drawing_process_was_killed_is_a_sentence() -> None:
    with Ahead(lambda n: (n, os.getpid()), 0, gpu=True) as batches:
        os.kill(batches.take()[1], signal.SIGKILL)
        with pytest.raises(ModelError, match="was killed"):
            any(batches.take() == () for _ in range(1000))
