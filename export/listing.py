"""The models that can be exported, from a table that ships in the package: read without torch and open_clip.

`models.json` is made and checked by `tools/models.py` (`make docs`, `make lint`) with open_clip at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin

TABLE = Path(__file__).with_name("models.json")
HEADER = ["model", "image tower", "weights", "madds", "pixels", "predict", "learn", "needs", "licence"]
WIDTH = 120
LICENCES = {"MIT": "MIT", "Apache-2.0": "Apache", "CC-BY-NC-4.0": "NC", "apple-amlr": "research", "unknown": "?"}
"""Of pretrained weights, the freest first, and the word that the table has for each."""
NOTES = """
weights: millions in the image tower + the text tower; madds: thousand millions of multiply-adds a picture
predict, learn: MiB of memory of their own, estimated; what of the weights is in memory too, the system may drop
needs: free memory in which a learn of 200 pictures keeps the image tower's weights in memory; with less it is slow
licence of pretrained weights: NC: CC-BY-NC-4.0; research: for research only; ?: not known; -: there are none
timm: a tower of timm's; tags of pretrained weights, each with its licence: `--format json`"""


def models(table: Path = TABLE) -> list[dict[str, Any]]:
    """A record a model: those that can be exported first, by the parameters of their image tower; then the others.

    Raises DamagedError for a table that is none.
    """
    record = parse(table.read_bytes(), Origin(str(table), "install edge-nusa again"))
    return sorted((dict(each.fields) for each in record.records("models")), key=_place)


def multiply_adds_of(model: str) -> int:
    """Of one picture in the model's image tower, by the table; 0 for a model that is not in it. Raises as `models`."""
    return next((int(row["multiply_adds"] or 0) for row in models() if row["model"] == model), 0)


def _place(row: dict[str, Any]) -> tuple[bool, int, int, str]:
    return (not row["supported"], row["image_parameters"], row["multiply_adds"], row["model"])


def cells(row: dict[str, Any]) -> list[str]:
    """The row of one model as people read it, under HEADER."""
    height, width = row["pixels"]
    return [
        row["model"],
        row["family"].replace("TimmModel:", "timm").replace("vision_transformer", "vit").removesuffix("_transformer"),
        weights(row),
        f"{row['multiply_adds'] / 1e9:.1f}",
        str(width) if height == width else f"{height}x{width}",
        f"{row['predict_bytes'] / 2**20:.0f}",
        f"{row['learn_bytes'] / 2**20:.0f}",
        row["fits"],
        licences(row),
    ]


def weights(row: dict[str, Any]) -> str:
    """Millions of parameters: "86+63", the image tower's and the text tower's; "?" for one that is not known."""
    text = f"{row['text_parameters'] / 1e6:.0f}" if row["text_parameters"] else "?"
    return f"{row['image_parameters'] / 1e6:.0f}+{text}"


def licences(row: dict[str, Any]) -> str:
    """The licences of a model's pretrained weights, the freest first, in the table's words; "-" without weights."""
    found = {tag["licence"] for tag in row["pretrained"]}
    return " ".join(word for licence, word in LICENCES.items() if licence in found) or "-"


def refused(row: dict[str, Any]) -> list[str]:
    """A refused model and its reason, cut to WIDTH beside the longest name."""
    room = WIDTH - 35
    reason = row["reason"]
    return [row["model"], reason if len(reason) <= room else f"{reason[: room - 3]}..."]
