"""Bundles whose hashes fit and whose content is made to hurt: one line and a documented code, and nothing unlisted is
read."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import command, environment, run_cli
from evil_bundles import MICRO, Change, bundle, endless, from_file, graphs, long_product, trunk
from PIL import Image

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.model import contract
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.graph_file import INJECTED

PIXELS = np.zeros((1, 3, 64, 64), np.float32)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asked") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(path)
    return path


def asked(picture: Path, folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return run_cli("predict", picture, "--labels", "rose,tulip", "--bundle", folder, "--state", tmp_path / "none")


def test_a_trunk_as_the_manifest_says_it_answers(picture: Path, tmp_path: Path) -> None:
    done = asked(picture, bundle(tmp_path / "b", {"image_trunk": trunk()}), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("input_name", 4, r"expected the input pixels float32 \(any, 3, 64, 64\), found 'image'"),
        ("two_outputs", 4, "expected 3 outputs, found 2"),
        ("taps_short", 4, r"expected the output taps float32 \(any, 576\), found tensor\(float\) \['n', 10\]"),
        ("embedding_short", 4, r"expected the output embedding float32 \(any, 128\), found"),
        ("embedding_lies", 4, "embedding"),
        ("not_unit", 4, "found a norm other than one"),
        ("nan", 4, "found NaN or infinite numbers"),
        ("int8_embedding", 4, r"found tensor\(int8\)"),
        ("string_embedding", 4, r"found tensor\(string\)"),
        ("double_embedding", 4, r"found tensor\(double\)"),
        ("fails_at_run", 4, "to run it, found that it refuses it"),
        ("no_graph", 4, "to open it, found that it refuses it"),
        ("empty", 4, "expected 1 to"),
        ("opset", 4, "to open it, found that it refuses it"),
    ],
)
def test_a_graph_that_is_not_as_the_manifest_says_is_one_line(
    name: str, code: int, says: str, picture: Path, tmp_path: Path
) -> None:
    done = asked(picture, bundle(tmp_path / "b", {"image_trunk": graphs()[name]}), tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert "image_trunk.onnx: " in done.stderr and "export" in done.stderr and len(done.stderr) < 1000
    assert re.search(says, done.stderr)


def test_a_graph_that_asks_for_more_memory_than_there_is_is_a_resource_error(picture: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", {"image_trunk": graphs()["memory"]})
    words = command("predict", picture, "--labels", "rose,tulip", "--bundle", folder, "--state", tmp_path / "none")
    done = subprocess.run(
        ["bash", "-c", 'ulimit -v 4000000; exec "$@"', "-", *words], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1), done.stderr


def unlisted(folder: Path) -> str:
    (folder / "unlisted.bin").write_bytes(np.full(64, 42, np.float32).tobytes())
    return "unlisted.bin"


def linked(folder: Path) -> str:
    (folder / "linked.bin").symlink_to("../secret.bin")
    return "linked.bin"


def hard_linked(folder: Path) -> str:
    os.link(folder.parent / "secret.bin", folder / "hard.bin")
    return "hard.bin"


def piped(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


def injected(folder: Path) -> str:
    (folder / INJECTED).write_bytes(bytes(64))
    return INJECTED


@pytest.mark.parametrize(
    "place",
    [
        unlisted,
        linked,
        hard_linked,
        piped,
        injected,
        lambda folder: "../secret.bin",
        lambda folder: str(folder.parent / "secret.bin"),
        lambda folder: "./weights.safetensors",
        lambda folder: "manifest.json",
        lambda folder: "../../../../../../../../proc/self/environ",
        lambda folder: "",
    ],
)
def test_a_graph_reads_no_file_that_the_manifest_does_not_list(
    place: Callable[[Path], str], picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.bin").write_bytes(np.full(64, 42, np.float32).tobytes())
    folder = bundle(tmp_path / "b")
    location = place(folder)
    changed = bundle(tmp_path / "c", {"image_trunk": from_file(location)})
    for name in ("unlisted.bin", "linked.bin", "hard.bin", INJECTED):
        if (folder / name).exists():
            (folder / name).rename(changed / name)
    with pytest.raises(DamagedError, match="expected its external data in files that the manifest lists, found"):
        Bundle.open(changed)
    done = asked(picture, changed, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1), done.stderr


def test_every_graph_is_looked_into_not_only_the_one_that_is_opened(tmp_path: Path) -> None:
    for name in ("image_tail", "text_trunk", "text_tail"):
        folder = bundle(tmp_path / name, {name: from_file("elsewhere.bin")})
        with pytest.raises(DamagedError, match=f"{name}.onnx: expected its external data"):
            Bundle.open(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_graph_without_end_is_ended_by_a_signal(number: signal.Signals, picture: Path, tmp_path: Path) -> None:
    ended_by(number, endless(), picture, tmp_path)


def test_an_operator_that_looks_for_no_signal_is_left_behind(picture: Path, tmp_path: Path) -> None:
    ended_by(signal.SIGTERM, long_product(), picture, tmp_path)


def ended_by(number: signal.Signals, graph: bytes, picture: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", {"image_trunk": graph})
    words = command("predict", picture, "--labels", "rose,tulip", "--bundle", folder, "--state", tmp_path / "none")
    running = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.communicate(timeout=5)
        sent = time.monotonic()
        running.send_signal(number)
        said = running.communicate(timeout=30)
        took = time.monotonic() - sent
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 128 + number and "stopped by a signal" in said[1] and said[1].count("\n") == 1
    assert took < 2 + 2  # a second worker may be beside


def set_to(*path: str, value: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("logit_scale",), 0, "logit_scale: expected a number from 0.001"),
        (("logit_scale",), -1, "logit_scale"),
        (("logit_scale",), 1e7, "logit_scale"),
        (("logit_scale",), float("nan"), "NaN"),
        (("logit_scale",), float("inf"), "Infinity"),
        (("templates",), [], "templates: expected at least one"),
        (("templates",), ["no gap"], "templates"),
        (("templates",), ["{}"] * 1001, "templates"),
        (("image", "patch"), 0, "patch: expected a whole number from 1"),
        (("image", "patch"), 65, "patch: expected at most the 64 pixels"),
        (("image", "width"), 0, "width"),
        (("image", "width"), 32769, "width: expected a whole number from 1 to 32768"),
        (("image", "heads"), 0, "heads: expected a whole number from 1"),
        (("image", "heads"), 7, "heads: expected a divisor"),
        (("image", "mlp_width"), 131073, "mlp_width: expected a whole number from 1 to 131072"),
        (("image", "epsilon"), 0, "epsilon"),
        (("image", "size"), 128, "size: expected both sides the image tower's 128"),
        (("text", "embed_dim"), 127, "embed_dim: expected the image tower's 128, found 127"),
        (("text", "embed_dim"), 1000000, "embed_dim"),
        (("text", "layers"), 1001, "layers: expected a whole number from 0 to 1000"),
        (("text", "size"), 2, "size: expected a whole number from 3 to 1024"),
        (("text", "size"), 1025, "size"),
        (("text", "eos_id"), -1, "eos_id"),
        (("vocab_size",), 2, "vocab_size: expected a whole number from 3"),
        (("method", "pool_rank", "text"), -3, "pool_rank: text"),
        (("method", "pool_rank", "text"), 129, "pool_rank: text: expected a whole number from 0 to 128"),
        (("method", "max_rank", "text"), 0, "max_rank: text"),
        (("method", "max_rank", "image"), 193, "max_rank: image: expected a whole number from 1 to 192"),
        (("method", "energy_threshold"), 1.5, "energy_threshold"),
        (("method", "alpha"), float("nan"), "NaN"),
        (("preprocessing", "std"), [0, 1, 1], "std"),
        (("preprocessing", "size"), [64, 2000], "size"),
        (("files", "../x"), {"sha256": "0" * 64, "bytes": 1}, "files: expected plain names"),
        (("files", ".."), {"sha256": "0" * 64, "bytes": 1}, "files: expected plain names"),
        (("files", "a/b"), {"sha256": "0" * 64, "bytes": 1}, "files: expected plain names"),
        (("files", "x" * 101), {"sha256": "0" * 64, "bytes": 1}, "files: expected plain names"),
    ],
)
def test_a_value_out_of_its_range_is_refused_whatever_the_checksum_says(
    path: tuple[str, ...], value: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(DamagedError, match=says) as refused:
        Bundle.open(bundle(tmp_path / "b", change=set_to(*path, value=value)))
    assert len(str(refused.value)) < 600


def test_a_million_tail_blocks_take_no_memory(picture: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["text"].update(layers=1000000, tail_blocks=1000000)

    done = asked(picture, bundle(tmp_path / "b", change=change), tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1) and "layers" in done.stderr


@pytest.mark.parametrize("factor", [0, 3])
def test_a_vocabulary_that_is_not_of_unit_norm_is_refused(factor: int, tmp_path: Path) -> None:
    anchors = tensor_file.decode((MICRO / "vocabulary.safetensors").read_bytes(), "vocabulary.safetensors")["anchors"]
    data = tensor_file.encode({"anchors": (anchors * factor).astype(np.float16)})
    opened = Bundle.open(bundle(tmp_path / "b", vocabulary_safetensors=data))
    with pytest.raises(DamagedError, match="expected anchors of unit norm"):
        _ = opened.vocabulary


def test_a_matrix_of_another_shape_is_refused(tmp_path: Path) -> None:
    found = tensor_file.decode((MICRO / "weights.safetensors").read_bytes(), "weights.safetensors")
    found = {key: value[:, :-1] if key.endswith("in_proj_weight") else value for key, value in found.items()}
    opened = Bundle.open(bundle(tmp_path / "b", weights_safetensors=tensor_file.encode(found)))
    with pytest.raises(DamagedError, match="expected W_0"):
        opened.matrix(opened.matrices("text")[0])


@pytest.mark.parametrize(("factor", "fits"), [(1.009, True), (1.011, False), (0.991, True), (0.989, False)])
def test_an_embedding_may_differ_from_unit_norm_by_a_hundredth(factor: float, fits: bool) -> None:
    array = contract.Array("embedding", "float32", (contract.ANY, 2))
    fault = array.fault(np.array([[0.6 * factor, 0.8 * factor]], np.float32), 1)
    assert fault == (None if fits else "a norm other than one")


@pytest.mark.parametrize(
    ("found", "batch", "says"),
    [
        (np.zeros((2, 3), np.float32), 2, None),
        (np.zeros((2, 3), np.float32), 3, r"the shape \(2, 3\)"),
        (np.zeros((2, 4), np.float32), 2, r"the shape \(2, 4\)"),
        (np.zeros((2, 3, 1), np.float32), 2, r"the shape \(2, 3, 1\)"),
        (np.zeros((2, 3), np.float64), 2, "float64"),
        (np.full((2, 3), np.inf, np.float32), 2, "NaN or infinite numbers"),
        (["a", "b"], 2, "list"),
    ],
)
def test_what_comes_out_of_a_graph_is_as_the_manifest_says(found: Any, batch: int, says: str | None) -> None:
    fault = contract.Array("taps", "float32", (contract.ANY, 3)).fault(found, batch)
    assert fault is None if says is None else re.fullmatch(says, str(fault))


def test_the_contract_follows_the_towers_kind() -> None:
    opened = Bundle.open(MICRO)
    assert [one.name for one in contract.contract(opened.manifest, "image_trunk").outputs] == [
        "embedding",
        "taps",
        "tokens",
    ]
    frozen = Bundle.open(embedded_bundle())
    assert [one.name for one in contract.contract(frozen.manifest, "image_trunk").outputs] == ["embedding", "taps"]
    assert [one.words() for one in contract.contract(frozen.manifest, "text_tail").inputs] == [
        "hidden float32 (any, any, 192)",
        "last int64 (any)",
    ]
