"""What a hand-over says of itself, for who compiles it and for who runs what was compiled: `image_trunk.npu.json`.

It stands beside the bundle's manifest and not in it: the runtime of a board opens none of these files, so the bundle's
identity does not depend on them. Each file has its own SHA-256 and precision, since each gives other features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_nusa.files.file_record import FileRecord
from edge_nusa.model.contract import contract
from edge_nusa.model.manifest import Manifest

FORMAT_VERSION = 1
NAME = "image_trunk.npu.json"
OPSET = 17
"""Of the float file. LayerNormalization came with it; Gelu (20), Split by `num_outputs` and axes as an input (18) came
later."""
GREY = 255


@dataclass(frozen=True, kw_only=True)
class Form:
    """One written file. precision: "fp32", "a8w8" or "a16w8"; measured: figures of its proof."""

    precision: str
    file: FileRecord
    measured: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """What was written of a bundle's trunk. forms: by name of file; refused: precision -> why its file was not
    written."""

    manifest: Manifest
    forms: Mapping[str, Form]
    refused: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values. mean and std are of pixels from 0 to 1, those of 255 of grey levels, as vendors' tools ask for
        them."""
        graph, spec = contract(self.manifest, "image_trunk"), self.manifest.preprocessing
        levels = {"mean_of_255": spec.mean, "std_of_255": spec.std}
        return {
            "format_version": FORMAT_VERSION,
            "model": self.manifest.model,
            "identity": self.manifest.identity.sha256,
            "trunk_sha256": self.manifest.files["image_trunk.onnx"].sha256,
            "opset": OPSET,
            "input": {"name": "pixels", "shape": [1, *graph.inputs[0].shape[1:]], "dtype": "float32"},
            "outputs": {one.name: [1, *one.shape[1:]] for one in graph.outputs[:2]},
            "preprocessing": {
                **spec.to_dict(),
                **{name: [round(GREY * one, 4) for one in values] for name, values in levels.items()},
            },
            "files": {
                name: {"precision": form.precision, **asdict(form.file), "measured": dict(form.measured)}
                for name, form in self.forms.items()
            },
            "refused": dict(self.refused),
        }

    def encode(self) -> bytes:
        """The file."""
        return json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
