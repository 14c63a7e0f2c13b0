"""These tests run kernels in Triton's interpreter: in a process of their own, started by
tests/bench/test_kernels.py, because Triton decides at import whether to interpret."""

import os

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]
