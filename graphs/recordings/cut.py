"""The first seconds of a recording as a recording of its own, message for message.

python graphs/recordings/cut.py voice_robot.mcap short.mcap 12
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from pathlib import Path

from omnistream.message import SECOND
from omnistream.record.codec import RecordedMessage
from omnistream.record.reader import Recording
from omnistream.record.writer import RecordingWriter


def cut(source: Path, target: Path, seconds: float) -> None:
    """Everything stamped in the first `seconds`; pictures are decoded and kept without further loss."""
    with Recording(source) as file, RecordingWriter(target, start_ns=file.start_ns) as out:
        end = file.start_ns + int(seconds * SECOND)

        def until(topic: str) -> Iterator[tuple[int, str, RecordedMessage]]:
            for message in file.messages(topic):
                if message.stamp_ns > end:
                    return
                yield message.stamp_ns, topic, message

        for _, topic, message in heapq.merge(*(until(t) for t in file.streams()), key=lambda entry: entry[:2]):
            out.write(topic, message)
        for entry in file.truth():
            if entry["end_ns"] <= end:
                out.truth(entry["end_ns"], entry)


if __name__ == "__main__":
    cut(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
