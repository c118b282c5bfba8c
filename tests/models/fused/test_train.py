"""Training: what was broken off goes on as if it had not been, losses fall, and what is written is what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.errors import ModelError
from omnistream_models.fused import calibration, sounds, tensors
from omnistream_models.fused import train as training
from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.data import IGNORE, make_data, truth
from omnistream_models.fused.data import tensors as as_tensors
from omnistream_models.fused.export import export, load
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.schema import HEADS, REASONS
from omnistream_models.fused.tokens import batch, other_tokens, text_tokens
from omnistream_models.fused.tokens import tokens as tokens_of
from omnistream_models.fused.train import Trainer, train
from omnistream_models.fused.weights import shipped


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_small_batches():
    before, batch_size = torch.get_num_threads(), training.BATCH
    torch.set_num_threads(1)
    training.BATCH = 48
    yield
    torch.set_num_threads(before)
    training.BATCH = batch_size


@pytest.fixture(scope="module")
def data():
    return make_data(3, 300)


def test_data_are_the_tokens_and_the_truth_of_their_scenes(data):
    numbers = np.array([4, 17, 250])
    x, y = data.take(numbers)
    wanted = batch([tokens_of(scene(3, int(n)).evidence) for n in numbers])
    x |= {name: data.vocabulary[x[name]] for name in ("words", "labels")}
    assert wanted.keys() - x.keys() == {"sounds", "sounds_on"}  # kept apart
    for name, value in x.items():
        np.testing.assert_allclose(value, wanted[name], atol=5e-3, rtol=1e-3)  # hands and looks are kept at half precision
    assert [y["reason"][i] for i in range(3)] == [truth(scene(3, int(n)))["reason"] for n in numbers]
    assert data.shares.sum() == pytest.approx(1)
    sizes = np.array([len(g) for g in data.groups])
    assert sizes.sum() == 300
    np.testing.assert_allclose(data.shares, np.log(np.maximum(2, sizes)) / np.log(np.maximum(2, sizes)).sum())
    assert (y["verb"] != IGNORE).all() or (y["reason"] == REASONS.index("unclear")).any()


def test_a_training_that_was_broken_off_goes_on_as_if_it_had_not_been(data, tmp_path: Path):
    through, first = (Trainer(data, seed=1, stages=(2, 2, 2, 2, 0)) for _ in range(2))
    through.run(8)
    first.run(3)
    tensors.write(tmp_path / "c.safetensors", first.state())
    second = Trainer(data, seed=1, stages=(2, 2, 2, 2, 0))
    second.restore(tensors.read(tmp_path / "c.safetensors")[0])
    assert second.step == 3
    second.run(8)
    for name, p in through.parameters.items():
        torch.testing.assert_close(p, second.parameters[name], rtol=0, atol=0)


def test_losses_fall_in_each_stage(data):
    trainer, losses = Trainer(data, seed=0, stages=(8, 4, 10, 16, 0)), []
    trainer.run(22, lambda _n, loss: losses.append(loss))
    assert losses[7] < losses[0]
    assert losses[21] < losses[12]
    before = {name: p.detach().clone() for name, p in trainer.parameters.items()}
    trainer.run(38, lambda _n, loss: losses.append(loss))
    assert np.mean(losses[34:]) < np.mean(losses[22:26])
    changed = {name.split(".")[0] for name, p in trainer.parameters.items() if not torch.equal(p, before[name])}
    assert changed == {"alignment"}, "this stage leaves the network as it is"


def test_a_folder_holds_what_was_trained_and_a_changed_one_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(calibration, "SCENES", 60)
    torch.manual_seed(0)
    model = FusedModel()
    export(model, Alignment(), tmp_path, made={"seed": 0})
    network, (loaded, _) = FusedNetwork(tmp_path), load(tmp_path)
    made = [scene(8, n, test=True, plain=0.3) for n in range(20)]
    read = [text_tokens(s.evidence) | other_tokens(s.evidence, every=False) for s in made]
    with torch.no_grad():
        _, _, heads, target, gates = loaded(as_tensors(batch(read)))
    for n, one in enumerate(made):
        _, found = network.outputs(one.evidence)
        for name in HEADS:
            np.testing.assert_allclose(found[name], heads[name][n].numpy(), atol=2e-4, rtol=1e-3)
        room = len(found["target"])  # no more than the scene needs
        np.testing.assert_allclose(found["target"], target[n].numpy()[:room], atol=2e-3, rtol=1e-3)
        np.testing.assert_allclose(found["gates"], gates[n].numpy(), atol=1e-4)
    total = sum(p.stat().st_size for p in tmp_path.iterdir())
    assert total < 4e6
    weights = tmp_path / "rest.onnx"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="its sha256 is not the one"):
        FusedNetwork(tmp_path)
    with pytest.raises(ModelError, match=r"there is no fused\.json"):
        FusedNetwork(tmp_path / "elsewhere")
    (tmp_path / "fused.json").write_text(json.dumps({"limits": {}}))
    with pytest.raises(ModelError, match="no description"):
        FusedNetwork(tmp_path)


def test_the_command_makes_a_folder_that_a_node_can_use(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sounds, "SPOKEN", 20)
    monkeypatch.setattr(calibration, "SCENES", 60)
    asked = ["train", "fused", "--out", str(tmp_path / "mine"), "--scenes", "220", "--steps", "24"]
    asked += ["--programs", "espeak-ng"]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 0, ended.output
    assert FusedNetwork(tmp_path / "mine").manifest.made["steps"] == 24
    assert "24" in (tmp_path / "mine" / "README.md").read_text()
    again = CliRunner().invoke(app, [*asked, "--seed", "3"])
    assert again.exit_code != 0
    assert "is of seed 0, not 3" in again.output


def test_a_checkpoint_of_another_seed_is_refused_in_a_sentence(tmp_path: Path):
    train(tmp_path, seed=1, scenes=220, stages=(1, 1, 1, 1, 0))
    with pytest.raises(ModelError, match="is of seed 1, not 2"):
        train(tmp_path, seed=2, scenes=220, stages=(1, 1, 1, 1, 0))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x10" + bytes(7) + b"{]")
    with pytest.raises(ModelError, match="no whole safetensors"):
        train(tmp_path, seed=1, scenes=220, stages=(1, 1, 1, 1, 0))


def test_for_other_ears_only_what_weighs_sound_is_learned_anew(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sounds, "SPOKEN", 20)
    trainer = train(tmp_path, scenes=220, stages=training.stages_of(24), programs=["espeak-ng"], begin=shipped())
    assert trainer.step == 24
    before = dict(load(shipped())[0].named_parameters())
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    weighing = {id(p) for part in trainer.model.fusion.of_sound() for p in part.parameters()}
    assert changed == {name for name, p in trainer.model.named_parameters() if id(p) in weighing}
    with pytest.raises(ModelError, match="with another beginning"):
        train(tmp_path, scenes=220, stages=training.stages_of(24), programs=["espeak-ng"])
    asked = ["train", "fused", "--out", str(tmp_path), "--from", "shipped", "--programs", "none"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code != 0
    assert "leaves nothing to hear" in refused.output
