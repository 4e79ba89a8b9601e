"""What one generation of the state stores of a knowledge, and how it is read back and checked.

| file | what |
|---|---|
| labels.json | format version, recipe, how many tasks, labels (name, images, template), lessons that the fleet lacks |
| anchors.safetensors | frozen (L, D) and adapted (L, D) float16 unit-norm anchors |
| core.safetensors | rule `pool`: C (R, R) float32 of each adapted matrix; rule `resvd`: the merged matrix (out, in) |
| head.safetensors | the head's sums (`knowledge.sums_file`), and fusion (8, 7) int64: the sums of `knowledge.fusion` |
| private.safetensors | what of these sums stays on the board (`knowledge.private`) |
| taught.safetensors | 8 bytes of the SHA-256 of each picture file taught here, its label (`knowledge.taught_files`) |
| report.json | what the last learn printed; no pixel, feature, path or host name |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import tensor_file
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import LARGEST_NUMBER, Origin, Record
from edge_nusa.knowledge import fusion as fusions
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge import sums_file, taught_files, templates
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import (
    LARGEST_NORM,
    LESSON_DIGITS,
    MOST_LESSONS,
    Knowledge,
    Label,
    RoundMark,
    feature_count,
    nothing,
)
from edge_nusa.knowledge.recipes import RECIPES, Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.generation import other_format
from edge_nusa.state.reader import StateReader

FORMAT_VERSION = 5
FILES = (
    "labels.json",
    "anchors.safetensors",
    "core.safetensors",
    "head.safetensors",
    sums_file.PRIVATE,
    taught_files.NAME,
    "report.json",
)
ASKED_FILES = tuple(name for name in FILES if name != sums_file.PRIVATE)
_NEXT_STEP = "run `edge-nusa undo`"
MOST_LABELS, LARGEST_LABELS_BYTES, LARGEST_REPORT_BYTES = 100_000, 64 << 20, 16 << 20


def to_files(knowledge: Knowledge) -> dict[str, bytes]:
    """The generation's files (module docstring)."""
    anchors = {
        "frozen": knowledge.frozen_anchors.astype(np.float16),
        "adapted": knowledge.adapted_anchors.astype(np.float16),
    }
    labels = {
        "format_version": FORMAT_VERSION,
        "recipe": knowledge.recipe.name,
        "tasks": knowledge.tasks,
        "labels": [asdict(label) for label in knowledge.labels],
        "round": asdict(knowledge.round),
        "forgotten": knowledge.forgotten,
        "lessons": knowledge.lessons,
    }
    return {
        "labels.json": canonical(labels),
        "anchors.safetensors": tensor_file.encode(anchors),
        "core.safetensors": tensor_file.encode(
            {name: core.astype(np.float32) for name, core in knowledge.cores.items()}
        ),
        "head.safetensors": tensor_file.encode({**sums_file.head_tensors(knowledge.head), "fusion": knowledge.fusion}),
        sums_file.PRIVATE: sums_file.private_bytes(knowledge.private),
        taught_files.NAME: knowledge.files.encoded(),
        "report.json": json.dumps(knowledge.report, sort_keys=True, allow_nan=False).encode(),
    }


def load(bundle: Bundle, state: StateReader, default: Recipe) -> tuple[int, Knowledge]:
    """(generation number, knowledge) of the current generation; (0, nothing) of an empty state."""
    found = state.snapshot_of_any_format(FILES)
    if found is None:
        return 0, nothing(bundle, default)
    generation, files = found
    return generation.number, from_files(bundle, files)


def load_to_ask(bundle: Bundle, state: StateReader, default: Recipe) -> tuple[int, Knowledge]:
    """The same for who only asks: what stays on the board is not read, and nothing of the knowledge is private."""
    found = state.snapshot_of_any_format(ASKED_FILES)
    if found is None:
        return 0, nothing(bundle, default)
    generation, files = found
    return generation.number, _asked(bundle, files)


def from_files(bundle: Bundle, files: Mapping[str, bytes]) -> Knowledge:
    """The inverse of `to_files`. Raises DamagedError naming file and tensor for anything that does not fit the
    bundle."""
    found = _asked(bundle, files)
    _check_has(files, FILES)
    return replace(found, private=sums_file.private_from(files[sums_file.PRIVATE], found.head))


