"""Helper modules of the law tests are imported by name, by workers too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
