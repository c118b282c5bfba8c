"""Broker, headset and the small tools of launch/, as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest

LAUNCH = Path(__file__).parents[2] / "launch"


def ended(pid, timeout_s=3.0):
    """Whether the process is gone (or a zombie that nobody has buried) in time."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def start_broker(*args):
    process = subprocess.Popen([sys.executable, LAUNCH / "broker.py", *args], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    return process, line, child


@pytest.mark.broker
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_broker_ends_with_its_parent_however_that_ends(how):
    process, line, child = start_broker()
    assert "on mqtt://127.0.0.1:" in line
    process.send_signal(how)
    process.wait(5)
    process.stdout.close()
    assert ended(child)


@pytest.mark.broker
def test_the_embedded_broker_says_what_it_is():
    process, line, child = start_broker("--embedded")
    assert line.startswith("amqtt (embedded")
    process.terminate()
    process.wait(5)
    process.stdout.close()
    assert ended(child)


@pytest.mark.broker
def test_a_port_that_is_taken_is_one_clear_sentence():
    process, line, _ = start_broker()
    port = line.rpartition(":")[2].strip()
    second = subprocess.run([sys.executable, LAUNCH / "broker.py", "--port", port], capture_output=True, text=True, check=False)
    process.terminate()
    process.wait(5)
    process.stdout.close()
    assert second.returncode == 1
    assert f"on port {port} ([Errno 98] Address already in use)" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.broker
async def test_the_headset_prints_captions_and_ends_when_told():
    broker, line, _ = start_broker()
    url = line.split()[-1]
    headset = await asyncio.create_subprocess_exec(
        sys.executable, str(LAUNCH / "headset.py"), "--url", url, stdout=asyncio.subprocess.PIPE
    )
    async with aiomqtt.Client("127.0.0.1", int(url.rpartition(":")[2])) as client:
        await headset.stdout.readline()
        reading = asyncio.create_task(headset.stdout.readline())
        for i in range(100):
            await client.publish("ar/captions", f'{{"id": "p{i}", "text": "perhaps", "final": false}}')
            await client.publish("ar/captions", f'{{"id": "c{i}", "text": "Going forward."}}')
            await asyncio.sleep(0.03)
            if reading.done():
                break
        assert (await reading).decode().strip() == "Going forward."
    headset.send_signal(signal.SIGTERM)
    await asyncio.wait_for(headset.communicate(), 5)
    assert headset.returncode == 0
    broker.terminate()
    broker.wait(5)
    broker.stdout.close()


@pytest.mark.parametrize(
    ("script", "args", "sentence"),
    [
        ("headset.py", ["--url", "mqtt://127.0.0.1:9"], "no MQTT broker at mqtt://127.0.0.1:9"),
        ("headset.py", ["--url", "nowhere"], "is no broker"),
        ("robot.py", ["--connect", "nowhere"], "is no endpoint"),
        ("say.py", ["--connect", "tcp://127.0.0.1:9", "--timeout", "0.2", "stop"], "no answer from tcp://127.0.0.1:9"),
    ],
)
def test_a_wrong_address_is_one_sentence_and_exit_code_2(script, args, sentence):
    done = subprocess.run([sys.executable, LAUNCH / script, *args], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.broker
def test_no_broker_at_all_says_what_to_install():
    code = f"import sys; sys.path.insert(0, {str(LAUNCH)!r}); sys.modules['amqtt'] = None; import shutil, importlib.util as u; "
    code += "shutil.which = lambda *a, **k: None; u.find_spec = lambda *a, **k: None; import broker; broker.start()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apt-get install mosquitto" in done.stderr


def test_there_is_no_worker_to_kill_without_a_demo():
    import kill_worker  # type: ignore[import-not-found]

    assert kill_worker.workers_of(os.getpid()) == []
