"""Features of sound as tensors of one size: what the ears' network has, by the samples alone, and across a gap."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from omnistream.errors import GraphError, ModelError
from omnistream.link.wire import decode_payload, encode_payload
from omnistream.message import MS, SECOND, AudioChunk, Features
from omnistream.node import ports_of
from omnistream.testing import replay
from omnistream_models.ears.export import load_ears, save_ears
from omnistream_models.ears.features import log_mel
from omnistream_models.ears.manifest import shipped_folder
from omnistream_models.ears.network import Ears, Shape
from omnistream_nodes.audio_tokens import AudioTokens

RATE_HZ = 16000
ROOT = Path(__file__).resolve().parents[2]
GRAPH = f"""
graph: hears
nodes:
  mic: {{use: recording, with: {{path: {ROOT}/graphs/recordings/voice_robot.mcap, stream: mic}}}}
  tokens: {{use: "omnistream_nodes.audio_tokens:AudioTokens", inputs: {{audio: {{from: mic, queue: {{block: 256}}}}}}}}
  show: {{use: console, inputs: {{message: tokens}}}}
"""


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 900, round(seconds * RATE_HZ)).astype(np.int16)


def rows(heard: list[tuple[int, Features]]) -> np.ndarray:
    return np.concatenate([f.data for _, f in heard])


async def test_tensors_are_of_one_size_and_end_at_their_stamps(fed) -> None:
    node = await fed(AudioTokens())
    heard = await node.hear(sound(1.1))
    assert [(now - node.start_ns) // MS for now, _ in heard] == [200, 400, 600, 800, 1000]
    for _, features in heard:
        assert (features.data.shape, features.data.dtype, features.hop_ns) == ((10, 192), np.float32, 20 * MS)
        assert encode_payload(decode_payload(encode_payload(features))) == encode_payload(features)
    assert ports_of(AudioTokens).outputs == {"out": {Features}}


async def test_rows_are_the_networks_own(fed) -> None:
    ears, _ = load_ears(shipped_folder())
    samples = sound(1.2)
    with torch.no_grad():
        whole = ears(torch.from_numpy(log_mel(samples))[None]).features[0].numpy()
    assert np.allclose(rows(await (await fed(AudioTokens())).hear(samples)), whole, atol=1e-3)


async def test_in_pieces_equals_whole_and_the_future_changes_nothing(fed) -> None:
    samples = sound(2)
    whole = rows(await (await fed(AudioTokens(every_ms=60))).hear(samples, len(samples)))
    sizes = map(random.Random(1).randint, itertools.repeat(1), itertools.repeat(3000))
    assert np.array_equal(rows(await (await fed(AudioTokens(every_ms=60))).hear(samples, sizes)), whole)
    other = np.concatenate([samples[:RATE_HZ], sound(1, seed=1)])
    past = rows(await (await fed(AudioTokens(every_ms=60))).hear(other))
    assert np.array_equal(past[:48], whole[:48])
    assert not np.allclose(past[50:60], whole[50:60], atol=1e-2)


async def test_behind_a_gap_the_ears_begin_anew(fed) -> None:
    before, after = sound(0.5), sound(0.6, seed=1)
    node = await fed(AudioTokens())
    await node.hear(before)
    node.now += SECOND
    heard = await node.hear(after)
    assert node.reports == ["audio_gap"]
    assert np.array_equal(rows(heard), rows(await (await fed(AudioTokens())).hear(after)))


async def test_a_short_gap_is_silence(fed) -> None:
    before, after = sound(0.5), sound(0.46, seed=1)
    node = await fed(AudioTokens())
    heard = await node.hear(before)
    node.now += 40 * MS
    heard += await node.hear(after)
    silence = np.zeros(RATE_HZ * 40 // 1000, np.int16)
    whole = await (await fed(AudioTokens())).hear(np.concatenate([before, silence, after]))
    assert np.array_equal(rows(heard), rows(whole))
    assert len(whole) == 5


async def test_a_conformers_ears_fit_as_well(fed, tmp_path) -> None:
    torch.manual_seed(0)
    shape = Shape(3, channels=16, kernel=5, dilations=(1,), network="conformer", heads=2, window=8)
    save_ears(Ears(shape).eval(), tmp_path, ("a", "b"), {})
    ears, _ = load_ears(tmp_path)
    samples = sound(0.8)
    with torch.no_grad():
        whole = ears(torch.from_numpy(log_mel(samples))[None]).features[0].numpy()
    assert np.allclose(rows(await (await fed(AudioTokens(ears=str(tmp_path)))).hear(samples)), whole, atol=1e-3)


async def test_what_cannot_be_is_a_sentence(fed) -> None:
    for every_ms in (0, 30, 2020):
        with pytest.raises(GraphError, match=f"every_ms is {every_ms}; write a multiple of 20"):
            AudioTokens(every_ms=every_ms)
    with pytest.raises(ModelError, match="there is no ears.json"):
        await fed(AudioTokens(ears="/nowhere"))
    node = await fed(AudioTokens())
    assert not await node.hear(sound(1), rate_hz=8000)
    assert node.reports == ["audio_rate"]
    assert [f async for f in node.node.step(AudioChunk(np.zeros(0, np.int16), RATE_HZ))] == []


def test_a_replay_equals_a_replay(tmp_path: Path) -> None:
    graph = tmp_path / "hears.yaml"
    graph.write_text(GRAPH, encoding="utf-8")
    one, two = (replay(ROOT / "graphs" / "recordings" / "voice_robot.mcap", graph, to="4s") for _ in range(2))
    assert one.digest == two.digest
    assert len(one.outputs["show.message"]) == 19
    assert not one.ledger
