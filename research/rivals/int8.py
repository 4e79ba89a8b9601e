"""An int8 image trunk against the float one: milliseconds a picture, and what real pictures lose by it.

    python research/rivals/int8.py [--bundle b32] [--data ../shared/data --sets caltech101,flowers5] [--json FILE]

Ways: dynamic quantization with one scale a matrix and with one a channel (what `export --precision int8` does), and
static QDQ with one a channel, calibrated on pictures that are not asked afterwards. Needs the workstation's packages.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import edge_nusa.device  # noqa: F401 - its thread settings, before numpy

# isort: split
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_nusa.device.board.measure import in_turn, median
from edge_nusa.export import graphs, quantize
from edge_nusa.knowledge import head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.model.shapes import FrozenShape
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.pictures.pictures import decode, find_pictures

A_CLASS = 20
CALIBRATION = 64
ROUNDS = 15
Rows = dict[str, dict[str, float]]
"""Figures by name, way by way."""
Set = tuple[np.ndarray, np.ndarray, list[str], str]
"""What `read_set` gives."""


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Pictures (B, 3, S, S), eight at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.parts: Iterator[np.ndarray] = iter(np.array_split(images, max(1, len(images) // 8)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next eight, or None."""
        part = next(self.parts, None)
        return None if part is None else {"pixels": part}


def static_qdq(model: onnx.ModelProto, images: np.ndarray) -> onnx.ModelProto:
    """Quantized with ranges that `images` gave, one scale a channel of the weights, for every matrix product."""
    with tempfile.TemporaryDirectory() as name:
        source, prepared, target = (Path(name) / f"{part}.onnx" for part in ("float", "prepared", "int8"))
        onnx.save(model, str(source))
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        options = {"MatMulConstBOnly": True}
        quantize_static(
            str(prepared),
            str(target),
            Reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
            extra_options=options,
        )
        return onnx.load(str(target))


def session_of(model: onnx.ModelProto) -> Any:
    """One thread, as onnxruntime optimizes by itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def read_set(bundle: Bundle, data: Path, name: str) -> Set:
    """Pixels, classes, the classes' names and the template of one set, A_CLASS pictures of each class, chosen by
    seed 0."""
    known = json.loads((data / "classes.json").read_text())[name]
    rows, classes = [], []
    for number, folder in enumerate(known["classes"]):
        paths = find_pictures(data / name / folder)[0]
        for index in np.random.default_rng(0).permutation(len(paths))[:A_CLASS]:
            rows.append(pixels(decode(paths[index]), bundle.manifest.preprocessing))
            classes.append(number)
    return np.stack(rows), np.array(classes), list(known["classes"].values()), known["template"]


def accuracies(
    session: Any, images: np.ndarray, classes: np.ndarray, anchors: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Embeddings, percent right zero-shot, and percent right by a head of these pictures, each left out in turn."""
    embedding, taps = sessions.run(session, {"pixels": images})[:2]
    rows = head.features(taps)
    solved = head.Head.empty(rows.shape[1]).added(rows, classes, len(anchors)).solve()
    scores, _ = solved.leave_one_out(solved.whitened(rows), classes)
    zero_shot, left_out = (
        100 * float((found.argmax(axis=1) == classes).mean()) for found in (embedding @ anchors.T, scores)
    )
    return embedding, zero_shot, left_out


def add_times(rows: Rows, opened: dict[str, Any], noise: np.ndarray) -> None:
    """Milliseconds a picture of each session, one by one and in 16."""
    for batch in (1, 16):
        taken = in_turn(
            {way: partial(session.run, None, {"pixels": noise[:batch]}) for way, session in opened.items()},
            ROUNDS,
        )
        for way, seconds in taken.items():
            rows[way][f"ms_batch_{batch}"] = 1000 * median(seconds[1:]) / batch


def add_accuracies(rows: Rows, opened: dict[str, Any], bundle: Bundle, sets: dict[str, Set]) -> None:
    """What each session's answers about each set are worth, and the means over the sets."""
    text = TextEncoder(bundle, 1)
    tail = text.tail({})
    for way, session in opened.items():
        found: dict[str, list[float]] = {"cosine": [], "zero_shot": [], "head": []}
        for name, (images, classes, names, template) in sets.items():
            embedding, zero_shot, by_head = accuracies(session, images, classes, text.anchors(tail, names, template))
            first = rows["float32"].setdefault(f"embedding {name}", embedding)  # type: ignore[arg-type]
            for column, value in zip(found, ((first * embedding).sum(axis=1).mean(), zero_shot, by_head), strict=True):
                found[column].append(float(value))
                rows[way][f"{name} {column}"] = float(value)
        rows[way] |= {column: float(np.mean(values)) for column, values in found.items() if values}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="caltech101,cifar10,flowers5,grocery,rsscn7,trashnet")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    if isinstance(bundle.manifest.image, FrozenShape):
        parser.error("--bundle: expected one with open_clip's own ViT; a frozen image tower is measured by its export")
    image, size = bundle.manifest.vit, bundle.manifest.preprocessing.height
    graph = graphs.trunk_and_tail_graphs(image, bundle.manifest.text, bundle.manifest.vocab_size)[0]
    model = graphs.with_weights(graph, bundle, bundle.width("image"))
    sets = (
        {name: read_set(bundle, arguments.data, name) for name in arguments.sets.split(",")} if arguments.data else {}
    )
    noise = np.random.default_rng(0).normal(size=(CALIBRATION, 3, size, size)).astype(np.float32)
    mixed = np.concatenate([images[1::7] for images, *_ in sets.values()]) if sets else noise
    calibration = mixed[np.random.default_rng(0).permutation(len(mixed))[:CALIBRATION]]
    models = {
        "float32": model,
        "dynamic, one scale a matrix": quantize.quantized(model, per_channel=False),
        "dynamic, one a channel": quantize.quantized(model),
        "static QDQ, one a channel": static_qdq(model, calibration),
    }
    opened = {way: session_of(one) for way, one in models.items()}
    rows: Rows = {way: {"bytes": len(one.SerializeToString())} for way, one in models.items()}
    add_times(rows, opened, noise)
    add_accuracies(rows, opened, bundle, sets)
    rows["float32"] = {name: value for name, value in rows["float32"].items() if not name.startswith("embedding ")}
    show(rows, bool(sets))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))


def show(rows: Rows, has_sets: bool) -> None:
    """The table; times are ratios to the float trunk."""
    first = rows["float32"]
    print(
        "| trunk | MB | ms a picture | times | ms in 16 | times |"
        + (" mean cosine | zero-shot % | head % |" if has_sets else "")
    )
    print("|---|---|---|---|---|---|" + ("---|---|---|" if has_sets else ""))
    for way, row in rows.items():
        line = f"| {way} | {row['bytes'] / 1e6:.1f} |"
        for batch in (1, 16):
            time = row[f"ms_batch_{batch}"]
            line += f" {time:.2f} | {time / first[f'ms_batch_{batch}']:.2f} |"
        print(line + (f" {row['cosine']:.4f} | {row['zero_shot']:.1f} | {row['head']:.1f} |" if has_sets else ""))


if __name__ == "__main__":
    main()
