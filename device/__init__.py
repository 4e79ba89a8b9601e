"""The board's room: learn, predict, undo, report. Imports edge_nusa, never edge_nusa.export."""

import os

# The head's matrices and the pools are too small to share: with every core's thread in OpenBLAS, one busy core beside
# them makes a Cholesky of 1793 x 1793 take 2.3 s instead of 0.07 s (docs/performance.md). Read when numpy is first
# imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The same for torch: threads that wait asleep instead of spinning cost nothing on a quiet board and save half on a busy
# one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
