"""An MQTT broker on loopback for demos and tests: mosquitto where it is installed, else the embedded one (amqtt).

    python launch/broker.py [--port 1883] [--embedded] [--keep DIR]

Says which it is, runs until it is ended, and leaves no file behind (with --keep: its sessions, in DIR).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from processes import end, free_port, spawn

__all__ = ["Broker", "find_mosquitto", "start"]

READY_S = 10.0
MISSING = "no MQTT broker: run make setup, which brings the embedded one, or install mosquitto (apt-get install mosquitto)"


class Broker:
    """A running broker: `name`, `port`, `url`. End it with `stop`."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[Any]) -> None:
        self.name, self.port, self.process = name, port, process
        self.url = f"mqtt://127.0.0.1:{port}"

    def stop(self) -> None:
        end(self.process)


def start(port: int = 0, *, embedded: bool = False, keep: str = "", quiet: bool = True) -> Broker:
    """Start one and wait until it answers. Raises SystemExit with a sentence where that cannot be."""
    port = port or free_port()
    _check(port)
    program = None if embedded else find_mosquitto()
    output = subprocess.DEVNULL if quiet else None
    if program is not None:
        broker = Broker(_version(program), port, _mosquitto(program, port, keep, output))
    elif importlib.util.find_spec("amqtt") is not None:
        args = [sys.executable, str(Path(__file__).with_name("embedded_broker.py")), str(port)]
        broker = Broker("amqtt (embedded, MQTT 3.1.1)", port, spawn(args, stdout=output, stderr=output))
    else:
        raise SystemExit(MISSING)
    _wait(broker)
    return broker


def find_mosquitto() -> str | None:
    """The program; Debian keeps it where a user's PATH does not lead."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _check(port: int) -> None:
    """A broker that cannot have its port may say so late, while another one answers on it."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise SystemExit(f"no broker can be started on port {port} ({error}); give another --port") from None


def _version(program: str) -> str:
    told = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return told.strip() or "mosquitto"


def _mosquitto(program: str, port: int, keep: str, output: int | None) -> subprocess.Popen[Any]:
    """The configuration comes through a pipe, so that no file is left. As root it would change its user, and would then no
    longer end with us (the kernel forgets that): so it starts as that user."""
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
    lines += ["persistence true", f"persistence_location {keep}/", "autosave_interval 1"] if keep else ["persistence false"]
    reading, writing = os.pipe()
    options: dict[str, Any] = {}
    if os.geteuid() == 0 and keep:
        lines.append("user root")  # another one may not reach the folder
    elif os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.fchown(reading, user.pw_uid, user.pw_gid)
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        process = spawn([program, "-c", "/dev/stdin"], stdin=reading, stdout=output, stderr=output, **options)
        os.write(writing, "\n".join([*lines, ""]).encode())
    finally:
        os.close(reading)
        os.close(writing)
    return process


def _wait(broker: Broker) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if broker.process.poll() is not None:
            broker.stop()
            raise SystemExit(f"{broker.name} ended at once; run it by hand to see why")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", broker.port), 0.2):
            return
        time.sleep(0.02)
    broker.stop()
    raise SystemExit(f"{broker.name} did not answer on port {broker.port} within {READY_S:g} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="loopback port (default: a free one)")
    parser.add_argument("--embedded", action="store_true", help="the embedded broker even where mosquitto is installed")
    parser.add_argument("--keep", default="", metavar="DIR", help="keep sessions there over a restart (mosquitto)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    broker = start(options.port, embedded=options.embedded, keep=options.keep)
    print(f"{broker.name} on {broker.url}", flush=True)
    try:
        return broker.process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        broker.stop()


if __name__ == "__main__":
    sys.exit(main())
