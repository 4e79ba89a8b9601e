"""Opens the bundle's graphs in onnxruntime, with the adapted weights of a state injected, and runs them in chunks.

The image trunk is computed by the bundle's provider, everything else by the CPU: anchors of texts lie in states and
rounds, where those of two providers would meet.

A graph may come from anyone: what it takes and gives is compared with the manifest at opening and at every run, and a
signal ends both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError
from edge_nusa.files.os_errors import NO_ROOM, NO_THREAD
from edge_nusa.model import providers
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.contract import Array, contract
from edge_nusa.model.interruptible import interruptible
from edge_nusa.model.parameters import Tower
from edge_nusa.model.providers import CPU, Provider
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
NO_WORDS = 4
"""onnxruntime writes nothing on stderr by itself: what it says is in what it raises."""
_NO_ARENA = ("Failed to allocate memory",)
_EXPORT = "export the bundle again"
TRUNK = "image_trunk"
"""The one graph that the bundle's provider computes."""


class Graph:
    """A graph of a bundle, open in onnxruntime; `run` is all that is asked of it."""

    def __init__(
        self, session: Any, path: Path, bundle: Bundle, injected: Mapping[str, Any], provider: Provider = CPU
    ) -> None:
        """injected: what the session reads in place, which must live as long as it does; provider: whose it is."""
        expected = contract(bundle.manifest, path.stem)
        self.session, self.path, self.contract, self.injected = session, path, expected, injected
        self._bundle, self._provider = bundle, provider
        for what, arrays, found in (
            ("inputs", expected.inputs, session.get_inputs()),
            ("outputs", expected.outputs, session.get_outputs()),
        ):
            self._check_declared(what, arrays, found)

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names (None: all of the contract) for a batch. Raises DamagedError where the graph fails
        or gives something else than the manifest says, BundleChangedError where the bundle's files are not those that
        were verified, ResourceError where memory runs out."""
        import onnxruntime

        self._bundle.check_unchanged()  # its weights may be mapped

        options = onnxruntime.RunOptions()
        options.log_severity_level = NO_WORDS

        def stop() -> None:
            options.terminate = True

        with _refused(self.path, "run", self._provider):
            asked = [one.name for one in self._outputs(names)]
            found = interruptible(lambda: self.session.run(asked, dict(feeds), options), stop)
        batch = len(next(iter(feeds.values())))
        for array, values in zip(self._outputs(names), found, strict=True):
            if fault := array.fault(values, batch):
                raise DamagedError(f"{self.path}: expected the output {array.words()}, found {fault}; {_EXPORT}")
        return list(found)

    def _outputs(self, names: Sequence[str] | None) -> list[Array]:
        return [one for one in self.contract.outputs if names is None or one.name in names]

    def _check_declared(self, what: str, arrays: Sequence[Array], found: Sequence[Any]) -> None:
        if len(found) < len(arrays) or (len(found) > len(arrays) and what == "inputs"):
            raise DamagedError(f"{self.path}: expected {len(arrays)} {what}, found {len(found)}; {_EXPORT}")
        for array, one in zip(arrays, found, strict=False):  # outputs beyond these are never asked for
            if fault := array.declared(one):
                raise DamagedError(f"{self.path}: expected the {what[:-1]} {array.words()}, found {fault}; {_EXPORT}")


def open_session(
    bundle: Bundle, name: str, threads: int = 0, injected: Mapping[str, np.ndarray] | None = None
) -> Graph:
    """The graph `name` ("image_trunk" ...), open. threads 0 = all that this process may use.

    injected: initializer name -> float32 array, for graphs whose adapted weights the caller gives.
    Raises DamagedError when onnxruntime refuses the graph, or it is not one as the manifest says, ResourceError where
    it lacks memory or threads for it, or the bundle's provider does not open it.
    """
    import onnxruntime

    provider, options = bundle.provider if name == TRUNK else CPU, _options(threads)
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in (injected or {}).items()}
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    disabled: list[str] = []
    if bundle.manifest.precision == "fp32" and provider is CPU:
        # Weights are used where they lie, mapped from the bundle: neither transposed (which folds into a copy) nor
        # packed (another). ViT-B/32: opens in 0.1 s instead of 0.7 s, 32 MiB of its own memory instead of 428
        # (docs/performance.md).
        options.add_session_config_entry("session.disable_prepacking", "1")
        disabled = ["ConstantFolding"]
    path = bundle.path(f"{name}.onnx")

    def opened() -> Any:
        return providers.session(provider, path, options, disabled_optimizers=disabled)

    def stop() -> None:
        if hasattr(options, "set_load_cancellation_flag"):  # 1.20 has none: it is left behind where it does not end
            options.set_load_cancellation_flag(True)

    with _refused(path, "open", provider):
        session = interruptible(opened, stop)
    return Graph(session, path, bundle, values, provider)


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = NO_WORDS
    # never 0: onnxruntime would take the machine's cores, whatever this process may use, tie a thread to each, and
    # write a red line where a container refuses that
    options.intra_op_num_threads = threads or available()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


@contextmanager
def _refused(path: Path, doing: str, provider: Provider) -> Iterator[None]:
    """Turns what onnxruntime raises into an error of ours; doing: "open" or "run"."""
    import onnxruntime

    state = onnxruntime.capi.onnxruntime_pybind11_state
    refusals = tuple(kind for name in REFUSALS if (kind := getattr(state, name, None)))
    try:
        yield
    except (*refusals, RuntimeError, ValueError, TypeError, MemoryError, ImportError) as error:
        if type(error) is RuntimeError and any(words in str(error) for words in NO_THREAD):
            raise  # of Python or of the runtime's pool: it has nothing to do with the graph
        raise _refusal(path, doing, error, provider) from error


def _refusal(path: Path, doing: str, error: Exception, provider: Provider) -> EdgeNusaError:
    import onnxruntime

    found = _first_line(error)
    if provider is not CPU:
        return ResourceError(
            f"{path}: expected {provider.name} to {doing} it, found that it does not ({found}); "
            f"`edge-nusa doctor --provider {provider.name}` tries it anew"
        )
    if isinstance(error, MemoryError) or any(words in str(error) for words in (*NO_ROOM, *NO_THREAD, *_NO_ARENA)):
        return ResourceError(
            f"{doing} {path}: expected memory and threads for it, found too few ({found}); end other programs"
        )
    return DamagedError(
        f"{path}: expected onnxruntime {onnxruntime.__version__} to {doing} it, found that it refuses it ({found}); "
        "export it again or update onnxruntime"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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


def run(session: Graph, feeds: Mapping[str, np.ndarray], chunk: int = 16) -> list[np.ndarray]:
    """All outputs of a session over a long batch, `chunk` rows at a time, concatenated."""
    count = len(next(iter(feeds.values())))
    parts = [
        session.run(None, {name: array[i : i + chunk] for name, array in feeds.items()}) for i in range(0, count, chunk)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
