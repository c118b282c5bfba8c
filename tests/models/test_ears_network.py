"""The laws of the ears' networks: streamed equals whole, the future cannot change the past, streams do not meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.errors import ModelError
from omnistream_models.ears.export import write_network
from omnistream_models.ears.features import MELS
from omnistream_models.ears.network import Ears, Shape
from omnistream_models.ears.shape import NETWORKS, usual_shape
from omnistream_models.onnx_session import open_session_of

torch.set_num_threads(1)
#: Each with a window and kernels that the sounds below are much longer than.
SMALL = {
    "convolutions": Shape(5, channels=16),
    "conformer": Shape(5, channels=16, kernel=5, dilations=(1, 2), network="conformer", heads=2, window=12),
}
#: Steps that each remembers, its stem's included: what is older has no word in what it says.
MEMORY = {"convolutions": 4 * 30 + 3, "conformer": 2 * 11 + 4 * 3 + 3}


@pytest.fixture(scope="module", params=NETWORKS)
def ears(request: pytest.FixtureRequest) -> Ears:
    torch.manual_seed(0)
    made = Ears(SMALL[request.param])
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.endswith("distance"):  # it begins as zeros, which any place would have right
                value.normal_(0, 2)
    made(torch.randn(4, 120, MELS))  # so that the norms have seen something
    return made.eval()


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_streamed_equals_whole(ears: Ears, steps: list[int]) -> None:
    sound = torch.randn(2, 2 * sum(steps), MELS, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, state, at = ears(sound), ears.init_state(2), 0
        for n in steps:
            heard, state = ears.step(sound[:, 2 * at : 2 * (at + n)], state)
            for part, all_of_it in zip(heard, whole, strict=True):
                assert torch.allclose(part, all_of_it[:, at : at + n], atol=1e-4)
            at += n
    assert [part.shape for part in state] == [part.shape for part in ears.init_state(2)]


def test_the_future_cannot_change_the_past(ears: Ears) -> None:
    sound = torch.randn(1, 400, MELS)
    other = sound.clone()
    other[:, 200:] = torch.randn(1, 200, MELS) * 5
    with torch.no_grad():
        one, two = ears(sound).classes, ears(other).classes
    assert torch.allclose(one[:, :100], two[:, :100], atol=1e-5)
    assert not torch.allclose(one[:, 100], two[:, 100], atol=1e-3)


def test_it_remembers_as_long_as_it_says(ears: Ears) -> None:
    sound = torch.randn(1, 2 * 140, MELS)
    other = sound.clone()
    other[:, : 2 * 15] = 0
    forgotten = 15 + MEMORY[ears.shape.network]
    with torch.no_grad():
        one, two = ears(sound).classes, ears(other).classes
    assert torch.allclose(one[:, forgotten:], two[:, forgotten:], atol=1e-5)
    assert not torch.allclose(one[:, 15 + 20], two[:, 15 + 20], atol=1e-6)


def test_a_stream_hears_the_same_in_company_as_alone(ears: Ears) -> None:
    sound = torch.randn(3, 120, MELS)
    with torch.no_grad():
        together = ears(sound)
        for n in range(3):
            for part, all_of_it in zip(ears(sound[n : n + 1]), together, strict=True):
                assert torch.allclose(part[0], all_of_it[n], atol=1e-5)


def test_reset_forgets_the_streams_of_its_mask_alone(ears: Ears) -> None:
    first, then = torch.randn(3, 60, MELS), torch.randn(3, 20, MELS)
    with torch.no_grad():
        _, state = ears.step(first, ears.init_state(3))
        kept, _ = ears.step(then, state)
        mixed, _ = ears.step(then, ears.reset(state, torch.tensor([False, True, False])))
        fresh, _ = ears.step(then, ears.init_state(3))
    assert torch.allclose(mixed.classes[[0, 2]], kept.classes[[0, 2]])
    assert torch.allclose(mixed.classes[1], fresh.classes[1], atol=1e-6)
    assert not torch.allclose(mixed.classes[1], kept.classes[1], atol=1e-4)


def test_reset_forgets_even_what_is_no_number(ears: Ears) -> None:
    state = ears.init_state(2)
    state.blocks[1] = torch.nan
    again = ears.reset(state, torch.tensor([False, True]))
    assert all(torch.isfinite(part).all() for part in again)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_shape_is_what_was_written(network: str) -> None:
    shape = usual_shape(network, 73)
    assert Shape.from_json(shape.to_json()) == shape
    assert 1_200_000 < sum(p.numel() for p in Ears(shape).parameters()) < 1_350_000


def test_shapes_written_before_there_were_two_networks_are_convolutions() -> None:
    written = {"classes": 9, "channels": 32, "kernel": 5, "dilations": [1, 3], "widen": 2}
    assert Shape.from_json(written) == Shape(9, channels=32, dilations=(1, 3))
    with pytest.raises(ModelError, match="'nose' are not known here; there are convolutions, conformer"):
        usual_shape("nose", 9)
    with pytest.raises(ModelError, match="'nose' are not known"):
        Shape.from_json(written | {"network": "nose"})
    with pytest.raises(ModelError, match="16 channels, 3 heads"):
        Shape(5, channels=16, network="conformer", heads=3)


def test_the_exported_step_says_what_torch_says_in_pieces_and_in_company(ears: Ears, tmp_path: Path) -> None:
    write_network(ears, tmp_path / "ears.onnx")
    session = open_session_of((tmp_path / "ears.onnx").read_bytes(), "ears.onnx", 1)
    sound = torch.randn(2, 2 * 40, MELS)
    with torch.no_grad():
        whole = ears(sound)
    state, at = [part.numpy() for part in ears.init_state(2)], 0
    for steps in (1, 1, 3, 1, 20, 14):  # more at once than a window has, too
        given = {"frames": sound[:, 2 * at : 2 * (at + steps)].numpy(), "mels": state[0], "blocks": state[1]}
        classes, features, *state = session.run(None, given)
        assert np.allclose(classes, whole.classes[:, at : at + steps], atol=1e-4)
        assert np.allclose(features, whole.features[:, at : at + steps], atol=1e-4)
        at += steps
