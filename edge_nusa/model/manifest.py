"""The bundle's manifest: what it says, how it is written, and the checks of everything read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.errors import DamagedError
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.identity import Identity, digest
from edge_nusa.model.parameters import TowerShape
from edge_nusa.model.preprocessing import Preprocessing

FORMAT_VERSION = 3


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
    (image trunk quantized). logit_scale is the multiplier. measured: figures of the export's own checks."""

    model: str
    weights: str
    image: TowerShape
    text: TowerShape
    vocab_size: int
    preprocessing: Preprocessing
    templates: tuple[str, ...]
    method: Method
    logit_scale: float
    precision: str
    files: Mapping[str, FileRecord]
    measured: dict[str, Any]

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
            text=digest([self.files["tokenizer.json"].sha256, list(self.templates)]),
            preprocessing=digest(self.preprocessing.to_dict()),
        )


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the checksum itself."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return sha256_hex(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented JSON with format version, identity and checksum."""
    content = {**asdict(manifest), "format_version": FORMAT_VERSION, "preprocessing": manifest.preprocessing.to_dict()}
    content["identity"] = manifest.identity.sha256
    content["templates"] = list(manifest.templates)
    content = json.loads(json.dumps(content))
    return json.dumps({**content, "checksum": checksum(content)}, indent=1, sort_keys=True).encode() + b"\n"


def decode(data: bytes, where: str) -> Manifest:
    """Read a manifest. Raises DamagedError for anything but what `encode` of this format version writes."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: expected JSON, but {error}; copy the bundle again") from error
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        found = content.get("format_version") if isinstance(content, dict) else type(content).__name__
        raise DamagedError(
            f"{where}: expected bundle format {FORMAT_VERSION}, found {found!r}; export the bundle again with this "
            "version"
        )
    if content.get("checksum") != checksum(content):
        raise DamagedError(
            f"{where}: its checksum does not fit its content, so it was changed or damaged; copy the bundle again"
        )
    try:
        manifest = _from_content(content, where)
        identity = manifest.identity.sha256
        is_own = content["identity"] == identity
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(
            f"{where}: a field is missing or of the wrong kind ({error}); export the bundle again"
        ) from error
    if not is_own:
        raise DamagedError(
            f"{where}: expected the identity {identity[:16]}... of its files, found "
            f"{str(content['identity'])[:16]}...; export the bundle again"
        )
    return manifest


def _from_content(content: dict[str, Any], where: str) -> Manifest:
    method = content["method"]
    return Manifest(
        model=str(content["model"]),
        weights=str(content["weights"]),
        image=TowerShape.from_dict(content["image"], f"{where}: image"),
        text=TowerShape.from_dict(content["text"], f"{where}: text"),
        vocab_size=int(content["vocab_size"]),
        preprocessing=Preprocessing.from_dict(content["preprocessing"]),
        templates=tuple(str(t) for t in content["templates"]),
        method=Method(
            float(method["energy_threshold"]),
            {tower: int(method["max_rank"][tower]) for tower in ("image", "text")},
            {tower: int(method["pool_rank"][tower]) for tower in ("image", "text")},
            float(method["alpha"]),
        ),
        logit_scale=float(content["logit_scale"]),
        precision=str(content["precision"]),
        files={
            str(name): FileRecord(str(entry["sha256"]), int(entry["bytes"])) for name, entry in content["files"].items()
        },
        measured=dict(content["measured"]),
    )
