"""Opens the bundle's graphs in onnxruntime, with the adapted weights of a state injected, and runs them in chunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.files.os_errors import NO_ROOM, NO_THREAD
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.threads import available

REFUSALS = (
    "Fail",
    "InvalidGraph",
    "InvalidProtobuf",
    "InvalidArgument",
    "NoSuchFile",
    "NoModel",
    "NotImplemented",
    "RuntimeException",
    "EPFail",
)
"""Names of the exceptions that onnxruntime raises for a graph; they have no parent of their own."""


def open_session(bundle: Bundle, name: str, threads: int = 0, injected: Mapping[str, np.ndarray] | None = None) -> Any:
    """An onnxruntime session of `name` ("image_trunk" ...). threads 0 = all that this process may use.

    injected: initializer name -> float32 array, for graphs whose adapted weights the caller gives.
    Raises DamagedError when onnxruntime refuses the graph, ResourceError where it lacks memory or threads for it.
    """
    import onnxruntime

    options = _options(threads)
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in (injected or {}).items()}
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    disabled: list[str] = []
    if bundle.manifest.precision == "fp32":
        # Weights are used where they lie, mapped from the bundle: neither transposed (which folds into a copy) nor
        # packed (another). ViT-B/32: opens in 0.1 s instead of 0.7 s, 32 MiB of its own memory instead of 428
        # (docs/performance.md).
        options.add_session_config_entry("session.disable_prepacking", "1")
        disabled = ["ConstantFolding"]
    path = bundle.path(f"{name}.onnx")
    state = onnxruntime.capi.onnxruntime_pybind11_state
    refusals = tuple(kind for name in REFUSALS if (kind := getattr(state, name, None)))
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled, enable_fallback=0
        )
    except refusals as error:
        raise _refusal(path, error) from error
    session.injected = values  # the session reads the arrays in place, so they must live as long as it does
    return session


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # never 0: onnxruntime would take the machine's cores, whatever this process may use, tie a thread to each, and
    # write a red line where a container refuses that
    options.intra_op_num_threads = threads or available()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _refusal(path: Path, error: Exception) -> EdgeNusaError:
    import onnxruntime

    found = _first_line(error)
    if any(words in str(error) for words in (*NO_ROOM, *NO_THREAD)):
        return ResourceError(
            f"open {path}: expected memory and threads for it, found too few ({found}); end other programs"
        )
    return DamagedError(
        f"{path}: onnxruntime {onnxruntime.__version__} refuses it ({found}); export it again or update onnxruntime"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def tail_weights(bundle: Bundle, tower: Tower, merged: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a tail graph of `tower` takes: W_0 of every adapted matrix, or the merged one where `merged` has it.

    merged: matrix name -> (out, in) float32. Returns initializer name -> array.
    """
    weights: dict[str, np.ndarray] = {}
    for matrix in bundle.matrices(tower):
        _, block, projection = matrix.split(".")
        weight = merged.get(matrix)
        weights[f"blocks.{block}.attn.{projection}.weight"] = bundle.matrix(matrix) if weight is None else weight
    return weights


def run(session: Any, feeds: Mapping[str, np.ndarray], chunk: int = 16) -> list[np.ndarray]:
    """All outputs of a session over a long batch, `chunk` rows at a time, concatenated."""
    count = len(next(iter(feeds.values())))
    parts = [
        session.run(None, {name: array[i : i + chunk] for name, array in feeds.items()}) for i in range(0, count, chunk)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