def _asked(bundle: Bundle, files: Mapping[str, bytes]) -> Knowledge:
    _check_has(files, FILES[:1])
    content = parse(files["labels.json"], Origin("labels.json", _NEXT_STEP), LARGEST_LABELS_BYTES)
    if (version := content.fields.get("format_version")) != FORMAT_VERSION:
        raise other_format("labels.json", FORMAT_VERSION, version)
    _check_has(files, ASKED_FILES)
    recipe = RECIPES[content.choice("recipe", tuple(RECIPES))]
    found = read_labels(content, MOST_LABELS)
    size = (len(found), bundle.manifest.text.embed_dim)
    anchors = tensor_file.decode(
        files["anchors.safetensors"], "anchors.safetensors", {"frozen": ("float16", size), "adapted": ("float16", size)}
    )
    head, fusion = _head(bundle, len(found) if recipe.has_head else 0, files["head.safetensors"])
    cores = _cores(bundle, recipe, files["core.safetensors"])
    return Knowledge(
        recipe=recipe,
        labels=found,
        frozen_anchors=_unit(anchors["frozen"]),
        adapted_anchors=_unit(anchors["adapted"]),
        cores=cores,
        head=head,
        tasks=content.integer("tasks", -LARGEST_NUMBER),
        fusion=fusion,
        report=read_report(files["report.json"]),
        round=read_mark(content),
        forgotten=content.pairs("forgotten", MOST_LABELS, -LARGEST_NUMBER) if "forgotten" in content else (),
        lessons=read_lessons(content),
        files=taught_files.decoded(files[taught_files.NAME], len(found)),
    )


def _check_has(files: Mapping[str, bytes], names: Sequence[str]) -> None:
    missing = sorted(set(names) - set(files))
    if missing:
        raise DamagedError(f"the generation has no {missing[0]}; run `edge-nusa undo`")


def read_labels(record: Record, most: int, has_images: bool = True) -> tuple[Label, ...]:
    """The labels of a state, a round, or (without images) an update, each once. Raises the record's error."""
    found = tuple(
        Label(_read_name(one), one.integer("images") if has_images else 0, templates.read(one))
        for one in record.records("labels", most)
    )
    if len({label.key for label in found}) != len(found):
        raise record.origin.refused("labels", "each label once", [label.name for label in found])
    return found


def _read_name(record: Record) -> str:
    found = record.text("name")
    try:
        return label_names.normalise(found)
    except InputError as error:
        raise record.origin.refused("name", f"a label (1 to {label_names.MAX_CHARACTERS} characters)", found) from error


def read_mark(record: Record) -> RoundMark:
    """The round that a record says it is based on; none where it says nothing. Raises the record's error."""
    if "round" not in record:
        return RoundMark()
    mark = record.record("round")
    return RoundMark(mark.integer("number"), mark.sha256("sha256"))


def read_lessons(record: Record) -> tuple[str, ...]:
    """The ids of lessons that a state or an update names. Raises the record's error."""
    found = record.texts("lessons", MOST_LESSONS, LESSON_DIGITS)
    if not all(len(one) == LESSON_DIGITS and not set(one) - set("0123456789abcdef") for one in found):
        raise record.origin.refused("lessons", f"ids of {LESSON_DIGITS} hexadecimal digits", list(found))
    return found


def read_report(data: bytes) -> dict[str, Any]:
    """What report.json says. Raises DamagedError."""
    return dict(parse(data, Origin("report.json", _NEXT_STEP), LARGEST_REPORT_BYTES).fields)


def _head(bundle: Bundle, label_count: int, data: bytes) -> tuple[Head, np.ndarray]:
    count = feature_count(bundle)
    expected = {**sums_file.head_expected(count, label_count), "fusion": ("int64", fusions.SHAPE)}
    tensors = tensor_file.decode(data, "head.safetensors", expected)
    return sums_file.head_from_tensors(tensors, count, label_count), fusions.check(tensors["fusion"])


def _cores(bundle: Bundle, recipe: Recipe, data: bytes) -> dict[str, np.ndarray]:
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    for tower in recipe.towers:
        side = bundle.manifest.method.pool_rank[tower] if recipe.rule == "pool" else bundle.width(tower)
        expected |= dict.fromkeys(bundle.matrices(tower), ("float32", (side, side)))
    tensors = tensor_file.decode(data, "core.safetensors", None)
    if recipe.rule == "resvd":
        # a matrix that was never trained (no null space, or nothing learned yet) is not stored
        expected = {name: entry for name, entry in expected.items() if name in tensors}
    tensor_file.check(tensors, "core.safetensors", expected)
    for name, tensor in tensors.items():
        norm = float(np.linalg.norm(tensor.astype(np.float64)))
        if norm > LARGEST_NORM:
            raise DamagedError(
                f"core.safetensors: {name} has a norm of {norm:.0e}, expected at most {LARGEST_NORM:.0e}; run "
                "`edge-nusa undo`"
            )
    return tensors if recipe.rule == "resvd" else {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def _unit(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
