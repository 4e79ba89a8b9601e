"""What one generation of the state holds: labels and their anchors, cores or merged matrices, the head's sums.

| file | what |
|---|---|
| labels.json | format version, recipe, how many tasks, and of each label its name, images and template |
| anchors.safetensors | frozen (L, D) and adapted (L, D) float16 unit-norm anchors |
| core.safetensors | rule `pool`: C (R, R) float32 of each adapted matrix; rule `resvd`: the merged matrix (out, in) |
| head.safetensors | `knowledge.head.head_tensors`, and fusion (8, 7) int64: the sums of `knowledge.fusion` |
| report.json | what the last learn printed; no pixel, feature, path or host name |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError
from edge_nusa.files import tensor_file
from edge_nusa.knowledge import fusion as fusions
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.head import Head, Solved, head_from_tensors, head_tensors
from edge_nusa.knowledge.recipes import RECIPES, Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import merge
from edge_nusa.model.parameters import Tower
from edge_nusa.state.generation import other_format
from edge_nusa.state.reader import StateReader

FORMAT_VERSION = 3
FILES = ("labels.json", "anchors.safetensors", "core.safetensors", "head.safetensors", "report.json")
LARGEST_NORM = 1e4
"""A core or merged matrix with a larger Frobenius norm is refused as damaged."""


@dataclass(frozen=True)
class Label:
    """One label: name, images it was taught with in all, the prompt template it was taught with (None: the
    bundle's), and
    how novel its own pictures looked by leave-one-out (0: too few to tell;
    `edge_nusa.device.asking.answer.novelty`)."""

    name: str
    images: int
    template: str | None = None
    novelty: float = 0.0

    @cached_property
    def key(self) -> str:
        """What it is compared by (`edge_nusa.knowledge.labels.key`)."""
        return label_names.key(self.name)


@dataclass(frozen=True)
class RoundMark:
    """The round of the fleet that a knowledge was last rebased on: its number and the SHA-256 of its file; 0: none
    yet."""

    number: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """All that was learned. anchors float32 (L, D); cores: matrix name -> (R, R) float64 or, under `resvd`,
    (out, in) float32; fusion (8, 7) int64: running sums of `edge_nusa.knowledge.fusion`.

    round: what `edge-nusa sync` compares with; forgotten: (label key, `tasks` then) of labels taken back since that
    round.
    """

    recipe: Recipe
    labels: tuple[Label, ...]
    frozen_anchors: np.ndarray
    adapted_anchors: np.ndarray
    cores: Mapping[str, np.ndarray]
    head: Head
    tasks: int = 0
    fusion: np.ndarray = field(default_factory=fusions.nothing_seen)
    report: Mapping[str, Any] = field(default_factory=dict)
    round: RoundMark = field(default_factory=RoundMark)
    forgotten: tuple[tuple[str, int], ...] = ()

    @cached_property
    def solved(self) -> Solved:
        """The fitted head, made once. Raises InputError where no label is known."""
        return self.head.solve()

    @property
    def names(self) -> list[str]:
        """The labels' names in the order they were taught."""
        return [label.name for label in self.labels]

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each label by its key, in the order they were taught. Not to be changed."""
        return {label.key: column for column, label in enumerate(self.labels)}

    def column(self, name: str) -> int:
        """The index of a label, case and compatibility forms aside. Raises InputError naming what is known."""
        column = self.columns.get(label_names.key(name))
        if column is not None:
            return column
        known = label_names.listed(self.names[:10]) or "nothing yet"
        raise InputError(
            f"the label {label_names.quoted(label_names.normalise(name))} was never taught; known: {known}"
        )

    def merged(self, bundle: Bundle, towers: tuple[Tower, ...] = ("image", "text")) -> dict[str, np.ndarray]:
        """W_now (out, in) float32 of every matrix of `towers` that differs from W_0; formed on copies, checked
        finite."""
        cores = {name: core for name, core in self.cores.items() if name.startswith(towers)}
        if self.recipe.rule == "resvd":
            return cores
        return {
            name: merge(bundle.matrix(name), bundle.pools[name], core) for name, core in cores.items() if np.any(core)
        }

    def without(self, name: str) -> Knowledge:
        """Everything but one label: its anchors, its column of the head and its count are gone."""
        column = self.column(name)
        kept = [i for i in range(len(self.labels)) if i != column]
        return replace(
            self,
            labels=tuple(self.labels[i] for i in kept),
            frozen_anchors=self.frozen_anchors[kept],
            adapted_anchors=self.adapted_anchors[kept],
            head=self.head.without(column) if self.recipe.has_head else self.head,
            forgotten=(*self.forgotten, (self.labels[column].key, self.tasks)),
        )


def nothing(bundle: Bundle, recipe: Recipe) -> Knowledge:
    """The knowledge of an empty state. Under `pool` every adapted matrix has its zero core, so the size is constant."""
    embed = bundle.manifest.text.embed_dim
    cores: dict[str, np.ndarray] = {}
    if recipe.rule == "pool":
        for tower in recipe.towers:
            rank = bundle.manifest.method.pool_rank[tower]
            cores |= {name: np.zeros((rank, rank)) for name in bundle.matrices(tower)}
    empty = np.zeros((0, embed), np.float32)
    return Knowledge(
        recipe=recipe,
        labels=(),
        frozen_anchors=empty,
        adapted_anchors=empty,
        cores=cores,
        head=Head.empty(feature_count(bundle)),
    )


def feature_count(bundle: Bundle) -> int:
    """F of the head: the trunk's taps and a bias."""
    return bundle.manifest.image.taps + 1


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
    }
    return {
        "labels.json": json.dumps(labels, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
        "anchors.safetensors": tensor_file.encode(anchors),
        "core.safetensors": tensor_file.encode(
            {name: core.astype(np.float32) for name, core in knowledge.cores.items()}
        ),
        "head.safetensors": tensor_file.encode({**head_tensors(knowledge.head), "fusion": knowledge.fusion}),
        "report.json": json.dumps(knowledge.report, sort_keys=True).encode(),
    }


def load(bundle: Bundle, state: StateReader, default: Recipe) -> tuple[int, Knowledge]:
    """(generation number, knowledge) of the current generation; (0, nothing) of an empty state."""
    found = state.snapshot(FILES)
    if found is None:
        return 0, nothing(bundle, default)
    generation, files = found
    return generation.number, from_files(bundle, files)


def from_files(bundle: Bundle, files: Mapping[str, bytes]) -> Knowledge:
    """The inverse of `to_files`. Raises DamagedError naming file and tensor for anything that does not fit the
    bundle."""
    missing = sorted(set(FILES) - set(files))
    if missing:
        raise DamagedError(f"the generation has no {missing[0]}; run `edge-nusa undo`")
    try:
        content = json.loads(files["labels.json"])
        if content["format_version"] != FORMAT_VERSION:
            raise other_format("labels.json", FORMAT_VERSION, content["format_version"])
        recipe = RECIPES[content["recipe"]]
        found = tuple(
            Label(label_names.normalise(e["name"]), int(e["images"]), e["template"], float(e["novelty"]))
            for e in content["labels"]
        )
        tasks, report = int(content["tasks"]), json.loads(files["report.json"])
        mark = (
            RoundMark(int(content["round"]["number"]), str(content["round"]["sha256"]))
            if "round" in content
            else RoundMark()
        )
        forgotten = tuple((str(key), int(at)) for key, at in content.get("forgotten", []))
    except DamagedError:
        raise
    except (EdgeNusaError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedError(
            f"labels.json or report.json: a field is missing or of the wrong kind ({error}); run `edge-nusa undo`"
        ) from error
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
        tasks=tasks,
        fusion=fusion,
        report=report,
        round=mark,
        forgotten=forgotten,
    )


def _head(bundle: Bundle, label_count: int, data: bytes) -> tuple[Head, np.ndarray]:
    count = feature_count(bundle)
    upper = count * (count + 1) // 2
    expected = {
        "gram": ("int64", (upper,)),
        "sums": ("int32", (label_count, count)),
        "counts": ("int64", (label_count,)),
        "spare": ("int64", (1,)),
        "fusion": ("int64", fusions.SHAPE),
    }
    tensors = tensor_file.decode(data, "head.safetensors", expected)
    return head_from_tensors(tensors, count, label_count), fusions.check(tensors["fusion"])


def _cores(bundle: Bundle, recipe: Recipe, data: bytes) -> dict[str, np.ndarray]:
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    for tower in recipe.towers:
        side = bundle.manifest.method.pool_rank[tower] if recipe.rule == "pool" else bundle.shape(tower).width
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
