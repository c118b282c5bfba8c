"""Live microphones: a PulseAudio server that plays a recorded voice, heard through `parec` and through ALSA's pulse plugin."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from omnistream.errors import DeviceError
from omnistream.message import MS
from omnistream.node import Context, Emit
from omnistream_drivers.devices import microphone_list, pulse_microphones
from omnistream_drivers.microphone import Microphone

pytestmark = pytest.mark.usefixtures("no_leaks")

Spawn = Callable[..., "subprocess.Popen[bytes]"]
RATE = 16000


@pytest.fixture
def sound_server(spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts (again) a PulseAudio of the test's own whose one sink is heard as `speaker.monitor`."""
    if shutil.which("pulseaudio") is None or shutil.which("parec") is None:
        pytest.skip("needs apt-get install pulseaudio pulseaudio-utils")
    for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/pulse")

    def start() -> subprocess.Popen[bytes]:
        process = spawn(
            "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error",
            "-L", f"module-native-protocol-unix socket={tmp_path}/pulse auth-anonymous=1",
            "-L", "module-null-sink sink_name=speaker rate=48000 channels=2",
        )  # fmt: skip
        for _ in range(100):
            if subprocess.run(["pactl", "info"], capture_output=True, check=False).returncode == 0:
                return process
        raise AssertionError("pulseaudio did not start")

    return start


@pytest.fixture
def alsa_pulse(sound_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an ALSA device that records from the server."""
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("needs apt-get install libasound2-plugins")
    config = tmp_path / "asound.conf"
    config.write_text(f'pcm.heard {{ type pulse server "unix:{tmp_path}/pulse" device "speaker.monitor" }}\n')
    monkeypatch.setenv("ALSA_CONFIG_PATH", f"/usr/share/alsa/alsa.conf:{config}")
    sound_server()
    return "alsa:heard"


def likeness(heard: np.ndarray, said: np.ndarray) -> float:
    """The best normalized correlation of the voice anywhere in what was heard."""
    if len(heard) < len(said):
        return 0.0
    size = 1 << int(np.ceil(np.log2(len(heard) + len(said))))
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)[: len(heard) - len(said) + 1]
    at = int(np.argmax(np.abs(product)))
    part = heard[at : at + len(said)]
    return float(abs(product[at]) / (np.linalg.norm(part) * np.linalg.norm(said) + 1e-9))


async def hear(device: str, ctx: Context, voice: Path, spawn: Spawn, gather: Any) -> list[Emit[Any]]:
    """Play the voice while the microphone listens, until it was heard in full."""
    player: list[Any] = []

    async def each(_: Emit[Any]) -> None:
        if not player:
            player.append(spawn("paplay", "--device=speaker", str(voice)))

    said = np.frombuffer(voice.read_bytes()[44:], "<i2")[: 68545 // 3 * 3].reshape(-1, 3).mean(axis=1)

    def in_full(emits: list[Emit[Any]]) -> bool:
        return len(emits) % 10 == 0 and likeness(np.concatenate([e.payload.samples for e in emits]).astype(float), said) > 0.9

    emits: list[Emit[Any]] = await gather(Microphone(device=device), ctx, n=1000, each=each, enough=in_full)
    assert in_full(emits)
    return emits


def check(emits: list[Emit[Any]], ctx: Context) -> None:
    assert {e.payload.samples.shape for e in emits} == {(320,)}
    assert {e.clock_source for e in emits} == {"arrival"}
    assert all(b.stamp_ns > a.stamp_ns for a, b in itertools.pairwise(emits))
    if not ctx.report.rows:  # type: ignore[attr-defined]
        assert {b.start_ns - a.stamp_ns for a, b in itertools.pairwise(emits)} == {0}  # type: ignore[operator]


async def test_pulse_hears_a_voice(sound_server: Any, live: Context, voice: Path, spawn: Spawn, gather: Any) -> None:
    sound_server()
    check(await hear("pulse:speaker.monitor", live, voice, spawn, gather), live)
    assert {r for r, _ in live.report.rows} <= {"gap"}  # type: ignore[attr-defined]  (a server short of time loses sound)


async def test_alsa_hears_a_voice(alsa_pulse: str, live: Context, voice: Path, spawn: Spawn, gather: Any) -> None:
    check(await hear(alsa_pulse, live, voice, spawn, gather), live)
    assert {r for r, _ in live.report.rows} <= {"gap"}  # type: ignore[attr-defined]


async def test_live_stamps_stay_near_the_clock(sound_server: Any, live: Context, gather: Any) -> None:
    sound_server()
    ages: list[int] = []

    async def each(emit: Emit[Any]) -> None:
        ages.append(live.clock.now() - emit.stamp_ns)  # type: ignore[operator]

    mic = Microphone(device="pulse:default")
    await gather(mic, live, n=100, each=each)
    assert min(ages) > -50 * MS
    assert np.median(ages) < mic.delay_ns


async def test_a_server_that_dies_is_waited_for(sound_server: Any, live: Context) -> None:
    server = sound_server()
    mic, emits = Microphone(device="pulse:default"), list[Emit[Any]]()
    await mic.open(live)

    async def run() -> None:
        async for emit in mic.run(live):
            emits.append(emit)

    async def more() -> None:
        seen = len(emits)
        async with asyncio.timeout(20):
            while len(emits) < seen + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    task = asyncio.create_task(run())
    await more()
    server.kill()
    server.wait()
    await asyncio.sleep(0.5)
    await asyncio.to_thread(sound_server)
    await more()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await mic.close()
    assert {r for r, _ in live.report.rows} == {"reconnect"}  # type: ignore[attr-defined]
    check(emits, live)


async def test_a_cancelled_microphone_ends_its_parec(sound_server: Any, live: Context) -> None:
    sound_server()
    mic = Microphone(device="pulse:default")
    await mic.open(live)
    stream = mic.run(live)
    await anext(stream)
    recorders = [c for c in psutil.Process().children() if c.name() == "parec"]
    assert len(recorders) == 1
    await stream.aclose()
    await mic.close()
    assert not recorders[0].is_running()


async def test_absent_sources_are_one_sentence_with_what_is_there(alsa_pulse: str, live: Context) -> None:
    for device in ("pulse:nowhere", "alsa:nowhere"):
        with pytest.raises(DeviceError, match="pulse:speaker.monitor") as caught:
            await Microphone(device=device).open(live)
        assert "\n" not in str(caught.value)
        assert "No such" in str(caught.value)


async def test_no_server_and_no_parec(live: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    if shutil.which("parec") is not None:
        with pytest.raises(DeviceError, match="Connection refused"):
            await Microphone(device="pulse:default").open(live)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="pulseaudio-utils"):
        await Microphone(device="pulse:default").open(live)


def test_the_server_s_sources_are_listed(sound_server: Any) -> None:
    sound_server()
    assert [(d.device, d.name) for d in pulse_microphones()] == [
        ("pulse:default", "the default of PulseAudio"),
        ("pulse:speaker.monitor", "Monitor of Null Output"),
    ]
    assert "pulse:speaker.monitor" in microphone_list()
