"""What may compute the features of pictures: the table, the one graph that it concerns, and foreign trunks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import MICRO

from edge_nusa.errors import DamagedError, ResourceError, UsageError
from edge_nusa.files.identity import another, fleet_way_out, way_out
from edge_nusa.model import foreign_trunk, providers, sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.foreign_trunk import ForeignGraph, ForeignTrunk, provider_of
from edge_nusa.model.providers import CPU, CPU_SESSION, TABLE, Plugin, Provider

SAME = Provider(name="same", group="same", session=CPU_SESSION)
"""The CPU's sums under another name."""


def test_every_provider_has_a_name_a_class_and_a_reason_of_its_own() -> None:
    for values in ([one.name for one in TABLE], [one.group for one in TABLE], [one.why for one in TABLE]):
        assert len(set(values)) == len(values) and all(values)
    assert TABLE[0] is CPU and all(providers.NAME.fullmatch(one.name) for one in TABLE)
    assert [providers.of_group(one.group) for one in TABLE] == [[one] for one in TABLE]
    assert {one.name for one in TABLE[1:]} > providers.ON_PROCESSOR


def test_two_devices_of_one_runtime_are_two_classes_and_openvinos_processor_computes_in_32_bits() -> None:
    found = {one.name: dict(one.options) for one in TABLE if one.session == "OpenVINOExecutionProvider"}
    assert found == {
        "openvino-npu": {"device_type": "NPU"},
        "openvino-gpu": {"device_type": "GPU"},
        "openvino": {"device_type": "CPU", "precision": "FP32"},
    }
    cuda = providers.of_name("cuda")
    assert cuda is not None and dict(cuda.options) == {"use_tf32": "0"}


def test_the_image_trunk_alone_goes_to_the_bundles_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    real = providers.session

    def noted(provider: Provider, path: Path, options: Any, **more: Any) -> Any:
        asked.append((path.stem, provider.name))
        return real(provider, path, options, **more)

    monkeypatch.setattr(providers, "session", noted)
    bundle = Bundle.open(MICRO)
    bundle.provider = SAME
    for name in ("image_trunk", "text_trunk"):
        sessions.open_session(bundle, name, 1)
    for tower in ("image", "text"):
        sessions.open_session(bundle, f"{tower}_tail", 1, sessions.tail_weights(bundle, tower, {}))
    expected = [("image_trunk", "same"), ("text_trunk", "cpu"), ("image_tail", "cpu"), ("text_tail", "cpu")]
    assert asked == expected


def test_what_computes_is_part_of_the_identity() -> None:
    bundle = Bundle.open(MICRO)
    plain = bundle.identity
    assert plain == bundle.manifest.identity and (plain.provider, plain.precision) == ("cpu", "fp16")
    bundle.provider = SAME
    assert (bundle.identity.provider, bundle.identity.precision) == ("same", "fp16")
    bundle.provider = Provider(name="chip", group="chip", precision="a8w8")
    assert (bundle.identity.provider, bundle.identity.precision) == ("chip", "a8w8")
    assert bundle.identity != plain and bundle.identity.sha256 != plain.sha256
    assert bundle.identity.is_same_bundle(plain) and plain.is_same_bundle(bundle.identity)
    assert another(plain, bundle.identity) == "another provider"
    assert way_out(plain, bundle.identity).startswith("pass --provider chip, which taught it, or --provider auto")
    assert "made with (`edge-nusa config provider chip`), and join" in fleet_way_out(plain, bundle.identity)
    other = replace(plain, weights="0" * 64)
    assert fleet_way_out(other, bundle.identity) == "use the bundle that the fleet was made with"


def test_what_an_identity_says_is_the_tables_own_or_a_foreign_trunk_of_its_precision() -> None:
    identity = Bundle.open(MICRO).manifest.identity
    for one in TABLE:
        assert providers.of_identity(replace(identity, provider=one.group)) is one and one.batch == 0
    found = providers.of_identity(replace(identity, provider="chip", precision="a8w8"))
    assert (found.name, found.group, found.precision) == ("chip", "chip", "a8w8") and found.trunk is providers.absent


def test_another_precision_by_one_provider_says_what_to_do() -> None:
    bundle = Bundle.open(MICRO)
    found = []
    for precision in ("a8w8", "a16w8"):
        bundle.provider = Provider(name="chip", group="chip", precision=precision)
        found.append(bundle.identity)
    assert another(*found) == "another bundle"
    assert way_out(*found) == "use the chip trunk of precision a16w8, which taught it, or another --state"
    assert "(its chip trunk of precision a16w8), and join with" in fleet_way_out(*found)


