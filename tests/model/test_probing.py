"""A provider is tried in a child, whatever it does there: it may be missing, broken, dead or silent."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO, ROOT

from edge_nusa.model import probing, provider_probe, providers
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.probing import LEAST_COSINE, Tried, answer_of, offered, tried
from edge_nusa.model.providers import CPU_SESSION, Plugin, Provider

SAME = Provider(name="same", group="same", session=CPU_SESSION)


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this process and its children import from."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def plugin(folder: Path, name: str, body: str) -> Provider:
    """A provider whose library is where `body` says."""
    (folder / f"{name}.py").write_text(f"import os, sys, time\ndef get_library_path():\n    {body}\n")
    return Provider(name=name, group=name, session="XExecutionProvider", plugin=Plugin(name))


def test_a_provider_that_works_answers_as_the_cpu_does() -> None:
    found = tried(SAME, Bundle.open(MICRO), 1)
    assert (found.failure, found.same, found.of) == ("", 8, 8)
    assert found.cosine > 0.999999 and found.milliseconds > 0 and found.cpu_milliseconds > 0


def test_a_provider_that_this_onnxruntime_lacks_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(words: list[str], seconds: float) -> Tried:
        raise AssertionError(words)

    monkeypatch.setattr(probing, "answer_of", never)
    missing = Provider(name="tpu", group="tpu", session="TpuExecutionProvider")
    assert "is built without TpuExecutionProvider" in tried(missing, Bundle.open(MICRO)).failure
    qnn = providers.of_name("qnn")
    assert qnn is not None and "nor the package onnxruntime_qnn brings QNNExecutionProvider" in offered(qnn)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("dies", "os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("leaves", "os._exit(3)", "ended with exit code 3"),
        ("unloadable", "return __file__", "Failed to load library"),
        ("broken", "raise RuntimeError('driver 5 is needed')", "driver 5 is needed"),
        ("babbles", "print('hello', flush=True); os._exit(0)", "expected JSON"),
    ],
)
def test_a_broken_provider_fails_in_its_child_and_says_how(packages: Path, name: str, body: str, said: str) -> None:
    assert said in tried(plugin(packages, name, body), Bundle.open(MICRO), 1).failure


def test_openvino_is_tried_for_real_where_it_is_installed() -> None:
    openvino = providers.of_name("openvino")
    assert openvino is not None
    if missing := offered(openvino):
        pytest.skip(f"needs the package onnxruntime-openvino: {missing}")
    found = tried(openvino, Bundle.open(embedded_bundle()), 1)
    assert (found.failure, found.same) == ("", 8) and found.cosine > 0.9999


def test_a_provider_that_hangs_is_left_after_a_while(packages: Path) -> None:
    began = time.monotonic()
    found = tried(plugin(packages, "hangs", "time.sleep(60)"), Bundle.open(MICRO), 1, seconds=2)
    assert found.failure == "it gave no answer within 2 s" and time.monotonic() - began < 30


def test_a_bundle_that_cannot_be_opened_is_a_failure_too(tmp_path: Path) -> None:
    found = answer_of([str(tmp_path), "1", provider_probe.as_words(SAME)], 60)
    assert "no bundle in" in found.failure


def line(cosine: float) -> bytes:
    rest = {"same": 0, "of": 8, "milliseconds": 1.0, "cpu_milliseconds": 2.0}
    return json.dumps({"cosine": cosine, **rest}, allow_nan=False).encode()


def test_features_that_are_nothing_like_the_models_are_a_failure() -> None:
    assert probing.judged(line(LEAST_COSINE)).failure == ""
    found = probing.judged(line(LEAST_COSINE - 1e-6))
    assert found.failure == "its features are not the model's: 0 of 8 pictures get the CPU's answer"
    assert 0.5 < LEAST_COSINE < 0.968  # the least of one picture by a whole network in 8 bits


def test_how_alike_it_is_is_said_in_counts() -> None:
    found = Tried(same=7, of=8, cosine=0.98, milliseconds=2.04, cpu_milliseconds=8)
    assert found.words() == (
        "7 of 8 drawn pictures get the CPU's answer, its features differ a little from the CPU's; "
        "2.0 ms a picture, the CPU 8.0 ms"
    )
    assert "the CPU's to the last digits" in Tried(same=8, of=8, cosine=1.0).words()


def test_the_least_alike_of_all_pictures_counts() -> None:
    one = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert provider_probe._cosine(one, np.array([[5.0, 0.0], [3.0, 3.0]])) == pytest.approx(2**-0.5)


def test_the_drawn_pictures_are_the_same_everywhere_and_differ_from_each_other() -> None:
    found = provider_probe.drawn(32, 48)
    assert found.shape == (8, 3, 32, 48) and found.dtype == np.float32
    assert np.array_equal(found, provider_probe.drawn(32, 48))
    assert min(np.abs(one - other).max() for i, one in enumerate(found) for other in found[:i]) > 1
