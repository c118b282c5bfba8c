"""From the last voiced sample of a command to the action in the robot's socket, in the running graph, on Ray, camera path on.

python launch/bench_reaction.py [--commands 64] [--rounds 1] [--ears FOLDER]

Plays a recording of commands in voices that no training heard, with a hand before the camera, through graphs/voice_robot.yaml:
with `spoken_commands` (ears that tell a command as it ends) and with `speech_recognizer` (which waits for silence), in turns.
Answered: commands after which the robot was sent what was decided from their sound, within 3 s; whether it was right is what
bench_models.py counts. `reaction` is without the hearing: from the newest sample or frame that a decision needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import machine  # pyright: ignore[reportMissingImports]
from measure_speech import HELD_OUT

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "graphs" / "recordings"))

SYSTEMS = ("spoken_commands", "speech_recognizer")


def played(recording: Path, system: str, ears: str, folder: Path) -> dict[str, Any]:
    """The summary of one run."""
    summary = folder / "summary.json"
    words = ["--set", f"nodes.speech.use={system}"]
    words += ["--set", f"nodes.speech.with.ears={ears}"] if system == "spoken_commands" and ears != "shipped" else []
    command = [sys.executable, str(ROOT / "launch" / "demo.py"), "--recording", str(recording), "--summary", str(summary)]
    ran = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"the graph with {system} ended with {ran.returncode}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return json.loads(summary.read_text())


def row(system: str, said: int, summary: dict[str, Any]) -> str:
    heard, reaction = summary["command_to_action_ms"], summary["reaction_ms"]
    at = lambda f, *names: "".join(f"{f[n]:8.0f}" if n in f else f"{'-':>8}" for n in names)  # noqa: E731
    lost = ", ".join(f"{k} {v}" for k, v in summary["ledger"].items()) or "nothing lost"
    return (
        f"{system:18}{said:6}{heard.get('n', 0):10}{at(heard, 'p50', 'p95', 'p99', 'max')}"
        f"   {at(reaction, 'p50', 'p95', 'p99')}   {lost}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--commands", type=int, default=64)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--ears", default="shipped", help="a folder of trained ears")
    given = options.parse_args()
    from make import bench_script, make

    print(f"{machine()}\nload at start: {os.getloadavg()[0]:.2f}; held-out voices: {', '.join(HELD_OUT)}\n")
    print("                               |  last voiced sample to action, ms |  reaction, ms")
    print("                    said  answered     p50     p95     p99     max        p50     p95     p99   ledger")
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "held_out.mcap"
        make(recording, bench_script(given.commands, 11, HELD_OUT), seed=3)
        for _ in range(given.rounds):
            for system in SYSTEMS:
                print(row(system, given.commands, played(recording, system, given.ears, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
