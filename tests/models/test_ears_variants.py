"""Smaller ears: folded they are the same network, int8 rounds as was learned, and a change of variant is seamless."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ears_parts import SMALL, need_flite, small_grammar, tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnistream.errors import ModelError
from omnistream_models.course import Course
from omnistream_models.ears.export import save_ears
from omnistream_models.ears.features import MELS
from omnistream_models.ears.fine_tuning import fine_tuned
from omnistream_models.ears.heard import hearing, judged, open_step
from omnistream_models.ears.manifest import VARIANTS, read_manifest, shipped_folder, write_manifest
from omnistream_models.ears.network import Ears, Shape
from omnistream_models.ears.products import Products, folded, parameters_run, write_step
from omnistream_models.ears.pruning import importance, pruned
from omnistream_models.ears.quantizer import quantize_ears
from omnistream_models.ears.runtime import STEP, EarlyEars
from omnistream_models.ears.scenes import Scenes
from omnistream_models.ears.sensitivity import costs_by_layer, float_layers
from omnistream_models.int8 import LEVELS, WAYS, layers_of, write_int8
from omnistream_models.rounding import quantization_aware

torch.set_num_threads(1)
PHRASES = ("stop", "go forward", "go forward two meters")


@pytest.fixture(scope="module")
def ears() -> Ears:
    torch.manual_seed(0)
    made = Ears(Shape(4, channels=32))
    made(torch.randn(4, 200, MELS))  # so that the norms have seen something
    return made.eval()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    grammar = small_grammar(tmp_path_factory.mktemp("grammar"))
    return Scenes([tone(n, seed=k) for n in range(-1, 3) for k in range(3)], grammar, 1, seconds=4)


@pytest.fixture(scope="module")
def folder(ears: Ears, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ears with all variants."""
    where = tmp_path_factory.mktemp("ears")
    manifest = save_ears(ears, where, PHRASES, {})
    assert set(manifest.sha256) == {"ears.onnx", "ears.safetensors"}
    full = where / VARIANTS["full"]
    write_int8(full, where / VARIANTS["int8"], layers_of(full))
    torch.manual_seed(1)
    write_step(Products(Shape(4, channels=16)), where / VARIANTS["small"])
    write_manifest(where, manifest)
    return where


