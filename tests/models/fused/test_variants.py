"""Smaller variants: they round as was measured, those of other weights are not used, and the command makes what a node runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from omnistream.errors import ModelError
from omnistream_models.fused import calibration, smaller, tables, tensors
from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.data import tensors as as_tensors
from omnistream_models.fused.evidence import HEARD, Evidence, Words
from omnistream_models.fused.export import export
from omnistream_models.fused.halves import TABLE, write_float, write_small
from omnistream_models.fused.judging import heads_of, heads_run
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.narrowing import narrowed
from omnistream_models.fused.quantizer import quantize_fused
from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.sensitivity import costs_by_layer, layers_of
from omnistream_models.fused.size import Size
from omnistream_models.fused.tokens import batch, tokens
from omnistream_models.fused.variants import OF, VARIANTS, Variants, folder_of
from omnistream_models.fused.weights import FILES, Manifest, read_manifest, shipped, write_manifest
from omnistream_models.int8 import Way, write_int8
from omnistream_models.int8 import layers_of as products_of
from omnistream_models.rounding import rounded

torch.set_num_threads(1)
TINY = Size(width=8, embedded=4, rows=100, inner=8, adapter=4, sense=2, named=4, counted=4)
NARROW = Size(width=16, embedded=8, rows=300, inner=16, adapter=4, sense=4, named=8, counted=8)
LIMITS = {"accept": 0.4, "contradict": 0.3, "enough": 0.7, "margin": 0.1, "sure": 0.25, "temperature": 1.0}


@pytest.fixture(scope="module")
def model() -> FusedModel:
    torch.manual_seed(5)
    return FusedModel(NARROW).eval()


@pytest.fixture(scope="module")
def floats(model: FusedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("floats")
    write_float(model, folder)
    return folder


@given(arrays(np.float32, (5, 7), elements=st.floats(-100, 100, width=32)))
@example(np.full((5, 7), 3.9e-4, np.float32))  # whose scale half precision has no more than a digit of
def test_a_table_in_8_bits_is_the_table_but_for_half_a_step_of_each_row(table: np.ndarray):
    made = tables.in_int8(table)
    assert {a.dtype for a in made.values()} == {np.dtype(np.int8), np.dtype(np.float16)}
    step = np.maximum(np.abs(table).max(1, keepdims=True) / 127, tables.LEAST)
    assert (np.abs(tables.of(made, Path()) - table) <= 0.51 * step).all()


def test_every_way_decides_nearly_as_floats_do(model: FusedModel, floats: Path, tmp_path: Path):
    made = [scene(9, n, test=True) for n in range(12)]
    wanted = list(heads_of(model, made))
    for n, (way, layers, near) in enumerate(
        ((Way(), [], 0.1), (Way(stored=True), layers_of(model), 0.15), (Way(), layers_of(model), 0.3))
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        write_small(model, floats, folder, layers, way)
        write_manifest(folder, Manifest(LIMITS, size=NARROW))
        for found, heads in zip(heads_run(FusedNetwork(folder), made), wanted, strict=True):
            for name in ("verb", "reason", "direction"):
                np.testing.assert_allclose(found[name], heads[name], atol=near)
        assert (folder / "rest.onnx").stat().st_size < (floats / "rest.onnx").stat().st_size
        assert ("MatMulInteger" in operations(folder / "rest.onnx")) == (bool(layers) and not way.stored)


def test_what_has_none_of_the_layers_that_are_to_be_in_int8_stays_in_float(floats: Path, tmp_path: Path):
    for layers in ([], ["reader.enter"]):  # which the second half has not
        write_int8(floats / "rest.onnx", tmp_path / "rest.onnx", layers)
        assert "MatMulInteger" not in operations(tmp_path / "rest.onnx")


def operations(file: Path) -> set[str]:
    return {node.op_type for node in onnx.load(file).graph.node}


def test_layers_have_one_name_in_torch_and_in_the_files(model: FusedModel, floats: Path):
    named = {name for file in ("words.onnx", "rest.onnx") for name in products_of(floats / file)}
    assert named == set(layers_of(model)) - {TABLE}


def test_each_layer_is_measured_alone_and_is_as_before_afterwards(model: FusedModel):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = [scene(10, n) for n in range(6)]
    costs = costs_by_layer(model, made, LIMITS, lambda: None)
    assert [c.what for c in costs] == layers_of(model)
    assert all(abs(c.loss) < 0.05 for c in costs)
    assert any(c.loss for c in costs)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    with rounded([model.reader.enter], whole=True):
        assert not torch.equal(model.reader.enter.weight, before["reader.enter.weight"])


def test_the_command_makes_variants_that_are_used_with_their_own_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(calibration, "SCENES", 12)
    monkeypatch.setattr(smaller, "SMALL", TINY)
    monkeypatch.setattr(smaller, "WAYS", smaller.WAYS[:2])
    torch.manual_seed(0)
    folder = tmp_path / "mine"
    export(FusedModel(NARROW), Alignment(NARROW), folder, made={"seed": 0})
    assert Variants(folder).names == ("full",)
    quantize_fused(weights=str(folder), seed=1, steps=1, small_steps=1, scenes=150, judges=6)
    shown, card = capsys.readouterr().out, (folder / "README.md").read_text()
    for said in ("| reader.table |", "| dynamic, per tensor (taken) |", "| int8, fewer, learned for it", "| small |"):
        assert said in shown
        assert said in card
    assert len(json.loads((folder / "variants.json").read_text())["layers"]) == len(layers_of(FusedModel(NARROW)))
    assert not list(folder.glob(".quantize-*"))
    found = Variants(folder)
    assert found.names == VARIANTS
    assert len({id(found.of(name)) for name in VARIANTS}) == 3
    assert found.of("small").manifest.size == TINY
    assert found.of("none such") is found.of("full")
    quiet, loud = (
        Evidence(Words("take that", -1.0, -0.1), sound=sound) for sound in (None, np.full((40, HEARD), 3.0, np.float32))
    )
    for name, head in found.of("small").outputs(quiet)[1].items():
        np.testing.assert_allclose(found.of("small").outputs(loud)[1][name], head, atol=1e-4, err_msg="small hears nothing")
    file = folder_of(folder, "int8") / "rest.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    with pytest.raises(ModelError, match="its sha256 is not the one"):
        Variants(folder, at_once=VARIANTS)
    assert Variants(folder).of("small").manifest.size == TINY, "what is not asked for is not opened"
    file.write_bytes(whole)
    weights, _ = tensors.read(folder / "fused.safetensors")
    tensors.write(folder / "fused.safetensors", weights | {"alignment.heat": np.float16(0.5)})
    write_manifest(folder, read_manifest(folder))
    assert Variants(folder).names == ("full",), "those were of other weights"


def test_the_shipped_variants_are_small_and_decide_nearly_as_the_full_one_does():
    networks, made = Variants(), [scene(702, n, test=True) for n in range(150)]
    assert networks.names == VARIANTS
    right = {
        name: np.mean([networks.of(name).decide(s.evidence).decision.asked == s.truth.asked for s in made]) for name in VARIANTS
    }
    assert right["int8"] > right["full"] - 0.04
    assert right["small"] > 0.88 * right["full"]
    about = json.loads((shipped() / "variants.json").read_text())
    parameters = {row["what"]: row["parameters"] for row in about["rows"]}
    assert 8 * parameters["small"] <= parameters["full"]
    sizes = {n: sum((folder_of(shipped(), n) / f).stat().st_size for f in FILES) for n in VARIANTS}
    assert sizes["int8"] < 0.26 * about["as_floats"]
    assert sizes["small"] < 0.12 * about["as_floats"]
    assert networks.of("int8").manifest.made[OF] == read_manifest(shipped()).sha256["fused.safetensors"]
    card = (shipped() / "README.md").read_text()
    assert all(d in card for n in VARIANTS for d in networks.of(n).manifest.sha256.values())


def test_a_network_that_is_narrowed_to_its_own_width_says_the_same(model: FusedModel):
    made = [scene(11, n, test=True) for n in range(12)]
    x = as_tensors(batch([tokens(s.evidence) for s in made]))

    def loss(net: FusedModel) -> torch.Tensor:
        _, enough, heads, *_ = net(x)
        return sum((head.square().mean() for head in heads.values()), enough.square().mean())

    same, fewer = narrowed(model, NARROW, loss), narrowed(model, TINY, loss)
    for found, heads in zip(heads_of(same.eval(), made), heads_of(model, made), strict=True):
        for name, value in heads.items():
            np.testing.assert_allclose(found[name], value, atol=2e-3, err_msg=name)
    assert all(np.isfinite(head).all() for heads in heads_of(fewer.eval(), made) for head in heads.values())
    kept = {tuple(row) for row in model.reader.slots.T.detach().numpy()}
    assert {tuple(row) for row in fewer.reader.slots.T.detach().numpy()} < kept, "channels are chosen, not mixed"
