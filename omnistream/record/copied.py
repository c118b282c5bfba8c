"""A recording whose file is elsewhere from now on."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from omnistream.errors import RecordingError
from omnistream.record.about import About
from omnistream.record.done import Done, Hole, only_one
from omnistream.record.identity import run_of
from omnistream.record.part import DONE
from omnistream.record.progress import Progress, read_progress

__all__ = ["copied"]


def copied(run_dir: Path, about: About, to: Path) -> About:
    """What there is of the file by now in another place, where a scribe goes on with it. What is not there any more, or is
    another run's, is a hole. Raises RecordingError."""
    moved = replace(about, path=str(to))
    lock = only_one(run_dir)
    try:
        done = Done.of(json.loads(read_progress(run_dir / DONE)))
        for number in range(1, done.number + 1):
            old, new = about.numbered(number), moved.numbered(number)
            if run_of(old) == about.run and (number < done.number or old.stat().st_size >= done.size):
                shutil.copyfile(old, new)
                continue
            begun = done.began_ns if number == done.number else done.start_ns
            done.holes.append(Hole("all streams", begun, done.now_ns, 0, f"{old} is not there, or not this run's"))
            if number == done.number:
                done.size = 0
            if done.number == 1:
                done.count = 0
        Progress(run_dir / DONE).say(done.as_json())
        moved.leave(str(run_dir))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordingError(f"{to} cannot be made of {run_dir} ({error})") from None
    finally:
        os.close(lock)
    return moved