def test_the_folded_network_says_what_the_trained_one_says_in_pieces_as_in_one(ears: Ears) -> None:
    net, mels = folded(ears), torch.randn(2, 300, MELS)
    with torch.no_grad():
        for one, two in zip(ears(mels), net(mels), strict=True):
            assert torch.allclose(one, two, atol=1e-4)
        state = torch.zeros(1, 4, MELS), torch.zeros(net.rows, 32)
        parts: list[torch.Tensor] = []
        for n in range(0, 300, 2):
            classes, _, *state = net.step(mels[:1, n : n + 2], *state)
            parts.append(classes[0])
        assert torch.allclose(torch.cat(parts), net(mels).classes[0], atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
@given(changes=st.lists(st.tuples(st.integers(1, 90), st.sampled_from(list(VARIANTS))), max_size=6), rest=st.integers(1, 40))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_variant_that_is_changed_to_says_what_it_would_have_said_all_along(
    folder: Path, variant: str, changes: list[tuple[int, str]], rest: int
) -> None:
    count = sum(n for n, _ in changes) + rest
    sound = np.random.default_rng(0).normal(0, 900, (count, STEP)).astype(np.int16)
    always, changing = EarlyEars(str(folder), 1), EarlyEars(str(folder), 1)
    always.use(variant)
    whole = [always.step(s) for s in sound]
    at = 0
    for n, other in changes:
        changing.use(other)
        for s in sound[at : at + n]:
            changing.step(s)
        at += n
    changing.use(variant)
    assert np.array_equal([changing.step(s) for s in sound[at:]], whole[at:])


def test_variants_differ_but_int8_says_nearly_what_full_says(folder: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 900, (150, STEP)).astype(np.int16)
    heard: dict[str, np.ndarray] = {}
    for variant in VARIANTS:
        stream = EarlyEars(str(folder), 1)
        assert stream.variants == tuple(VARIANTS)
        stream.use(variant)
        heard[variant] = np.stack([stream.step(s) for s in sound])
    assert 0 < np.abs(heard["full"] - heard["int8"]).max() < 0.05
    assert np.abs(heard["full"] - heard["small"]).max() > 0.05


def test_a_variant_that_is_not_that_of_its_digest_is_refused_and_one_that_is_not_there_is_the_full_one(
    ears: Ears, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "ears_int8.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "ears_int8.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="its sha256 is not the one in ears.json"):
        EarlyEars(str(tmp_path), 1)
    assert set(save_ears(ears, tmp_path, PHRASES, {}).sha256) == {"ears.onnx", "ears.safetensors"}  # those were of other ears
    assert not (tmp_path / "ears_int8.onnx").exists()
    alone = EarlyEars(str(tmp_path), 1)
    assert alone.variants == ("full",)
    one = alone.step(np.zeros(STEP, np.int16))
    alone.use("small")
    alone.reset()
    assert np.array_equal(alone.step(np.zeros(STEP, np.int16)), one)


def test_every_way_to_quantize_gives_a_smaller_step_of_the_same_ports(folder: Path, tmp_path: Path) -> None:
    full = folder / "ears.onnx"
    feeds = [
        {"frames": np.full((1, 2, MELS), k, np.float32), "mels": np.zeros((1, 4, MELS), np.float32)}
        | {"blocks": np.full((120, 32), k, np.float32)}
        for k in (0.1, 1.0)
    ]
    for way in WAYS:
        write_int8(full, tmp_path / "int8.onnx", layers_of(full), way, feeds)
        session = open_step(tmp_path / "int8.onnx")
        assert {i.name for i in session.get_inputs()} == {"frames", "mels", "blocks"}
        assert np.isfinite(session.run(["classes"], feeds[0])[0]).all()
        assert (tmp_path / "int8.onnx").stat().st_size < 0.45 * full.stat().st_size


def test_each_layer_is_measured_alone_and_what_costs_much_stays_float(folder: Path, scenes: Scenes) -> None:
    full, judges = folder / "ears.onnx", [scenes.batch(0, 2)]
    heard = hearing(open_step(full), judges)
    costs = costs_by_layer(full, heard, judges, lambda: None)
    assert [c.what for c in costs] == layers_of(full)
    assert [c.what for c in costs][:3] == ["stem", "widen.0", "narrow.0"]
    assert all(abs(c.loss) < 0.05 for c in costs)
    dear = [type(c)(c.what, 3.0, 0.1, c.false_a_minute) if c.what == "stem" else c for c in costs]
    assert float_layers(dear) == ["stem"]


def test_what_is_learned_for_int8_is_rounded_already(ears: Ears, scenes: Scenes) -> None:
    full = folded(ears)
    course, layers = Course(2, 1e-3, batch=2), ["stem", "widen.0", "classes"]
    student = quantization_aware(
        pruned(full, importance(full, [scenes.batch(0, 2)]), 32, 64), layers, lambda s: fine_tuned(s, full, scenes, course)
    )
    for name in layers:
        weight = student.get_submodule(name).weight.detach()
        steps = weight / (weight.abs().max() / LEVELS)
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert not torch.equal(weight, full.get_submodule(name).weight)
    assert not any("parametrizations" in name for name in student.state_dict())


def test_pruning_keeps_what_matters(ears: Ears, scenes: Scenes) -> None:
    net, batch = folded(ears), scenes.batch(3, 2)
    mels = torch.from_numpy(batch.mels)
    found = importance(net, [batch])
    same = pruned(net, found, 32, 64)
    with torch.no_grad():
        assert torch.allclose(same(mels).classes, net(mels).classes, atol=1e-6)
        net.widen[2].weight[5:9] = 0  # units that say nothing go first, and nothing is lost with them
        net.widen[2].bias[5:9] = -1.0
    found = importance(net, [batch])
    assert (found.hidden[2][5:9] == 0).all()
    assert (found.hidden[2] > 0).sum() > 16
    small = pruned(net, found, 8, 16)
    assert parameters_run(small) < parameters_run(net) / 4
    assert small(mels).classes.shape == net(mels).classes.shape


def test_a_command_is_right_when_the_first_rise_at_its_end_is_its_own() -> None:
    labels = np.zeros(100, np.int64)
    labels[50:60], labels[60:64] = 2, -100
    sure = np.log(np.full((100, 4), 0.01))
    sure[:, 0] = np.log(0.97)

    def said(step: int, phrase: int) -> np.ndarray:
        logs = sure.copy()
        logs[step, [0, phrase]] = np.log(0.1), np.log(0.88)
        return logs

    for step, phrase, right, false in ((52, 2, 1, 0), (52, 1, 0, 0), (30, 2, 0, 1)):
        heard = judged(said(step, phrase), labels)
        assert (heard.said, heard.right, heard.false) == (1, right, false)
    assert judged(sure, labels).loss > 0


def test_the_shipped_variants_are_as_small_as_their_card_says() -> None:
    where, manifest = shipped_folder(), read_manifest(shipped_folder())
    sizes = {v: (where / name).stat().st_size for v, name in VARIANTS.items() if name in manifest.sha256}
    assert EarlyEars("shipped", 1).variants == tuple(sizes)
    assert sizes["int8"] < 0.26 * sizes["full"]
    assert sizes["small"] < 0.13 * sizes["full"]
    card = (where / "README.md").read_text()
    assert all(f"`{name}`" in card and f"`{digest}`" in card for name, digest in manifest.sha256.items())
    rows = {row["what"]: row for row in json.loads((where / "variants.json").read_text())["rows"]}
    full = rows["full"]["parameters"]
    assert rows["small"]["parameters"] * 8 <= full


def test_the_command_makes_variants_that_a_node_can_use_and_tells_what_they_cost(
    ears: Ears, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_flite()
    monkeypatch.setenv("OMNISTREAM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    save_ears(ears, tmp_path / "mine", PHRASES, {})
    mine = {"ears": str(tmp_path / "mine"), "grammar": str(tmp_path / "small.yaml"), "programs": "flite", "clips": 0.1}
    quantize_ears(**mine, out="", seed=1, steps=1, small_steps=1, scenes=1)
    shown, card = capsys.readouterr().out, (tmp_path / "mine" / "README.md").read_text()
    for said in ("| narrow.7 |", "| dynamic, per tensor (taken) |", "| int8, fewer, learned for it", "| small |"):
        assert said in shown
        assert said in card
    assert len(json.loads((tmp_path / "mine" / "variants.json").read_text())["layers"]) == 18
    stream = EarlyEars(str(tmp_path / "mine"), 1)
    assert stream.variants == tuple(VARIANTS)
    assert not list((tmp_path / "mine").glob(".quantize-*"))
    with pytest.raises(ModelError, match="--grammar"):
        quantize_ears(**mine | {"grammar": "commands.yaml"}, out="", seed=1, steps=1, small_steps=1, scenes=1)
