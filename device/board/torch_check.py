"""Says in words that torch cannot run on this processor, instead of letting `learn` die of an illegal instruction.

A wheel built for newer processors ends its whole process at import; so on old ones a child tries it first. Elsewhere
nothing is tried, because importing torch takes seconds.
"""

from __future__ import annotations

import platform

from edge_nusa.device.board import linux
from edge_nusa.device.board.doctor import probe
from edge_nusa.errors import MissingPackageError

EXPECTED = {"aarch64": "asimddp", "x86_64": "avx2"}
"""By machine, an instruction set whose absence marks a processor that packages may leave behind (Raspberry Pi 3 and
4 lack the first)."""
TRIAL = "import torch; x = torch.ones(8, 8, requires_grad=True); (x @ x).sum().backward()"


def check_processor() -> None:
    """Raises MissingPackageError where torch cannot be imported on an old processor."""
    expected = EXPECTED.get(platform.machine())
    _, flags = linux.processor()
    if expected is None or not flags or expected in flags:
        return
    tried = probe(TRIAL)
    if tried.failure and tried.returncode is not None:  # one that does not answer in time is slow, and not dead
        raise MissingPackageError(
            f"training needs a torch that runs on this processor, found one that fails ({tried.failure}); install "
            "another version of torch, see docs/board.md and `edge-nusa doctor`"
        )
