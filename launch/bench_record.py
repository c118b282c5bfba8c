"""What recording costs: a camera of 640x480 at 30 frames a second and 16 kHz sound, recorded live; part of `make bench`.

python launch/bench_record.py [--seconds N] [--rounds N]

The pictures are those of the shipped recording, enlarged, with a sensor's noise on them: the hardest for a coder. Of a camera
that sends H.264 they are decoded from that, and recorded exactly once as received and once as pixels. Counted is the CPU time
of the recorder's process, its start left out, and what the run's process uses more than without recording.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import msgpack  # noqa: E402  after the number of threads
import numpy as np  # noqa: E402
from bench import RECORDING, machine  # noqa: E402

from omnistream.clock import SystemClock, cpu_ns, perf_ns  # noqa: E402
from omnistream.message import VideoFrame  # noqa: E402


def pictures(path: Path) -> None:
    """Two seconds of 640x480 frames as one array in a file."""
    from omnistream.record.reader import Recording

    noise = np.random.default_rng(0)
    frames: list[np.ndarray] = []
    with Recording(RECORDING) as file:
        topic = next(t for t, kinds in file.streams().items() if VideoFrame in kinds)
        for message in itertools.islice(file.messages(topic), 0, 60):
            large = message.payload.image.repeat(2, 0).repeat(2, 1).astype(np.int16)
            frames.append(np.clip(large + noise.normal(0, 2, large.shape), 0, 255).astype(np.uint8))
    np.save(path, np.stack(frames))


def sent(frames: Path, packets: Path, seen: Path) -> None:
    """The same as a camera with a coder of its own sends them, and as they are seen then."""
    from omnistream.coded import Decoder, Look, Pixels
    from omnistream.record.h264 import H264Encoder

    raw = np.load(frames)
    encoder = H264Encoder(640, 480, 30, len(raw), 16, "superfast")
    data = [encoder.encode(VideoFrame(image)) for image in raw]
    packets.write_bytes(msgpack.packb(data))  # type: ignore[arg-type]
    decoder, pixels = Decoder("h264"), Pixels()
    np.save(seen, np.stack([pixels.of(f, Look(640, 480)) for d in data for f in decoder.decode(d)]))


def graph(seconds: float, frames: Path, packets: Path | str = "") -> str:
    return f"""graph: filmed
nodes:
  cam: {{use: "bench_nodes:Filmed", with: {{seconds: {seconds}, pictures: {frames}, packets: "{packets}"}}}}
  mic: {{use: "bench_nodes:Noise", with: {{seconds: {seconds}}}}}
  kv: {{use: "bench_nodes:Discard", inputs: {{item: cam}}}}
  ka: {{use: "bench_nodes:Discard", inputs: {{item: mic}}}}
"""


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(text: str, seconds: float, video: str, folder: Path) -> dict[str, float]:
    """A run, recorded unless `video` is empty: CPU in percent of a core, latencies and megabytes."""
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.local import LocalCrew
    from omnistream.engine.options import RunOptions
    from omnistream.graph.keep import Keep
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan
    from omnistream.record.about import About
    from omnistream.record.recorder import Recorder

    plan = make_plan(parse_graph(text, str(HERE / "bench.yaml")), "one")
    clock, path = SystemClock(), folder / "x.mcap"
    run_dir = Path(tempfile.mkdtemp(dir=folder))
    recorder: Any = None
    if video:
        keep = Keep(str(path), video=video)  # type: ignore[arg-type]
        recorder = Recorder(str(run_dir), About.of(plan.graph, str(path), 0, {}, keep))
        await asyncio.sleep(1.5)
    options = RunOptions(
        offset_ns=clock.offset_ns, run_dir=str(run_dir), record=bool(video), record_queue=1 << 28, record_packets=True
    )
    started, began = cpu_of(recorder.pid) if recorder else 0.0, cpu_ns()
    outcome = await Conductor(plan, LocalCrew(plan, clock, options), clock, fresh=False).run()
    here = (cpu_ns() - began) / 1e9
    there = 0.0
    if recorder:
        await asyncio.sleep(0.4)
        there = cpu_of(recorder.pid) - started
        made = recorder.finish(outcome.started_ns, (), {})
        if made.holes or made.messages != int(seconds * 30) + int(seconds * 50):
            raise SystemExit(f"not all was recorded: {made}")
    late = {k: statistics.median(r[0] - r[1] for r in outcome.records[k]) / 1e6 for k in ("kv", "ka")}
    size = path.stat().st_size / 1e6 / seconds if video else 0.0
    return {"run": 100 * here / seconds, "recorder": 100 * there / seconds, "mb": size, **late}


def source_ms(frames: Path, packets: Path | None = None) -> tuple[float, float]:
    """What keeping one frame costs on its source's event loop: p50 and p99."""
    from omnistream.coded import Coded, Group, Look
    from omnistream.message import Message
    from omnistream.record.part import PartRecorder

    image = np.array(np.load(frames, mmap_mode="r")[0])
    group = Group("h264", 0, msgpack.unpackb(packets.read_bytes()) * 7 if packets else [])
    took: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        recorder = PartRecorder(folder, "w", 0, packets=bool(packets))
        for i in range(400):
            message = Message("cam.out", 0, i, ("cam.out", 0, i), i, i, i, {"cam.out": i}, VideoFrame(image))
            coded = Coded(Look(640, 480), group, i) if packets else None
            began = perf_ns()
            recorder.message(message, None, "host", coded=coded)
            took.append(perf_ns() - began)
            for old in sorted(Path(folder).glob("*.part"))[:-1]:
                old.unlink()
        recorder.close()
    return statistics.median(took) / 1e6, statistics.quantiles(took, n=100)[98] / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"machine: {machine()}\nload at start: {os.getloadavg()[0]:.2f}; medians of {options.rounds} interleaved rounds\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder / "frames.npy")
        frames, packets, seen = (folder / n for n in ("frames.npy", "packets", "seen.npy"))
        sent(frames, packets, seen)
        raw = graph(options.seconds, frames)
        runs = {
            "": (raw, ""),
            "exact": (raw, "exact"),
            "compact": (raw, "compact"),
            "exact, as received": (graph(options.seconds, seen, packets), "exact"),
            "exact, that as pixels": (graph(options.seconds, seen), "exact"),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, (text, video) in runs.items():
                found[name].append(asyncio.run(run(text, options.seconds, video, folder)))
        kept = {"keeping one frame, at its source": source_ms(frames)}
        kept["the same, as received"] = source_ms(seen, packets)
    middle = {v: {k: statistics.median(r[k] for r in rounds) for k in rounds[0]} for v, rounds in found.items()}
    bare = middle.pop("")
    for what, (p50, p99) in kept.items():
        print(f"{what:34s} {p50:8.2f} ms p50, {p99:.2f} ms p99")
    for video, m in middle.items():
        more = max(0.0, m["run"] - bare["run"])
        cpu = f"{more + m['recorder']:8.1f} % of a core ({m['recorder']:.1f} the recorder, {more:.1f} in the run)"
        print(f"{'recording, ' + video:34s} {cpu}, {m['mb']:.2f} MB/s")
        print(f"{'  added to an edge, frames':34s} {m['kv'] - bare['kv']:8.2f} ms p50 (without: {bare['kv']:.2f})")
        print(f"{'  added to an edge, sound':34s} {m['ka'] - bare['ka']:8.2f} ms p50 (without: {bare['ka']:.2f})")


if __name__ == "__main__":
    main()
