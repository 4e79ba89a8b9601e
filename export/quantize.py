"""An int8 image trunk, accepted only where its measured loss stays within the asked bound."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx

from edge_nusa.errors import InputError
from edge_nusa.export.quiet import quiet
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.pictures.pictures import decode, find_pictures
from edge_nusa.threads import one_blas_thread


class Loss(NamedTuple):
    """What quantizing costs on the calibration folder: mean and least cosine to the float embedding, accuracies in
    percent, and the mean cosine to the float taps, which the head sees."""

    mean_cosine: float
    least_cosine: float
    float_accuracy: float
    int8_accuracy: float
    taps_cosine: float

    def points(self) -> float:
        """The larger of the accuracy lost in points and 100 * (1 - mean cosine); NaN where any figure is NaN."""
        if any(map(math.isnan, self)):
            return math.nan
        return max(self.float_accuracy - self.int8_accuracy, 100 * (1 - self.mean_cosine))

    def figures(self, before: str = "") -> dict[str, float]:
        """Those that are numbers, for a record; before: what their names begin with."""
        return {before + name: round(value, 4) for name, value in self._asdict().items() if not math.isnan(value)}

    def words(self) -> str:
        """What is lost, for people."""
        if math.isnan(self.points()):
            return "more than can be measured (what it gives is no number)"
        return (
            f"{self.points():.2f} points (accuracy {self.float_accuracy:.2f} -> {self.int8_accuracy:.2f} %, "
            f"mean cosine {self.mean_cosine:.4f})"
        )


def quantized(model: onnx.ModelProto, per_channel: bool = True) -> onnx.ModelProto:
    """Dynamic int8 quantization of every matrix product of a traced graph whose weights are inside it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        options = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(
            str(source),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            op_types_to_quantize=["MatMul", "Gemm"],
            extra_options=options,
        )
        return onnx.load(str(target))


STATIC_OPERATIONS = ("Conv", "Add", "Clip", "Relu", "AveragePool", "MaxPool", "GlobalAveragePool")
"""What of a convolutional tower becomes int8. With the activations left out, what goes into one is rounded over its
whole range: cosine 0.78 instead of 0.98 on EfficientNet-Lite0. What comes behind the last map stays float."""
CALIBRATION_PICTURES = 64


def is_convolutional(model: onnx.ModelProto) -> bool:
    """Whether most of a graph's weights are in convolutions, which a dynamic quantization leaves as they are."""
    sizes = {one.name: math.prod(one.dims) for one in model.graph.initializer}
    convolved = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    return 2 * sum(sizes.get(name, 0) for name in convolved) > sum(sizes.values())


def frozen_quantized(path: Path, images: np.ndarray) -> onnx.ModelProto:
    """Int8 quantization of a frozen tower's graph as it lies in the bundle, by its kind. images (B, 3, S, S) float32:
    what the ranges of activations are taken from where it is convolutional."""
    from onnxscript import optimizer

    model = optimizer.optimize(onnx.load(str(path)), input_size_limit=1 << 30, output_size_limit=1 << 30)
    if not is_convolutional(model):
        return quantized(model)
    return static_quantized(model, images)


def static_quantized(
    model: onnx.ModelProto,
    images: np.ndarray,
    operations: Sequence[str] = STATIC_OPERATIONS,
    activation_bits: Literal[8, 16] = 8,
) -> onnx.ModelProto:
    """Static quantization of these operations, one scale a channel of the weights, which become int8. images
    (B, 3, S, S) float32: the ranges of activations are those of CALIBRATION_PICTURES of them."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One picture after the other."""

        def __init__(self) -> None:
            self.rows = iter(images[chosen])

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self.rows, None)
            return None if row is None else {"pixels": row[None]}

    chosen = np.linspace(0, len(images) - 1, min(CALIBRATION_PICTURES, len(images))).round().astype(int)
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8 if activation_bits == 8 else QuantType.QUInt16,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(operations),
        )
        return onnx.load(str(target))


def measure(float_bundle: Bundle, int8_model: onnx.ModelProto, calibration: Path, chunk: int = 16) -> Loss:
    """Compare both trunks on the calibration folder (a folder per label), zero-shot over its labels. chunk: pictures
    that the quantized one takes at a time."""
    import onnxruntime

    images, labels, names = calibration_images(float_bundle, calibration)
    text = TextEncoder(float_bundle)
    anchors = text.anchors(text.tail({}), names, float_bundle.manifest.templates[0])
    reference, taps = sessions.run(sessions.open_session(float_bundle, "image_trunk"), {"pixels": images})[:2]
    session: Any = onnxruntime.InferenceSession(int8_model.SerializeToString(), providers=["CPUExecutionProvider"])
    found, found_taps = sessions.run(session, {"pixels": images}, chunk)[:2]
    cosines = (reference * found).sum(axis=1)
    with one_blas_thread:
        float_accuracy, int8_accuracy = (
            100 * float(((rows @ anchors.T).argmax(axis=1) == labels).mean()) for rows in (reference, found)
        )
    of_taps = (taps * found_taps).sum(axis=1) / (np.linalg.norm(taps, axis=1) * np.linalg.norm(found_taps, axis=1))
    return Loss(float(cosines.mean()), float(cosines.min()), float_accuracy, int8_accuracy, float(of_taps.mean()))


def calibration_images(bundle: Bundle, folder: Path, a_label: int = 20) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pixels (B, 3, S, S), label numbers (B,), names: at most `a_label` readable pictures of each sub-folder."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    rows: list[np.ndarray] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        for path in find_pictures(folder / name)[0][:a_label]:
            try:
                rows.append(pixels(decode(path), bundle.manifest.preprocessing))
            except InputError:
                continue
            labels.append(number)
    if not rows:
        raise InputError(
            f"the calibration folder {folder} holds no readable pictures; expected a folder per label with pictures in "
            "each"
        )
    return np.stack(rows), np.array(labels), [name.replace("_", " ") for name in names]
