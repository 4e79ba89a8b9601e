"""How long an export takes, part by part; weights are random, which changes nothing about the time.

python research/rivals/export.py ViT-B-16 ViT-L-14 [--json FILE]      # needs the workstation's packages
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from edge_nusa.export import models
from edge_nusa.export.settings import default_settings
from edge_nusa.export.writer import export_bundle
from edge_nusa.memory import peak_bytes


class Clock:
    """Adds up the seconds of each part: from its first word until another part speaks."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._part, self._since = "load", time.perf_counter()

    def __call__(self, part: str, done: int, total: int) -> None:
        """What `export_bundle` calls as its parts begin or go on."""
        now = time.perf_counter()
        self.parts[self._part] = self.parts.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for name in arguments.models:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            source = models.load(name, None, None, allow_pt=False)
            bundle = export_bundle(source, default_settings(name, Path(folder) / "bundle"), clock)
            clock("end", 1, 1)
            size = sum(record.bytes for record in bundle.manifest.files.values())
        rows[name] = {
            **clock.parts,
            "whole": sum(clock.parts.values()),
            "bundle_bytes": size,
            "peak_rss_bytes": peak_bytes(),
        }
    parts = [part for part in next(iter(rows.values())) if not part.endswith("bytes")]
    print("| seconds | " + " | ".join(parts) + " | bundle MB | peak RSS MiB |\n|" + "---|" * (len(parts) + 3))
    for name, row in rows.items():
        print(
            f"| {name} | "
            + " | ".join(f"{row.get(part, 0):.1f}" for part in parts)
            + f" | {row['bundle_bytes'] / 1e6:.0f} | {row['peak_rss_bytes'] / 2**20:.0f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
