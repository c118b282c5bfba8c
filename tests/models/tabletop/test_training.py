"""Training of seconds: what was broken off goes on as if it had not been, losses fall, and files hold what was trained."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.errors import ModelError
from omnistream_models.fused import tensors
from omnistream_models.tabletop import training
from omnistream_models.tabletop.crops import Pictures, unseen
from omnistream_models.tabletop.cutting import SIDE
from omnistream_models.tabletop.export import export, load
from omnistream_models.tabletop.runtime import LooksNetwork
from omnistream_models.tabletop.stage import mujoco_or_why_not
from omnistream_models.tabletop.training import Trainer


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_small_batches():
    before, sizes = torch.get_num_threads(), (training.BATCH, training.TABLES)
    torch.set_num_threads(1)
    training.BATCH, training.TABLES = 24, 6
    yield
    torch.set_num_threads(before)
    training.BATCH, training.TABLES = sizes


@pytest.fixture(scope="module")
def tables() -> tuple[Pictures, Pictures]:
    """Tables whose crops are no pictures, but tell colours: what is learned here is that training runs."""
    bare, rng = unseen(1, 40), np.random.default_rng(0)
    shades = rng.integers(0, 256, (7, 3))
    crops = np.clip(shades[bare.colours][:, None, None] + rng.normal(0, 20, (len(bare.kinds), 56, 56, 3)), 0, 255)
    return replace(bare, crops=crops.astype(np.uint8)), unseen(2, 40)


def test_a_training_that_was_broken_off_goes_on_as_if_it_had_not_been(tables, tmp_path: Path):
    through, first = (Trainer(*tables, seed=1, stages=(2, 2, 3)) for _ in range(2))
    through.run(7)
    for until in (3, 5):
        first.run(until)
        tensors.write(tmp_path / "c.safetensors", first.state())
        first = Trainer(*tables, seed=1, stages=(2, 2, 3))
        first.restore(tensors.read(tmp_path / "c.safetensors")[0])
        assert first.step == until
    first.run(7)
    for name, value in through.networks.state_dict().items():
        torch.testing.assert_close(value, first.networks.state_dict()[name], rtol=0, atol=0)
    with pytest.raises(ModelError, match="of another network"):
        first.restore({"step": np.array([1])})


def test_losses_fall_and_the_image_encoder_rests_in_the_last_stage(tables):
    trainer, losses = Trainer(*tables, seed=0, stages=(14, 1, 14)), []
    trainer.run(16, lambda _n, loss: losses.append(loss))  # the last stage begins with a correction for what is rare
    before = {n: v.clone() for n, v in trainer.images.state_dict().items()}
    trainer.run(29, lambda _n, loss: losses.append(loss))
    assert np.mean(losses[11:14]) < np.mean(losses[:3])
    assert np.mean(losses[26:]) < np.mean(losses[15:18])
    assert all(torch.equal(v, before[n]) for n, v in trainer.images.state_dict().items())


def test_a_folder_holds_what_was_trained_and_a_changed_one_is_refused(tables, tmp_path: Path):
    trainer = Trainer(*tables, seed=0, stages=(2, 1, 1))
    trainer.run(4)
    export(trainer.images, trainer.sentences, trainer.pairs, tmp_path, made={"seed": 0})
    images, _, _ = load(tmp_path)
    crops = np.random.default_rng(0).random((5, SIDE, SIDE, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = images(torch.from_numpy(crops).permute(0, 3, 1, 2))
    found = LooksNetwork(tmp_path).glance(crops)
    np.testing.assert_allclose(found.kinds, wanted.kinds.softmax(1).numpy(), atol=1e-4)
    np.testing.assert_allclose(found.colours, wanted.colours.softmax(1).numpy(), atol=1e-4)
    np.testing.assert_allclose(found.vectors, wanted.vectors.numpy(), atol=1e-4)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1.5e6
    weights = tmp_path / "looks.onnx"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="its sha256 is not the one"):
        LooksNetwork(tmp_path)
    with pytest.raises(ModelError, match=r"there is no looks\.json"):
        LooksNetwork(tmp_path / "elsewhere")
    (tmp_path / "looks.json").write_text("{]")
    with pytest.raises(ModelError, match="no description"):
        LooksNetwork(tmp_path)


def test_the_command_makes_a_folder_that_a_node_can_use(tmp_path: Path):
    try:
        mujoco_or_why_not()
    except ModelError as error:
        pytest.skip(str(error))
    asked = ["train", "looks", "--out", str(tmp_path / "mine"), "--scenes", "20", "--steps", "20"]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 0, ended.output
    assert LooksNetwork(tmp_path / "mine").manifest.made["steps"] == 20
    again = CliRunner().invoke(app, [*asked, "--seed", "3"])
    assert again.exit_code != 0
    assert "give the same, or another folder" in " ".join(again.output.split())


def test_the_command_without_mujoco_says_in_a_sentence_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    ended = CliRunner().invoke(app, ["train", "looks", "--out", str(tmp_path / "mine")])
    assert ended.exit_code != 0
    assert "omnistream[scenes]" in ended.output
    assert "Traceback" not in ended.output
    assert not (tmp_path / "mine").exists()
