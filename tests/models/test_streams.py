"""Streams in batches, in bfloat16 and, by `make test-gpu`, on a GPU: what they give is what each gives alone on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnistream_models.ears.export import load_ears
from omnistream_models.ears.manifest import shipped_folder
from omnistream_models.ears.network import Ears
from omnistream_models.ears.shape import NETWORKS, usual_shape
from omnistream_models.fused import export, tokens
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.weights import shipped
from omnistream_models.streams import Recorded, Streams

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
STEPS = 30
CLOSE = {"cpu": 1e-4, "cuda": 5e-4}


@pytest.fixture(autouse=True)
def whole_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of float32 on a GPU are of TF32 by themselves, whose 10 bits are seen in a logarithm of -13."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def sounds(count: int) -> torch.Tensor:
    """(count, steps, 2, 40) log-mels of a kind."""
    return torch.randn(count, STEPS, 2, 40, generator=torch.Generator().manual_seed(count)) * 0.5


def alone(ears: Ears, mels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.stack([ears(m.reshape(1, -1, 40)).classes[0] for m in mels])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("count", [1, 5, 64])
def test_streams_together_are_each_alone(network: str, count: int, device: str) -> None:
    torch.manual_seed(3)
    ears, mels = Ears(usual_shape(network, 9)).eval(), sounds(count)
    whole = alone(ears, mels)
    streams = Streams(ears.to(device), count, (2, 40))
    found = torch.cat([streams.step(mels[:, n]).classes.cpu().clone() for n in range(STEPS)], dim=1)
    torch.testing.assert_close(found, whole, atol=CLOSE[device], rtol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_who_is_reset_begins_anew_and_the_others_go_on(device: str) -> None:
    ears, _ = load_ears(shipped_folder())
    mels, again = sounds(3), torch.tensor([False, True, False])
    whole, fresh = alone(ears, mels), alone(ears, mels[:, 10:])
    streams = Streams(ears.to(device), 3, (2, 40))
    for n in range(10):
        streams.step(mels[:, n])
    streams.reset(again)
    found = torch.cat([streams.step(mels[:, n]).classes.cpu().clone() for n in range(10, STEPS)], dim=1)
    expected = torch.where(again[:, None, None], fresh, whole[:, 10:])
    torch.testing.assert_close(found, expected, atol=CLOSE[device], rtol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_half_the_bits_hear_the_same(device: str) -> None:
    ears, _ = load_ears(shipped_folder())
    mels = sounds(8)
    whole = alone(ears, mels).exp()
    streams = Streams(ears.to(device, torch.bfloat16), 8, (2, 40))
    found = torch.cat([streams.step(mels[:, n]).classes.float().cpu() for n in range(STEPS)], dim=1).exp()
    assert float((found - whole).abs().max()) < 0.1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_of_decisions_is_each_alone(dtype: torch.dtype, device: str) -> None:
    model = export.load(shipped())[0].eval()
    items = [tokens.tokens(scene(9, n).evidence) for n in range(32)]
    x = {name: torch.from_numpy(v) for name, v in tokens.batch(items).items()}
    with torch.inference_mode():
        alone = [model({n: v[i : i + 1] for n, v in x.items()})[2]["verb"].softmax(-1) for i in range(len(items))]
    model.to(device)

    def decide(*given: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype != torch.float32, cache_enabled=False):
            return model(dict(zip(x, given, strict=True)))[2]["verb"]

    there = [v.to(device) for v in x.values()]
    found = Recorded(decide, there)(*there).float().softmax(-1).cpu()
    assert float((found - torch.cat(alone)).abs().max()) < (2e-3 if dtype == torch.float32 else 0.15)
    assert np.mean((found.argmax(-1) == torch.cat(alone).argmax(-1)).numpy()) > 0.96
