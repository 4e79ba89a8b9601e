"""Puts a bundle together: weights, graphs, basis, tokenizer, vocabulary, manifest; verified before it gets its name."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import RefusedError
from edge_nusa.export import basis, frozen_graph, graphs, model_card, quantize, tokenizer_file, verify, vocabulary
from edge_nusa.export.image_towers import PREFIX
from edge_nusa.export.settings import ExportSettings, check, cut, cut_image, default_settings, method
from edge_nusa.export.source import Source, checkpoint_tensors
from edge_nusa.files import tensor_file
from edge_nusa.files.file_record import FileRecord, file_sha256
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.shapes import FrozenShape, VitShape
from edge_nusa.model.text_encoder import TextEncoder

__all__ = ["TEMPLATES", "ExportSettings", "default_settings", "export_bundle"]
TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "a close-up photo of a {}.", "a blurry photo of a {}.")
WEIGHTS = "weights.safetensors"
Progress = Callable[[str, int, int], None]
"""Called with a part's name, how much of it is done, and how much there is."""


def export_bundle(source: Source, settings: ExportSettings, progress: Progress) -> Bundle:
    """Write and verify the bundle. On any failure nothing is left at `settings.out`.

    Raises UsageError, InputError for wrong settings, RefusedError for an int8 trunk that loses too much.
    """
    check(settings)
    began = time.monotonic()
    folder = settings.out.with_name(f".{settings.out.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        manifest = _write_parts(folder, source, settings, progress)
        manifest = _verified(folder, source, settings, manifest, progress)
        manifest = replace(
            manifest, measured={**manifest.measured, "export_seconds": round(time.monotonic() - began, 1)}
        )
        _finish(folder, manifest, source.origin)
        verified = Bundle.open(folder)
        aside = settings.out.with_name(f".{settings.out.name}.old")
        if settings.out.exists():
            settings.out.rename(aside)
        folder.rename(settings.out)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Bundle(settings.out, verified.manifest)


def _write_parts(folder: Path, source: Source, settings: ExportSettings, progress: Progress) -> manifests.Manifest:
    image, text = (
        cut_image(source.image, settings.tail_blocks),
        cut(source.text, settings.text_blocks, "--text-blocks"),
    )
    shapes: dict[Any, Any] = {"image": image, "text": text}
    settings_of_method = method(settings, shapes)
    tensors = _write_weights(folder, source, settings.precision == "fp16", isinstance(image, FrozenShape), progress)
    _write_graphs(folder, shapes, source.vocab_size, progress)
    wide = {name: tensor.astype(np.float32, copy=False) for name, tensor in tensors.items()}
    parts = basis.basis_tensors(
        wide, shapes, settings_of_method.pool_rank, lambda done, total: progress("svd", done, total)
    )
    (folder / "basis.safetensors").write_bytes(tensor_file.encode(parts))
    (folder / "tokenizer.json").write_bytes(tokenizer_file.content(source))
    names = vocabulary.nouns()[: settings.nouns]
    (folder / "vocabulary.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    empty = np.zeros((len(names), image.embed_dim), dtype=np.float16)
    (folder / "vocabulary.safetensors").write_bytes(tensor_file.encode({"anchors": empty}))
    precision = "fp16" if settings.precision == "fp16" else "fp32"
    scale = float(np.exp(wide["logit_scale"].item()))
    return manifests.Manifest(
        model=source.name,
        weights=source.weights,
        image=image,
        text=text,
        vocab_size=source.vocab_size,
        tokenizer=source.tokenizer_spec,
        preprocessing=source.preprocessing,
        templates=TEMPLATES,
        method=settings_of_method,
        logit_scale=scale,
        precision=precision,
        files={},
        measured={},
    )


def _write_weights(
    folder: Path, source: Source, is_halved: bool, is_frozen: bool, progress: Progress
) -> dict[str, np.ndarray]:
    """The weight file, and of a frozen image tower its graph too; returns the tensors as they are stored."""
    frozen = frozen_graph.of_source(source) if is_frozen else None
    tensors = checkpoint_tensors(source.model)
    if frozen is not None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}
    if is_halved:
        tensors = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    if frozen is not None:
        tensors |= frozen_graph.tensors(frozen, is_halved)
    progress("weights", 1, 1)
    (folder / WEIGHTS).write_bytes(tensor_file.encode(tensors))
    if frozen is not None:
        progress("image_trunk", 1, 1)
        pointing = frozen_graph.pointing(frozen, graphs.stored_tensors(folder / WEIGHTS), WEIGHTS)
        (folder / "image_trunk.onnx").write_bytes(pointing.SerializeToString())
    return tensors


def _write_graphs(folder: Path, shapes: dict[Any, Any], vocab_size: int, progress: Progress) -> None:
    """The graphs of trunks and tails, which point at the weights that lie in the folder already."""
    traced = graphs.trunk_and_tail_graphs(shapes["image"], shapes["text"], vocab_size)
    stored = graphs.stored_tensors(folder / WEIGHTS)
    for graph in traced:
        progress(graph.name, 1, 1)
        model = graphs.trace(graph)
        graphs.point_at_weights(model, graph, shapes[graph.tower].width, stored, WEIGHTS)
        (folder / f"{graph.name}.onnx").write_bytes(model.SerializeToString())


def _verified(
    folder: Path, source: Source, settings: ExportSettings, manifest: manifests.Manifest, progress: Progress
) -> manifests.Manifest:
    progress("verify", 1, 1)
    _finish(folder, manifest, source.origin)
    bundle = Bundle.open(folder)
    measured: dict[str, Any] = {"tokenizer_strings_equal": verify.tokenizer_strings(bundle, source)}
    measured["preprocessing_grey_levels"] = round(verify.preprocessing_levels(source), 4)
    measured |= {
        f"largest_difference_{name}": float(f"{value:.3g}")
        for name, value in verify.embedding_differences(bundle, source).items()
    }
    progress("vocabulary", 1, 1)
    names = (folder / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    text = TextEncoder(bundle)
    anchors = text.embeddings(text.tail({}), [bundle.manifest.templates[0].replace("{}", name) for name in names])
    (folder / "vocabulary.safetensors").write_bytes(tensor_file.encode({"anchors": anchors.astype(np.float16)}))
    if settings.precision in ("int8", "auto"):
        progress("int8", 1, 1)
        _finish(folder, manifest, source.origin)  # with the vocabulary, which was not there when it was opened
        manifest, loss = _try_int8(folder, Bundle.open(folder), settings, manifest)
        measured |= loss
    return replace(manifest, measured=measured)


def _try_int8(
    folder: Path, bundle: Bundle, settings: ExportSettings, manifest: manifests.Manifest
) -> tuple[manifests.Manifest, dict[str, Any]]:
    assert settings.calibration is not None, "export_bundle checked it"
    if isinstance(manifest.image, VitShape):
        graph = graphs.image_graphs(manifest.image)[0]
        model = quantize.quantized(graphs.with_weights(graph, bundle, bundle.width("image")))
    else:
        images = quantize.calibration_images(bundle, settings.calibration)[0]
        model = quantize.frozen_quantized(folder / "image_trunk.onnx", images)
    loss = quantize.measure(bundle, model, settings.calibration)
    figures = loss.figures("int8_")
    if not loss.points() <= settings.max_loss:
        if settings.precision == "int8":
            raise RefusedError(
                f"an int8 trunk loses {loss.words()}, more than --max-loss {settings.max_loss}; no bundle was written: "
                "use --precision fp32"
            )
        return manifest, figures
    (folder / "image_trunk.onnx").write_bytes(model.SerializeToString())
    if isinstance(manifest.image, FrozenShape):
        stored = graphs.stored_tensors(folder / WEIGHTS)
        wanted = {name for name in stored if not name.startswith(PREFIX) or name == manifest.image.projection}
        graphs.keep_weights(folder, WEIGHTS, wanted)
    return replace(manifest, precision="int8"), figures


def _finish(folder: Path, manifest: manifests.Manifest, origin: str) -> None:
    """Write the model card and the manifest over the files as they are now."""
    (folder / "README.md").write_text(model_card.model_card(manifest, origin), encoding="utf-8")
    files = [path for path in sorted(folder.iterdir()) if path.name != "manifest.json"]
    records = {path.name: FileRecord(file_sha256(path), path.stat().st_size) for path in files}
    full = replace(manifest, files=records)
    (folder / "manifest.json").write_bytes(manifests.encode(full))
