"""An AR headset that only has words: prints the captions of a graph, as they come over MQTT.

python launch/headset.py [--url mqtt://127.0.0.1:1883] [--topic ar/captions] [--partials]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time

from omnistream.client import acaptions
from omnistream.errors import OmniStreamError


async def show(url: str, topic: str, *, partials: bool) -> None:
    """Print captions until cancelled; what is not final only where `partials` are wanted, in brackets."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    print(f"waiting for captions on {topic} at {url.rpartition('@')[2]}", flush=True)
    async with contextlib.aclosing(acaptions(url, topic)) as captions:
        async for caption in captions:
            if not caption.final and not partials:
                continue
            late_ms = int(time.time() * 1000) - caption.deadline_ms if caption.deadline_ms else 0
            late = f"   ({late_ms} ms after its deadline)" if late_ms > 0 else ""
            text = caption.text if caption.final else f"[{caption.text} ...]"
            print(f"{text}{late}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    parser.add_argument("--topic", default="ar/captions")
    parser.add_argument("--partials", action="store_true", help="also show captions that may still change")
    options = parser.parse_args()
    try:
        asyncio.run(show(options.url, options.topic, partials=options.partials))
    except asyncio.CancelledError:
        return 0
    except (OmniStreamError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
