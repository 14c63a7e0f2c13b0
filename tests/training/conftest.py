"""Let the tests of this folder import `tiny`, which also runs as a script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
