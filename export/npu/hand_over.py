"""Writes a bundle's image trunk for vendors' compilers, proven on real pictures before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edge_nusa.errors import EdgeNusaError, UsageError
from edge_nusa.export import quantize
from edge_nusa.export.npu import fixed, forms, record
from edge_nusa.export.npu.record import Form, HandOver
from edge_nusa.export.sample_pictures import sample_pictures
from edge_nusa.files import durable
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import pixels

NAMES = {
    forms.FLOAT: "image_trunk.b1.onnx",
    **{form: f"image_trunk.b1.{form}.onnx" for form in forms.BITS},
}
"""Precision -> name of its file."""
TOLERANCE = 1e-5
"""Largest difference of a number from the bundle's trunk, as a part of the number where that is larger than 1."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """out: the folder; calibration: a folder per label with pictures, for quantized forms, or None; max_loss: points
    that one of them may lose on it; overwrite: whether files of an earlier hand-over go."""

    out: Path
    calibration: Path | None = None
    max_loss: float = 1.0
    overwrite: bool = False


def check(wanted: Wanted) -> None:
    """Raises UsageError where files of an earlier hand-over would be written over unasked."""
    found = [name for name in (*NAMES.values(), record.NAME) if (wanted.out / name).exists()]
    if found and not wanted.overwrite:
        raise UsageError(f"{wanted.out / found[0]} exists already; choose another --out or pass --overwrite")


def hand_over(bundle: Bundle, wanted: Wanted, progress: Progress) -> HandOver:
    """Make, prove and write the trunk and, with a calibration folder, its quantized forms that lose no more than asked.

    Raises UsageError for files that are there, RefusedError for a trunk that no compiler could take, EdgeNusaError for
    one that differs from the bundle's, InputError for a calibration folder without pictures. Then nothing is written.
    """
    check(wanted)
    progress("image_trunk.b1", 1, 1)
    model = fixed.fixed_trunk(bundle)
    made = {forms.FLOAT: (model.SerializeToString(), differences(bundle, model))}
    quantized, refused = _quantized(bundle, model, wanted, progress)
    made |= quantized
    written = {
        NAMES[form]: Form(precision=form, file=FileRecord(sha256_hex(data), len(data)), measured=figures)
        for form, (data, figures) in made.items()
    }
    result = HandOver(manifest=bundle.manifest, forms=written, refused=refused)
    _write(wanted.out, {NAMES[form]: data for form, (data, _) in made.items()} | {record.NAME: result.encode()})
    return result


def _quantized(
    bundle: Bundle, model: onnx.ModelProto, wanted: Wanted, progress: Progress
) -> tuple[dict[str, tuple[bytes, dict[str, float]]], dict[str, str]]:
    """Form -> its bytes and figures, and form -> why it is not taken; both empty without a calibration folder."""
    made: dict[str, tuple[bytes, dict[str, float]]] = {}
    refused: dict[str, str] = {}
    if wanted.calibration is None:
        return made, refused
    images = quantize.calibration_images(bundle, wanted.calibration)[0]
    for form in forms.BITS:
        progress(form, 1, 1)
        quantized = forms.quantized(model, form, images)
        loss = quantize.measure(bundle, quantized, wanted.calibration, chunk=1)
        if not loss.points() <= wanted.max_loss:
            refused[form] = f"it loses {loss.words()}, more than --max-loss {wanted.max_loss:g}"
        else:
            made[form] = (quantized.SerializeToString(), loss.figures())
    return made, refused


def differences(bundle: Bundle, model: onnx.ModelProto) -> dict[str, float]:
    """Largest difference of each output from the bundle's trunk, on real pictures, one at a time. Raises
    EdgeNusaError above TOLERANCE."""
    import onnxruntime

    images = np.stack([pixels(picture, bundle.manifest.preprocessing) for picture in sample_pictures()])
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = sessions.run(session, {"pixels": images}, 1)
    expected = sessions.run(sessions.open_session(bundle, "image_trunk"), {"pixels": images})
    worst = {
        name: float((np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max())
        for name, ours, theirs in zip(fixed.OUTPUTS, found, expected, strict=False)
    }
    for name, value in worst.items():
        if not value <= TOLERANCE:
            raise EdgeNusaError(
                f"{bundle.folder}: expected the trunk that is handed over to give the bundle's own {name} within "
                f"{TOLERANCE:.0e}, found {value:.1e}; nothing was written: report it with the name of the model"
            )
    return {f"largest_difference_{name}": float(f"{value:.3g}") for name, value in worst.items()}


def _write(out: Path, files: dict[str, bytes]) -> None:
    """The record goes first and comes last, so that one that is there fits what lies beside it."""
    with durable.explained(f"write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
        for name in ({*NAMES.values()} - {*files}) | {record.NAME}:
            (out / name).unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name == record.NAME):
        durable.write_asked(out / name, files[name])