def test_a_provider_that_onnxruntime_leaves_out_is_no_answer_by_the_cpu() -> None:
    bundle = Bundle.open(MICRO)
    bundle.provider = next(one for one in TABLE if one.session not in onnxruntime.get_available_providers())
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(
            ResourceError, match=r"expected \S+ to open it, found that it does not \(onnxruntime left \S+ out"
        ),
    ):
        sessions.open_session(bundle, "image_trunk", 1)


class Opened:
    """An onnxruntime session that says what it was opened with."""

    def __init__(self, path: str, options: Any, providers: Any = (), **more: Any) -> None:
        self.asked, self.more = providers, more

    def get_providers(self) -> list[str]:
        return [one if isinstance(one, str) else one[0] for one in self.asked] or ["XExecutionProvider"]


def test_a_provider_gets_its_own_options_and_openvino_the_threads_that_it_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", Opened)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    for name, expected in (
        ("cuda", {"use_tf32": "0"}),
        ("openvino-npu", {"device_type": "NPU"}),
        ("openvino", {"device_type": "CPU", "precision": "FP32", "num_of_threads": "3"}),
    ):
        provider = providers.of_name(name)
        assert provider is not None
        opened = providers.session(provider, Path("x"), options, disabled_optimizers=[])
        assert opened.asked == [(provider.session, expected), CPU_SESSION]
        assert opened.more == {"enable_fallback": 0, "disabled_optimizers": []}
    opened = providers.session(CPU, Path("x"), options)
    assert (opened.asked, opened.more) == ([CPU_SESSION], {"enable_fallback": 0})


class Device:
    def __init__(self, ep_name: str) -> None:
        self.ep_name = ep_name


def test_a_plugin_is_loaded_once_and_computes_on_its_first_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, loaded, given = [Device("CPUExecutionProvider")], [], []

    class Options:
        intra_op_num_threads = 1

        def add_provider_for_devices(self, devices: list[Device], options: dict[str, str]) -> None:
            given.append((devices, options))

    def load(name: str, path: str) -> None:
        loaded.append((name, path))
        seen.extend(Device(name) for _ in range(devices))

    monkeypatch.setattr(onnxruntime, "InferenceSession", Opened)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: seen, raising=False)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", load, raising=False)
    monkeypatch.setattr(providers, "library", lambda plugin: f"{plugin.module}.so")
    chip = Provider(name="x", group="x", session="XExecutionProvider", plugin=Plugin("chip"), options={"n": "1"})
    devices = 0
    with pytest.raises(RuntimeError, match="library of XExecutionProvider is loaded, and finds no device here"):
        providers.session(chip, Path("x"), Options())
    devices = 2
    for _ in range(2):
        assert providers.session(chip, Path("x"), Options()).more == {"enable_fallback": 0}
    assert loaded == [("XExecutionProvider", "chip.so")] * 2 and [options for _, options in given] == [{"n": "1"}] * 2
    assert [found for found, _ in given] == [[seen[1]]] * 2
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(RuntimeError, match="expected onnxruntime 1.23 for a plugin, found 1"):
        providers.session(chip, Path("x"), Options())


def test_a_plugin_whose_library_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_plugin.py").write_text(f"def get_library_path():\n    return {str(tmp_path / 'lib.so')!r}\n")
    (tmp_path / "lib.so").write_text("no library")
    monkeypatch.syspath_prepend(str(tmp_path))
    bundle = Bundle.open(MICRO)
    bundle.provider = Provider(name="x", group="x", session="XExecutionProvider", plugin=Plugin("broken_plugin"))
    with pytest.raises(ResourceError, match=r"x to open it, found that it does not .*lib\.so"):
        sessions.open_session(bundle, "image_trunk", 1)
    bundle.provider = Provider(name="x", group="x", session="XExecutionProvider", plugin=Plugin("no_such_plugin"))
    with pytest.raises(ResourceError, match="No module named 'no_such_plugin'"):
        sessions.open_session(bundle, "image_trunk", 1)


