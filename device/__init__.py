"""The board's room: learn, predict, undo, report. Imports edge_nusa, never edge_nusa.export."""

import os

# Neither changes what is computed (`edge_nusa.threads` sees to that), so it does not matter where a library was loaded
# before.
# Numpy's products take one thread here: what OpenBLAS would start beside it when it is loaded would only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# torch's threads that wait asleep instead of spinning cost nothing on a quiet board and save half on a busy one
# (docs/performance.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
