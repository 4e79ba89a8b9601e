"""The command `export`."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from edge_nusa import kept
from edge_nusa.cli import completion, configured, npu_files, output
from edge_nusa.cli.options import BundleOption, FormatOption, QuietOption, needs
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

if TYPE_CHECKING:
    from edge_nusa.export.writer import ExportSettings

WEIGHTS, LEARNS, SIZE, NPU = (
    "Where the weights come from",
    "What can learn",
    "Precision and size",
    "For an accelerator",
)
"""Groups of options."""
OF_A_BUNDLE = frozenset({"npu", "bundle", "out", "calibration", "max_loss", "overwrite", "quiet", "format"})
"""The options that do something where the trunk of a bundle that is there is handed over."""


def _blocks(text: str | None, default: int | None, option: str) -> int | None:
    if not text:
        return default
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{option}: expected a number of blocks or 'all', got {shown(text)}")
    return int(text)


def export(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A model of open_clip's (see --list), `local-dir:PATH`, `hf-hub:ORG/MODEL`, or `lite`.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = "",
    out: Annotated[Optional[Path], typer.Option("--out", help="The bundle's folder.", show_default=False)] = None,
    pretrained: Annotated[
        Optional[str], typer.Option(help="open_clip's pretrained tag; this downloads.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        Optional[Path],
        typer.Option(
            help="A .safetensors file with open_clip's tensor names instead.",
            show_default=False,
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    tokenizer: Annotated[
        Optional[Path],
        typer.Option(
            help="A folder with the tokenizer's files, for a model that takes one from a hub.",
            show_default=False,
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    config: Annotated[
        Optional[Path],
        typer.Option(
            help="A configuration that open_clip does not ship, as its open_clip_config.json; MODEL may be left out.",
            show_default=False,
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    allow_pt: Annotated[
        bool,
        typer.Option("--allow-pt", help="Also read .pt checkpoints (plain tensors only).", rich_help_panel=WEIGHTS),
    ] = False,
    random: Annotated[
        bool, typer.Option("--random", help="Random weights, for tests of speed and size.", rich_help_panel=WEIGHTS)
    ] = False,
    tail_blocks: Annotated[
        Optional[str],
        typer.Option(
            help="Image blocks that can learn: a number or `all`; 0 by itself.",
            show_default=False,
            rich_help_panel=LEARNS,
        ),
    ] = None,
    text_blocks: Annotated[
        Optional[str],
        typer.Option(
            help="Text blocks that can learn: a number or `all`; 4 by itself.",
            show_default=False,
            rich_help_panel=LEARNS,
        ),
    ] = None,
    rank: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            help="Rank r trained at most; width / 4, at most 128, by itself.",
            show_default=False,
            rich_help_panel=LEARNS,
        ),
    ] = None,
    pool: Annotated[
        Optional[int],
        typer.Option(min=1, help="Rank R of the pool; twice r by itself.", show_default=False, rich_help_panel=LEARNS),
    ] = None,
    energy: Annotated[
        float, typer.Option(help="Energy threshold rho of the principal part.", rich_help_panel=LEARNS)
    ] = 0.95,
    precision: Annotated[
        Optional[str],
        typer.Option(
            help="fp32, fp16 (weights stored halved), int8 (image trunk) or auto; fp32 by itself.",
            show_default=False,
            rich_help_panel=SIZE,
        ),
    ] = None,
    max_loss: Annotated[
        float,
        typer.Option(help="Points a quantized trunk may lose on the calibration folder.", rich_help_panel=SIZE),
    ] = 1.0,
    calibration: Annotated[
        Optional[Path],
        typer.Option(
            help="A folder per label with pictures, for int8 and for the quantized forms of --npu.",
            show_default=False,
            rich_help_panel=SIZE,
        ),
    ] = None,
    nouns: Annotated[int, typer.Option(min=1, max=2500, help="Size of the vocabulary.", rich_help_panel=SIZE)] = 2000,
    npu: Annotated[
        bool,
        typer.Option(
            "--npu",
            help="Write the image trunk for vendors' compilers too (docs/accelerators.md); without MODEL, --bundle's.",
            rich_help_panel=NPU,
        ),
    ] = False,
    bundle: BundleOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
    list_models: Annotated[
        bool, typer.Option("--list", help="List the models: their cost and licence, and why some are refused.")
    ] = False,
    quiet: QuietOption = False,
    format: FormatOption = None,
) -> None:
    """Turn an open_clip model into a bundle (on a workstation)."""
    if list_models:
        return _list(format)
    _check(context)
    wanted = npu_files.Asked(out, calibration, max_loss, overwrite)
    if npu and not (model or config):
        return npu_files.of_bundle(bundle, wanted, quiet, format)
    if not (model or config) or out is None:
        raise UsageError("export: expected a model and --out DIR; `edge-nusa export --list` shows the models")
    with needs("export"):
        from edge_nusa.export import models, writer

    models.check_weights(model, pretrained, checkpoint, random, config)
    own, began = _cut(writer.default_settings(model, out), tail_blocks, text_blocks), time.monotonic()
    ranks: dict[str, Any] = {"max_rank": rank or own.max_rank, "pool_rank": pool or own.pool_rank}
    settings = replace(own, **ranks, energy_threshold=energy, precision=precision or own.precision)
    settings = replace(settings, max_loss=max_loss, calibration=calibration, nouns=nouns, overwrite=overwrite)
    asked = models.Asked(model, config, pretrained, checkpoint, random, allow_pt, tokenizer)
    made = writer.export_bundle(models.opened(asked), settings, output.steps(began, quiet))
    kept.done(f"the bundle is in {out}")
    value, words = _told(out, made.manifest.measured, time.monotonic() - began)
    if npu:
        value, words = npu_files.beside(made, wanted, quiet, (value, words))
    output.show(value, words, format)


def _check(context: typer.Context) -> None:
    """Raises UsageError for options that do not go together. What a variable or a settings file says of the other way
    is for another day."""
    given, said = context.params, configured.said(context)
    if math.isnan(given["max_loss"]):
        raise UsageError("--max-loss: expected a number of points, found nan; 1 is what is taken by itself")
    of_model = "--config" if given["config"] else "MODEL"
    if given["model"] or given["config"]:
        if "bundle" in said:
            raise UsageError(
                f"--bundle: expected no {of_model} beside it, since a bundle is made of the model and none is read; "
                "leave one of them out"
            )
        if given["npu"]:
            npu_files.check_float(given["precision"])
    elif given["npu"]:
        wrong = next((option for name, option in said.items() if name not in OF_A_BUNDLE), None)
        if wrong:
            raise UsageError(
                f"{wrong}: expected MODEL beside it, since `export --npu` without one hands over the trunk of a bundle "
                f"as it is; add the model, or leave {wrong} out"
            )


def _cut(own: ExportSettings, tail_blocks: str | None, text_blocks: str | None) -> ExportSettings:
    return replace(
        own,
        tail_blocks=_blocks(tail_blocks, own.tail_blocks, "--tail-blocks"),
        text_blocks=_blocks(text_blocks, own.text_blocks, "--text-blocks"),
    )


def _told(out: Path, measured: dict[str, object], seconds: float) -> tuple[dict[str, object], str]:
    """What was made, for programs and for people."""
    from edge_nusa.memory import peak_bytes

    peak, size = peak_bytes(), sum(path.stat().st_size for path in out.iterdir())
    value = {"bundle": str(out), "bytes": size, "seconds": round(seconds, 1), "peak_rss_bytes": peak}
    checks = output.table([[name, str(entry)] for name, entry in measured.items()], ["check", "value"])
    cost = f"{size / 1e6:.1f} MB, {seconds:.0f} s, peak memory {peak / 2**20:.0f} MiB"
    return {**value, "measured": measured}, f"{checks}\nthe bundle is in {out}: {cost}"


def _list(format: output.Format | None) -> None:
    from edge_nusa.export import listing

    models = listing.models()
    works = output.table([listing.cells(row) for row in models if row["supported"]], listing.HEADER)
    others = output.table([listing.refused(row) for row in models if not row["supported"]], ["refused", "why"])
    output.show({"models": models}, f"{works}\n{listing.NOTES}\n\n{others}", format)
