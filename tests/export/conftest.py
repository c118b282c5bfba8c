"""The helper modules beside the tests are imported by name, and so are those of the command line's tests."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLACES = [str(HERE), str(HERE.parent / "cli"), str(HERE.parent / "foreign")]
sys.path[:0] = PLACES
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*PLACES, os.environ.get("PYTHONPATH", "")]))