def test_a_hub_is_told_a_name_of_the_table_or_a_class_with_its_precision() -> None:
    assert providers.declared("cuda") is providers.of_name("cuda")
    assert (providers.declared("hailo:a8w8").group, providers.declared("hailo:a8w8").precision) == ("hailo", "a8w8")
    for wrong in ("hailo", "cuda:a8w8", "Hailo:a8w8", "hailo:", "hailo:A", ""):
        with pytest.raises(UsageError, match="or CLASS:PRECISION of a foreign trunk such as hailo:a8w8, found"):
            providers.declared(wrong)


def foreign(run: providers.Run, batch: int = 0) -> ForeignGraph:
    bundle = Bundle.open(embedded_bundle())
    bundle.provider = provider_of(ForeignTrunk(run=run, provider="chip", precision="a8w8", batch=batch))
    return ForeignGraph(bundle)


def test_a_foreign_trunk_answers_in_batches_of_its_own_with_embeddings_of_norm_one() -> None:
    calls = []

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(len(pixels))
        rows = np.arange(len(pixels) * 256).reshape(-1, 256) + 1.0
        return rows * 3, np.ones((len(pixels), 720))

    pixels = np.zeros((3, 3, 224, 224), np.float32)
    for batch, expected in ((1, [1, 1, 1]), (2, [2, 1]), (0, [3])):
        calls.clear()
        embedding, taps = foreign(run, batch).run(None, {"pixels": pixels})
        assert calls == expected and {embedding.dtype.name, taps.dtype.name} == {"float32"}
        assert np.allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-6) and taps.shape == (3, 720)
    [only] = foreign(run).run(["taps"], {"pixels": pixels})
    assert only.shape == (3, 720)


def refused(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    raise OSError("the device is gone")


@pytest.mark.parametrize(
    ("run", "error", "said"),
    [
        (refused, ResourceError, "chip: expected embedding and taps of 2 pictures, found the device is gone"),
        (lambda p: (np.ones((2, 5)), np.ones((2, 720))), DamagedError, r"found the shape \(2, 5\); correct it"),
        (lambda p: (np.ones((1, 256)), np.ones((1, 720))), DamagedError, r"found the shape \(1, 256\)"),
        (lambda p: (np.zeros((2, 256)), np.ones((2, 720))), DamagedError, "found NaN or infinite numbers"),
        (lambda p: (np.ones((2, 256)), np.full((2, 720), np.inf)), DamagedError, "taps .*found NaN or infinite"),
        (lambda p: np.ones((3, 2, 256)), ResourceError, "expected embedding and taps of 2 pictures, found "),
    ],
)
def test_a_foreign_trunk_that_gives_something_else_is_refused(run: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        foreign(run).run(None, {"pixels": np.zeros((2, 3, 224, 224), np.float32)})


@pytest.mark.parametrize(
    ("provider", "precision", "said"),
    [
        ("Hailo", "a8w8", "expected a class of small letters"),
        ("hailo", "8 bits", "expected a precision of small letters"),
        ("cuda", "fp16", "expected a class of its own, found cuda"),
        ("cpu", "fp16", "expected a class of its own, found cpu"),
    ],
)
def test_a_foreign_trunk_names_a_class_of_its_own(provider: str, precision: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        provider_of(ForeignTrunk(run=refused, provider=provider, precision=precision))


def test_a_foreign_trunk_gives_no_tokens_so_a_bundle_with_an_image_tail_refuses_it() -> None:
    bundle = Bundle.open(MICRO)
    bundle.provider = provider_of(ForeignTrunk(run=refused, provider="chip", precision="a8w8"))
    with pytest.raises(UsageError, match="expected a bundle without an image tail.*--tail-blocks 0"):
        ForeignGraph(bundle)


class Entry:
    """An entry point of a package."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def load(self) -> Any:
        return self.made


def failing(folder: Path) -> ForeignTrunk:
    raise ValueError("no compiled network for this bundle")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (failing, "chip: expected its package to make a trunk, found no compiled network for this bundle"),
        (lambda folder: 5, "expected its package to make a ForeignTrunk of the class chip, found int"),
        (
            lambda folder: ForeignTrunk(run=refused, provider="other", precision="a8w8"),
            "a ForeignTrunk of the class chip, found other",
        ),
    ],
)
def test_a_package_that_makes_no_trunk_of_its_name_is_told(
    made: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group, name: [Entry(made)])
    with pytest.raises(UsageError, match=said):
        foreign_trunk.of_package("chip", MICRO)
