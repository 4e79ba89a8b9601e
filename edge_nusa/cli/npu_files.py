"""What `export --npu` does: the image trunk for vendors' compilers, of a bundle just made or one that is there."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_nusa import kept
from edge_nusa.cli import output
from edge_nusa.cli.options import needs
from edge_nusa.errors import UsageError

if TYPE_CHECKING:
    from edge_nusa.export.npu.record import HandOver
    from edge_nusa.model.bundle import Bundle

Told = tuple[dict[str, object], str]
"""A result for programs, and for people."""


class Asked(NamedTuple):
    """What the command line says of it; out: None where it names no folder."""

    out: Path | None
    calibration: Path | None
    max_loss: float
    overwrite: bool


def check_float(precision: str | None) -> None:
    """Raises UsageError for a precision whose trunk may not be float; by itself every model's is."""
    if precision not in (None, "fp32", "fp16"):
        raise UsageError(
            "--npu: expected --precision fp32 or fp16, since quantized forms are made of a float trunk, found "
            f"{precision}; export the int8 bundle apart, without --npu"
        )


def of_bundle(bundle: Path | None, asked: Asked, quiet: bool, format: output.Format | None) -> None:
    """Hand over the trunk of a bundle that is there, and print what was written; no torch is loaded."""
    from edge_nusa.model.bundle import Bundle, embedded_bundle

    if asked.out is None:
        raise UsageError("export --npu: expected --out DIR for the trunk's files, or a model and --out DIR")
    value, words = _handed(Bundle.open(bundle or embedded_bundle()), asked.out, asked, quiet)
    output.show(value, words, format)


def beside(bundle: Bundle, asked: Asked, quiet: bool, told: Told) -> Told:
    """The same of a bundle that was just made, in its folder; told: what is said of the bundle."""
    value, words = _handed(bundle, bundle.folder, asked, quiet)
    return {**told[0], "npu": value}, f"{told[1]}\n\n{words}"


def _handed(bundle: Bundle, out: Path, asked: Asked, quiet: bool) -> Told:
    with needs("export --npu", "npu"):
        for later in ("onnxscript", "sklearn"):  # what is used later is asked for here
            importlib.import_module(later)
        from edge_nusa.export.npu import hand_over

    wanted = hand_over.Wanted(
        out=out, calibration=asked.calibration, max_loss=asked.max_loss, overwrite=asked.overwrite
    )
    found = hand_over.hand_over(bundle, wanted, output.steps(time.monotonic(), quiet))
    kept.done(f"the trunk for compilers is in {out}")
    return {"out": str(out), **found.to_json()}, _words(found, out)


def _words(found: HandOver, out: Path) -> str:
    rows = [[name, form.precision, f"{form.file.bytes / 1e6:.1f}"] for name, form in found.forms.items()]
    refused = [f"{form} was not written: {why}" for form, why in found.refused.items()]
    end = f"the trunk of {found.manifest.model} for compilers is in {out}; docs/accelerators.md says what to do with it"
    return "\n".join([output.table(rows, ["file", "precision", "MB"]), *refused, end])
