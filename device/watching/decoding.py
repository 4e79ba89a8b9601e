"""How a watch decodes strangers' pictures: in a child with limits, each marked as long as it is being opened."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from edge_nusa.device.asking.ahead import DecodeBounds
from edge_nusa.device.watching.begun import Begun
from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.files.node import FileBytes
from edge_nusa.pictures.apart import CHILD_BYTES, Apart
from edge_nusa.pictures.pictures import decode

KILLED = (
    "expected a picture that can be opened, found that the watch was killed while it opened this one; it is not tried "
    "again before it changes: look at it and remove it, or `touch` it"
)


class Decoding:
    """The child and the mark of one watch, whose ledger is given."""

    bytes_beside = CHILD_BYTES

    def __init__(self, ledger: Path) -> None:
        self._apart, self._begun = Apart(), Begun(ledger)
        self.killed = self._begun.killed

    def start(self) -> None:
        """Start the child, which gets ready meanwhile. Raises ResourceError."""
        self._begun.begin()
        self._apart.start()

    def close(self) -> None:
        """End the child, and take the mark away: no picture ended this watch."""
        self._begun.close()
        self._apart.close()

    def __call__(self, file: FileBytes, bounds: DecodeBounds) -> Image.Image:
        """The file's picture. Raises InputError, ResourceError where no child can be started."""
        with self._begun.marked(file.path, Stamp.of(file.node)):
            return decode(file, *bounds, read=self._apart)
