"""A bounded folder of pictures that the answer was unsure of, kept for a person to label later; only where asked for.

Names are the first 16 digits of the picture's SHA-256 with its suffix, so that a picture is kept once, whatever it was
called. When the folder is full the oldest kept picture goes; files with other names are never touched.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.device.asking.predict import Prediction
from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown
from edge_nusa.files.node import FileBytes
from edge_nusa.pictures.names import SUFFIXES
from edge_nusa.pictures.pictures import printable

_KEPT_NAME = re.compile(rf"[0-9a-f]{{16}}({'|'.join(map(re.escape, sorted(SUFFIXES)))})")


@dataclass(frozen=True)
class UncertainSettings:
    """folder; most_files and most_bytes bound it; below: keep what has a top probability under this, or is unknown."""

    folder: Path
    most_files: int = 200
    most_bytes: int = 200 << 20
    below: float = 0.6


class UncertainFolder:
    """The folder with its bounds; `keep` puts a picture in when its answer was unsure."""

    def __init__(self, settings: UncertainSettings) -> None:
        """Makes the folder. Raises ResourceError or InputError where the disk refuses."""
        self.settings = settings
        with durable.explained(f"make {settings.folder}"):
            durable.make_folder(settings.folder)
            durable.remove_leftovers(settings.folder)

    def is_unsure(self, prediction: Prediction) -> bool:
        """Whether a prediction is worth a person's look."""
        return prediction.unknown or prediction.labels[0].probability < self.settings.below

    def keep(self, picture: FileBytes) -> str | None:
        """Write the picture in and return its name there; None where it is too large.

        Raises ResourceError where the disk refuses.
        """
        suffix = picture.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"{printable(picture.path)}: expected a picture's name, found {shown(suffix)}; rename it")
        if len(picture.data) > self.settings.most_bytes:
            return None
        name = picture.sha256[:16] + suffix
        with durable.explained(f"keep an uncertain picture in {self.settings.folder}"):
            if not (self.settings.folder / name).exists():
                self._make_room(len(picture.data))
                durable.replace_file(self.settings.folder / name, picture.data)
        return name

    def _make_room(self, size: int) -> None:
        """Remove the oldest kept pictures until one more of `size` bytes fits both bounds."""
        kept = []
        with os.scandir(self.settings.folder) as entries:
            for entry in entries:
                if _KEPT_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    kept.append((status.st_mtime_ns, entry.name, status.st_size))
        kept.sort()
        files, total = len(kept), sum(entry[2] for entry in kept)
        for _, name, bytes_of_it in kept:
            if files < self.settings.most_files and total + size <= self.settings.most_bytes:
                return
            with suppress(FileNotFoundError):
                os.unlink(self.settings.folder / name)
            files, total = files - 1, total - bytes_of_it
