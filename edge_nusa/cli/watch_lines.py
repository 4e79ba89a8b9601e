"""Where a watch's lines go: into a file, or onto stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.cli import output

if TYPE_CHECKING:
    from edge_nusa.device.watching.line import Line, Sink
    from edge_nusa.files.json_lines import JsonLines


def sink_of(out: Path | None, format: output.Format | None) -> Sink:
    """Into --out, or onto stdout."""
    from edge_nusa.files.json_lines import JsonLines

    return _Written(JsonLines(out)) if out is not None else _Printed(format)


class _Written:
    """Lines in a file, as JSON."""

    def __init__(self, file: JsonLines) -> None:
        self.file = file

    def write(self, line: Line) -> None:
        self.file.write(line.to_json())

    def sync(self) -> None:
        """What was written survives a power cut."""
        self.file.sync()


class _Printed:
    """Lines on stdout, as JSON or for people."""

    def __init__(self, format: output.Format | None) -> None:
        self.format = format

    def write(self, line: Line) -> None:
        from edge_nusa.device.watching.line import CameraChanged

        if isinstance(line, CameraChanged) and output.chosen(self.format) is output.Format.HUMAN:
            return  # a note on stderr says it
        output.show(line, lambda: _words(line), self.format)

    def sync(self) -> None:
        """Nothing: every line is flushed."""


def _words(line: Line) -> str:
    from edge_nusa.device.watching.line import CameraChanged, SetAside

    assert not isinstance(line, CameraChanged)
    if isinstance(line, SetAside):
        return f"{line.image}: set aside: {line.reason}"
    found = line.prediction
    copied = f"; kept as {line.kept}" if line.kept else ""
    return f"{found.image}: {found.words(3)}{copied}"
