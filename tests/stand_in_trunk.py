"""A foreign trunk for tests: a package whose trunk is the bundle's own, in whole numbers of 8 bits a channel, as a
network of an accelerator would answer: the features differ slightly."""

from __future__ import annotations

from pathlib import Path

NAME, PRECISION = "standin", "a8w8"
MODULE = """
import numpy as np
from pathlib import Path
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.foreign_trunk import ForeignTrunk

def rounded(found):
    step = np.abs(found).max() / 127
    return np.rint(found / step) * step

def make(folder):
    trunk = sessions.open_session(Bundle.open(Path(folder)), "image_trunk", 1)
    def run(pixels):
        return tuple(map(rounded, trunk.run(["embedding", "taps"], {"pixels": pixels})))
    return ForeignTrunk(run=run, provider="standin", precision="a8w8", batch=1)
"""


def package(folder: Path, module: str = MODULE) -> Path:
    """A folder for PYTHONPATH that holds the installed package; returns it."""
    information = folder / "standin-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "standin_trunk.py").write_text(module)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: standin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[edge_nusa.trunks]\n{NAME} = standin_trunk:make\n")
    return folder
