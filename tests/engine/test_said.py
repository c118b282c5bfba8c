"""What a worker prints is shown once, whichever thread has printed it."""

from __future__ import annotations

import sys
import threading

from omnistream.engine.actor import Said

COUNT = 3_000


def talk(said: Said, name: int, gone: list[int]) -> None:
    for n in range(COUNT):
        said.write(f"{name}{n}\n")
    gone.append(name)


def test_no_line_is_lost_or_shown_twice_while_threads_print() -> None:
    expected = sorted(f"{name}{n}" for name in range(3) for n in range(COUNT))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            said, gone, got = Said(), list[int](), list[str]()
            threads = [threading.Thread(target=talk, args=(said, name, gone)) for name in range(3)]
            for thread in threads:
                thread.start()
            while len(gone) < 3:
                got += said.take()
            for thread in threads:
                thread.join()
            assert sorted(got + said.take()) == expected
    finally:
        sys.setswitchinterval(before)
