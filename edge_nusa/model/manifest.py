"""The bundle's manifest: what it says, how it is written, and the checks of everything read from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.errors import DamagedError
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.identity import LONGEST_MODEL, Identity, digest
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.limits import LARGEST_SIZE, LARGEST_WIDTH
from edge_nusa.model.preprocessing import Preprocessing
from edge_nusa.model.shapes import ImageShape, TextShape, TransformerShape, VitShape, image_from_record
from edge_nusa.model.tokenizer import TokenizerSpec

FORMAT_VERSION = 4
TOWERS = ("image", "text")
PRECISIONS = ("fp32", "fp16", "int8")
MOST_TEMPLATES = 1000
MOST_FILES = 100
LONGEST_FILE_NAME = 100
LEAST_SCALE, LARGEST_SCALE = 1e-3, 1e6
LEAST_VOCABULARY = 3
"""A text's start, its end and one token."""
_PLAIN_NAME = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{LONGEST_FILE_NAME - 1}}}")
_NAMED_FILES = ("weights.safetensors", "basis.safetensors", "tokenizer.json")
"""What the identity is made of, beside the graphs."""


@dataclass(frozen=True)
class Method:
    """The null-space settings that the basis was made with; ranks by tower ("image", "text").

    energy_threshold rho; max_rank r_max; pool_rank R; alpha, so that scale = alpha / sqrt(r_max).
    """

    energy_threshold: float
    max_rank: dict[str, int]
    pool_rank: dict[str, int]
    alpha: float

    def scale(self, tower: str) -> float:
        """The factor before U_n M V_n^T (paper, eq. 3)."""
        return float(self.alpha / self.max_rank[tower] ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known of a bundle. precision: "fp32", "fp16" (weights stored halved, computed in float32) or "int8"
    (image trunk quantized). logit_scale is the multiplier; a bias beside it (SigLIP's) is the same for every label, so
    answers, which are shares among labels, do not need it. measured: figures of the export's own checks."""

    model: str
    weights: str
    image: ImageShape
    text: TextShape
    vocab_size: int
    tokenizer: TokenizerSpec
    preprocessing: Preprocessing
    templates: tuple[str, ...]
    method: Method
    logit_scale: float
    precision: str
    files: Mapping[str, FileRecord]
    measured: dict[str, Any]

    @property
    def vit(self) -> VitShape:
        """The image tower, where it is a ViT with blocks that can be a tail. Raises TypeError for a frozen one."""
        if not isinstance(self.image, VitShape):
            raise TypeError(f"a frozen image tower ({self.image.family}) has no blocks")
        return self.image

    @property
    def identity(self) -> Identity:
        """What anything learned with this bundle depends on."""
        graphs = {name: record.sha256 for name, record in self.files.items() if name.endswith(".onnx")}
        return Identity(
            model=self.model,
            precision=self.precision,
            weights=self.files["weights.safetensors"].sha256,
            basis=self.files["basis.safetensors"].sha256,
            graphs=digest(graphs),
            text=digest([self.files["tokenizer.json"].sha256, list(self.templates), self._reading]),
            preprocessing=digest(self.preprocessing.to_dict()),
        )

    @property
    def _reading(self) -> dict[str, Any]:
        """What of a text's way to its embedding is in no graph."""
        return {**self.tokenizer.to_dict(), "pool": self.text.pool, "eos_id": self.text.eos_id}


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the checksum itself."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return sha256_hex(canonical(rest))


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented JSON with format version, identity and checksum."""
    content = {**asdict(manifest), "format_version": FORMAT_VERSION, "preprocessing": manifest.preprocessing.to_dict()}
    content |= {"image": manifest.image.to_dict(), "text": manifest.text.to_dict()}
    content["identity"] = manifest.identity.sha256
    content["templates"] = list(manifest.templates)
    content = json.loads(json.dumps(content, allow_nan=False))
    return (
        json.dumps({**content, "checksum": checksum(content)}, indent=1, sort_keys=True, allow_nan=False).encode()
        + b"\n"
    )


def decode(data: bytes, where: str) -> Manifest:
    """Read a manifest. Raises DamagedError for anything but what `encode` of this format version writes."""
    record = parse(data, Origin(where, "copy the bundle again"))
    record.version(FORMAT_VERSION, "export the bundle again with this version")
    if record.fields.get("checksum") != checksum(record.fields):
        raise DamagedError(
            f"{where}: its checksum does not fit its content, so it was changed or damaged; copy the bundle again"
        )
    record = Record(record.fields, Origin(where, "export the bundle again"))
    manifest = _from_record(record)
    found = record.sha256("identity")
    if found != manifest.identity.sha256:
        raise DamagedError(
            f"{where}: expected the identity {manifest.identity.sha256[:16]}... of its files, found {found[:16]}...; "
            "export the bundle again"
        )
    return manifest


def _from_record(record: Record) -> Manifest:
    image, text = image_from_record(record.record("image")), TextShape.from_record(record.record("text"))
    if image.embed_dim != text.embed_dim:
        raise record.origin.refused("text: embed_dim", f"the image tower's {image.embed_dim}", text.embed_dim)
    return Manifest(
        model=record.text("model", LONGEST_MODEL),
        weights=record.text("weights", LONGEST_MODEL),
        image=image,
        text=text,
        vocab_size=record.integer("vocab_size", LEAST_VOCABULARY, LARGEST_SIZE),
        tokenizer=TokenizerSpec.from_record(record.record("tokenizer")),
        preprocessing=_preprocessing(record.record("preprocessing"), image),
        templates=_templates(record),
        method=_method(record.record("method"), {"image": image, "text": text}),
        logit_scale=record.number("logit_scale", LEAST_SCALE, LARGEST_SCALE),
        precision=record.choice("precision", PRECISIONS),
        files=_files(record),
        measured=dict(record.mapping("measured")),
    )


def is_plain_name(name: str) -> bool:
    """Whether a file may be called so inside a bundle."""
    return _PLAIN_NAME.fullmatch(name) is not None


def _templates(record: Record) -> tuple[str, ...]:
    found = record.texts("templates", MOST_TEMPLATES)
    if not found or any(template.count("{}") != 1 for template in found):
        raise record.origin.refused("templates", "at least one, each with one {}", list(found))
    return found


def _files(record: Record) -> dict[str, FileRecord]:
    """The listed files: plain names inside the bundle, those that the identity is made of among them."""
    files = {
        name: FileRecord(entry.sha256("sha256"), entry.integer("bytes"))
        for name, entry in record.named("files", MOST_FILES).items()
    }
    for name in files:
        if not is_plain_name(name):
            raise record.origin.refused("files", "plain names of files inside the bundle", name)
    missing = [name for name in _NAMED_FILES if name not in files]
    if missing:
        raise record.origin.refused("files", f"the file {missing[0]} among them", sorted(files))
    return files


def _preprocessing(record: Record, image: ImageShape) -> Preprocessing:
    """What pictures become, at the size that the image tower reads."""
    found = Preprocessing.from_record(record)
    if isinstance(image, VitShape) and (found.height, found.width) != (image.size, image.size):
        raise record.origin.refused("size", f"both sides the image tower's {image.size}", [found.height, found.width])
    return found


def _method(record: Record, shapes: Mapping[str, ImageShape | TextShape]) -> Method:
    """Ranks are at most the width of the matrices that they are of; a frozen tower has neither."""
    widest = {
        tower: shape.width if isinstance(shape, TransformerShape) else LARGEST_WIDTH for tower, shape in shapes.items()
    }
    largest, pool = record.record("max_rank"), record.record("pool_rank")
    return Method(
        record.number("energy_threshold", 0.0, 1.0),
        {tower: largest.integer(tower, 1, widest[tower]) for tower in TOWERS},
        {tower: pool.integer(tower, 0, widest[tower]) for tower in TOWERS},
        record.number("alpha", 0.0, LARGEST_SCALE),
    )
