"""The laws of the ears' network: streamed equals whole, the future cannot change the past, streams do not meet."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream_models.ears.features import MELS
from omnistream_models.ears.network import Ears, Shape

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def ears() -> Ears:
    torch.manual_seed(0)
    made = Ears(Shape(5, channels=16))
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


def test_the_future_cannot_change_the_past(ears: Ears) -> None:
    sound = torch.randn(1, 400, MELS)
    other = sound.clone()
    other[:, 200:] = torch.randn(1, 200, MELS) * 5
    with torch.no_grad():
        one, two = ears(sound).classes, ears(other).classes
    assert torch.allclose(one[:, :100], two[:, :100], atol=1e-5)
    assert not torch.allclose(one[:, 100], two[:, 100], atol=1e-3)


def test_it_remembers_as_long_as_it_says(ears: Ears) -> None:
    """Its past is 4 x 30 steps and the stem's 4 frames: what is older has no word in it."""
    sound = torch.randn(1, 2 * 140, MELS)
    other = sound.clone()
    other[:, : 2 * 15] = 0
    with torch.no_grad():
        one, two = ears(sound).classes, ears(other).classes
    assert torch.allclose(one[:, 15 + 123 :], two[:, 15 + 123 :], atol=1e-5)
    assert not torch.allclose(one[:, 15 + 20], two[:, 15 + 20], atol=1e-6)


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


def test_a_shape_is_what_was_written() -> None:
    shape = Shape(9, channels=32, dilations=(1, 3))
    assert Shape.from_json(shape.to_json()) == shape
    assert 500_000 < sum(p.numel() for p in Ears(Shape(73)).parameters()) < 650_000
