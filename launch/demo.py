"""What `make run` does: a recorded person speaks and points, a graph on Ray actors decides, a robot and a headset obey.

    python launch/demo.py [--embedded] [--recording FILE.mcap] [options of `omnistream run`]

Starts an MQTT broker, a robot and a headset as processes of their own, runs graphs/voice_robot.yaml on the shipped recording in
the foreground, and ends all it started, whatever happens. The exit code is that of the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import broker as brokers
from processes import end, free_port, spawn

ROOT = Path(__file__).parents[1]
GRAPH = ROOT / "graphs" / "voice_robot.yaml"
RECORDING = ROOT / "graphs" / "recordings" / "voice_robot.mcap"
BUILD = ROOT / "build"
PID_FILE = BUILD / "demo.pid"
COLOURS = {"robot": "\033[36m", "headset": "\033[35m"}


class Clients:
    """The processes of the demo. Their lines are printed here, so that they stand above a live table and do not break it."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[Any]] = []
        self._readers: list[threading.Thread] = []
        self._printing = threading.Lock()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def start(self, name: str, *args: str) -> None:
        """Run a script of this folder; what it says is printed with its name before it."""
        command = [sys.executable, str(ROOT / "launch" / f"{name}.py"), *args]
        process = spawn(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self._started.append(process)
        reader = threading.Thread(target=self._follow, args=(name, process), daemon=True)
        self._readers.append(reader)

    def listen(self) -> None:
        """To be called when all processes are there: from here on this process has threads."""
        for reader in self._readers:
            reader.start()

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for reader in self._readers:  # what they say last
            if reader.is_alive():
                reader.join(3)
        for process in self._started:
            end(process)

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        mark = f"{COLOURS[name]}[{name}]\033[0m" if self._coloured else f"[{name}]"
        with contextlib.suppress(ValueError):  # the stream was closed at the end
            for line in process.stdout:
                with self._printing:
                    print(f"{mark} {line.decode(errors='replace').rstrip()}", flush=True)


def main(given: list[str]) -> int:
    embedded = "--embedded" in given
    given = [g for g in given if g != "--embedded"]
    if given and given[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    recording = RECORDING
    if "--recording" in given[:-1]:
        at = given.index("--recording")
        recording = Path(given[at + 1])
        del given[at : at + 2]
    if not recording.exists():
        print(f"demo: {recording} is not here; make it with graphs/recordings/make.py", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    BUILD.mkdir(exist_ok=True)
    PID_FILE.write_text(f"{os.getpid()}\n")
    actions, commands = free_port(), free_port()
    clients, broker = Clients(), None
    try:
        broker = brokers.start(embedded=embedded)
        print(f"demo: the MQTT broker is {broker.name}, at {broker.url}")
        clients.start("robot", "--connect", f"tcp://127.0.0.1:{actions}", "--log", str(BUILD / "robot.jsonl"))
        clients.start("headset", "--url", broker.url)
        clients.listen()
        here = f"tcp://127.0.0.1:{commands}"
        print(f"demo: while it runs, say more:      {_shown('python')} launch/say.py --connect {here} go forward")
        print(f"demo: while it runs, kill a worker: {_shown('python')} launch/kill_worker.py   (the robot stops, and goes on)")
        sys.stdout.flush()
        code = _run(recording, broker.url, actions, commands, given)
    finally:
        clients.end()
        if broker is not None:
            broker.stop()
        PID_FILE.unlink(missing_ok=True)
    if code == 0:
        _hints()
    return code


def _run(played: Path, url: str, actions: int, commands: int, given: list[str]) -> int:
    """`omnistream run` in this process, so that the table and the clients' lines share one terminal."""
    import typer

    from omnistream.cli.main import app

    recording = str(played)
    args = ["run", str(GRAPH), "--source", f"mic={recording}", "--source", f"camera={recording}"]
    args += ["--set", f"nodes.robot.with.bind=tcp://127.0.0.1:{actions}"]
    args += ["--set", f"nodes.typed.with.bind=tcp://127.0.0.1:{commands}"]
    args += ["--set", f"nodes.glasses.with.url={url}"]
    args += [] if any(g.startswith("--engine") for g in given) else ["--engine", "ray"]
    args += [] if any(g.startswith("--summary") for g in given) else ["--summary", str(BUILD / "summary.json")]
    try:
        code = typer.main.get_command(app).main(args=[*args, *given], prog_name="omnistream", standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:  # what click prints by itself in standalone mode: a wrong option
        if not hasattr(error, "format_message"):
            raise
        print(f"demo: {error.format_message()}", file=sys.stderr)  # type: ignore[attr-defined]
        return 2
    return code if isinstance(code, int) else 0


def _shown(program: str) -> str:
    """How to type a program of this environment."""
    path = str(Path(sys.executable).parent / program)
    near = os.path.relpath(path)
    return path if near.startswith("..") else near


def _hints() -> None:
    omnistream = _shown("omnistream")
    print(
        f"""
Next:
  the same answer each time, on every engine:  {omnistream} replay graphs/recordings/voice_robot.mcap graphs/voice_robot.yaml
  the graph as a picture in the terminal:      {omnistream} draw graphs/voice_robot.yaml
  this run in figures, and the robot's way:    build/summary.json, build/robot.jsonl"""
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
