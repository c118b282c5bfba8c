"""Say something to a running graph: sends one command over ZeroMQ and prints what became of it.

python launch/say.py [--connect tcp://127.0.0.1:5560] go forward two meters
"""

from __future__ import annotations

import argparse
import sys

from omnistream.client import Commander


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", default="tcp://127.0.0.1:5560", metavar="ENDPOINT")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S")
    parser.add_argument("text", nargs="+")
    options = parser.parse_args()
    try:
        receipt = Commander(options.connect).send(" ".join(options.text), timeout=options.timeout)
    except (TimeoutError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{receipt.status}{': ' if receipt.detail else ''}{receipt.detail}")
    return 0 if receipt.ok else 1


if __name__ == "__main__":
    sys.exit(main())
