"""What one model of each family costs: exported with random weights, asked and taught; writes docs/models.md's table.

nice python -m edge_nusa.research.rivals.models --work models-work [--write docs/models.md] [MODEL ...]

Needs the workstation's packages, and hours for the large ones. Each model is a file in --work; what is there is not
measured again, so a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_nusa.device.asking.predict import Predictor
from edge_nusa.device.board.bench import PICTURES_EACH, warm
from edge_nusa.device.board.measure import child, edge_nusa_words, learn_child, write_pictures
from edge_nusa.device.model import Model
from edge_nusa.errors import EdgeNusaError
from edge_nusa.export import listing
from edge_nusa.files.durable import replace_file
from edge_nusa.threads import available

BEGIN, END = "<!-- models: made by research/rivals/models.py -->", "<!-- models end -->"
MIB = 2**20
FIGURES = {
    "bundle MB": "bundle_megabytes",
    "ms a picture, one thread": "milliseconds_one",
    "all threads": "milliseconds_all",
    "predict MiB": "predict_mebibytes",
    "learn MiB": "learn_mebibytes",
    "learn s": "learn_seconds",
}
"""Heading of a column -> the name in a model's file."""


def chosen(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Of each family the supported model whose picture is cheapest, of those with pretrained weights where it has such;
    rows: the listing's."""
    supported = [row for row in rows if row["supported"]]
    found: dict[str, str] = {}
    for row in sorted(supported, key=lambda row: (not row["pretrained"], row["multiply_adds"], row["model"])):
        found.setdefault(row["family"], row["model"])
    return list(found.values())


def measured(name: str, work: Path) -> dict[str, Any]:
    """A model's figures, from its file in `work` or measured now; "reason" in place of them where it cannot be
    exported here."""
    path = work / f"{name}.json"
    if not path.exists():
        bundle, state = work / f"{name}.bundle", work / f"{name}.state"
        for folder in (bundle, state):
            shutil.rmtree(folder, ignore_errors=True)
        figures: dict[str, Any]
        try:
            figures = figures_of(name, bundle, state, work / "pictures")
        except EdgeNusaError as error:
            figures = {"reason": str(error)}
        for folder in (bundle, state):
            shutil.rmtree(folder, ignore_errors=True)
        replace_file(path, json.dumps(figures, allow_nan=False).encode())
    return dict(json.loads(path.read_text()))


def figures_of(name: str, bundle: Path, state: Path, pictures: Path) -> dict[str, float]:
    """Export, then one lesson of one label in a new state, one picture in a new process, and pictures in this one."""
    child(edge_nusa_words("export", name, "--random", "--out", bundle, "--nouns", "200", "-q"))
    taught = write_pictures(pictures, ["ash"], PICTURES_EACH) / "ash"
    common: list[str | Path] = ["--bundle", bundle, "--state", state]
    lesson = learn_child("--images", taught, "--label", "ash", *common)
    asked = sorted(taught.iterdir())
    alone = child(edge_nusa_words("predict", asked[0], "--threads", "1", *common))
    one, every = (
        warm(Predictor(Model.open(bundle, state, threads)), asked[:1]).milliseconds_an_image
        for threads in (1, available())
    )
    return {
        "bundle_megabytes": sum(path.stat().st_size for path in bundle.iterdir()) / 1e6,
        "milliseconds_one": one,
        "milliseconds_all": every,
        "predict_mebibytes": alone.peak_rss_bytes / MIB,
        "learn_mebibytes": lesson.peak_rss_bytes / MIB,
        "learn_seconds": lesson.seconds,
    }


def table(rows: Iterable[dict[str, Any]], figures: dict[str, dict[str, Any]]) -> str:
    """A line a model in Markdown, the cheapest picture first; then those that could not be exported, with the
    reason."""
    by_name = {row["model"]: row for row in rows}
    head = ["family", "model", "weights (image + text), millions", *FIGURES]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "--:|" * (len(head) - 2)]
    for name, found in sorted(figures.items(), key=lambda item: item[1].get("milliseconds_one", float("inf"))):
        row = by_name[name]
        cells = [row["family"], f"`{name}`", listing.weights(row)]
        if "reason" in found:
            lines.append(f"| {' | '.join(cells)} | not measured: {found['reason']} |" + " |" * (len(FIGURES) - 1))
        else:
            lines.append(
                f"| {' | '.join(cells)} | " + " | ".join(f"{found[key]:.0f}" for key in FIGURES.values()) + " |"
            )
    return "\n".join(lines)


def written(text: str, lines: str) -> str:
    """The document with these lines between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{lines}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Measure what is not measured yet, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--work", type=Path, default=Path("models-work"))
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = listing.models()
    figures = {}
    for name in arguments.models or chosen(rows):
        figures[name] = measured(name, arguments.work)
        print(name, figures[name], flush=True)
    print(lines := table(rows, figures))
    if arguments.write:
        arguments.write.write_text(written(arguments.write.read_text(encoding="utf-8"), lines), encoding="utf-8")


if __name__ == "__main__":
    main()
