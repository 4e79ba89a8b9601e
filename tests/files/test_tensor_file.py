"""The safetensors container: its golden bytes, and everything malformed (row M1 of the faults) refused as damage."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hollow_bundles import hollow_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.knowledge.knowledge import nothing
from edge_nusa.knowledge.recipes import DEVICE, PAPER
from edge_nusa.knowledge.stored import from_files, to_files
from edge_nusa.model.bundle import Bundle

TWO_FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
GOLDEN = (
    struct.pack("<Q", 144)
    + b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    + b'"a":{"dtype":"I8","shape":[1,3],"data_offsets":[8,11]}}'.ljust(59)
    + struct.pack("<2f", 1.0, -2.0)
    + bytes([1, 2, 255])
)


def container(header: object, data: bytes) -> bytes:
    """A safetensors file with this header, bytes or JSON, whatever it claims."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def twice(*entries: dict[str, Any]) -> bytes:
    """A header that lists tensor "a" once for each entry."""
    return b"{" + b",".join(b'"a":' + json.dumps(entry).encode() for entry in entries) + b"}"


def files(recipe: Any = DEVICE) -> tuple[Bundle, dict[str, bytes]]:
    """The bundle and files of an empty state."""
    bundle = Bundle(Path("hollow"), hollow_manifest())
    return bundle, to_files(nothing(bundle, recipe))


def test_the_bytes_of_a_tiny_file_never_change() -> None:
    tensors: dict[str, np.ndarray] = {"b": np.array([1, -2], np.float32), "a": np.array([[1, 2, -1]], np.int8)}
    assert tensor_file.encode(tensors) == GOLDEN
    assert tensor_file.encode(dict(reversed(tensors.items()))) == GOLDEN
    found = tensor_file.decode(GOLDEN, "golden", {"a": ("int8", (1, -1)), "b": ("float32", (2,))})
    assert found["a"].tolist() == [[1, 2, -1]]
    assert found["b"].tolist() == [1.0, -2.0]


def test_arrays_in_another_order_of_memory_survive() -> None:
    column_major = np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3))
    data = tensor_file.encode({"a": column_major})
    assert b'"__metadata__":{"format":"pt"}' in data
    np.testing.assert_array_equal(tensor_file.decode(data, "f")["a"], column_major)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, (1 << 20) + 1, 1 << 20, len(GOLDEN) - 7])
def test_a_header_that_announces_too_much_is_refused_before_it_is_parsed(length: int) -> None:
    with pytest.raises(
        DamagedError, match=rf"f: its header announces {length} bytes, expected at most \d+; restore the file"
    ):
        tensor_file.decode(struct.pack("<Q", length) + GOLDEN[8:], "f")


def test_a_header_over_one_mebibyte_is_refused_even_where_it_is_real() -> None:
    padded = json.dumps({"a": TWO_FLOATS}).encode().ljust((1 << 20) + 8)
    with pytest.raises(DamagedError, match=r"header announces 1048584 bytes, expected at most 1048576"):
        tensor_file.decode(container(padded, bytes(8)), "f")


def test_a_hundred_thousand_tensors_are_refused_by_their_header() -> None:
    many = {f"tensor{number}": tensor("U8", [1], number, number + 1) for number in range(100_000)}
    with pytest.raises(DamagedError, match="header announces"):
        tensor_file.decode(container(many, bytes(100_000)), "f")


def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(DamagedError, match=r"^f: .*restore the file"):
            tensor_file.decode(GOLDEN[:length], "f")


@settings(max_examples=500, deadline=None)
@given(position=st.integers(0, len(GOLDEN) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_tensors_but_no_other_error(position: int, byte: int) -> None:
    try:
        found = tensor_file.decode(GOLDEN[:position] + bytes([byte]) + GOLDEN[position + 1 :], "f")
    except DamagedError:
        return
    assert all(np.isfinite(values).all() for values in found.values())


MALFORMED = {
    "overlap": container({"a": TWO_FLOATS, "b": tensor("F32", [2], 4, 12)}, bytes(12)),
    "the same bytes twice": container({"a": TWO_FLOATS, "b": TWO_FLOATS}, bytes(8)),
    "hole": container({"a": TWO_FLOATS, "b": tensor("F32", [2], 16, 24)}, bytes(24)),
    "hole in front": container({"a": tensor("F32", [2], 8, 16)}, bytes(16)),
    "trailing byte": container({"a": TWO_FLOATS}, bytes(9)),
    "data missing": container({"a": TWO_FLOATS}, bytes(7)),
    "offsets backwards": container({"a": tensor("F32", [2], 8, 0)}, bytes(8)),
    "offsets of another size": container({"a": tensor("F32", [3], 0, 8)}, bytes(8)),
    "overflowing shape": container({"a": tensor("F32", [2**62, 8], 0, 8)}, bytes(8)),
    "negative shape": container({"a": tensor("F32", [-2], 0, 8)}, bytes(8)),
    "unknown dtype": container({"a": tensor("F128", [2], 0, 8)}, bytes(8)),
    "dtype that numpy lacks": container({"a": tensor("BF16", [4], 0, 8)}, bytes(8)),
    "duplicate key, other bytes": container(twice(TWO_FLOATS, tensor("F32", [2], 8, 16)), bytes(16)),
    "duplicate field": container(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
    "not JSON": container(b"\x80\x04pickle!", b""),
    "not UTF-8": container(b'{"\xff":1}', b""),
    "nested deeply": container(b"[" * 100_000, b""),
    "list": container([], b""),
    "metadata that is no text": container({"__metadata__": {"a": 1}}, b""),
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in MALFORMED.items()])
def test_a_malformed_container_is_refused(data: bytes) -> None:
    with pytest.raises(
        DamagedError,
        match=r"^f: expected a sound safetensors file, found something else .*; restore the file or export it again",
    ):
        tensor_file.decode(data, "f")


def test_a_duplicate_key_over_the_same_bytes_is_refused() -> None:
    with pytest.raises(DamagedError, match=r"^f: "):
        tensor_file.decode(container(twice(TWO_FLOATS, TWO_FLOATS), bytes(8)), "f")


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"b": ("float32", (2,))}, r"tensor 'a' is not expected \(1 in all\)"),
        ({"a": ("int8", (1, 3)), "b": ("float32", (2,)), "c": ("int8", ())}, r"tensor 'c' is missing \(1 in all\)"),
        ({}, r"tensor 'a' is not expected \(2 in all\)"),
        ({"a": ("int8", (1, 3)), "b": ("float64", (2,))}, r"tensor 'b' should be float64 \(2,\), found float32 \(2,\)"),
        ({"a": ("int8", (3, 1)), "b": ("float32", (2,))}, r"tensor 'a' should be int8 \(3, 1\), found int8 \(1, 3\)"),
        ({"a": ("int8", (3,)), "b": ("float32", (2,))}, r"tensor 'a' should be int8 \(3,\), found int8 \(1, 3\)"),
    ],
)
def test_tensors_other_than_those_expected_are_refused(expected: tensor_file.Expected, said: str) -> None:
    with pytest.raises(DamagedError, match=rf"^f: {said}; "):
        tensor_file.decode(GOLDEN, "f", expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_are_not_finite_are_refused(bad: float, dtype: type) -> None:
    data = tensor_file.encode({"fine": np.ones(2, dtype), "weights": np.array([0, bad], dtype)})
    with pytest.raises(DamagedError, match=r"^f: tensor 'weights' holds NaN or infinite numbers; restore the file"):
        tensor_file.decode(data, "f")


def test_a_weight_file_gives_rows_as_float32(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(
        tensor_file.encode({"w": np.arange(12, dtype=np.float16).reshape(4, 3), "bias": np.ones(2)})
    )
    weights = tensor_file.WeightFile(tmp_path / "w.safetensors")
    assert weights.rows("w", 1, 3).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert (weights.rows("w").dtype.name, weights.rows("w").shape, weights.rows("bias").tolist()) == (
        "float32",
        (4, 3),
        [1, 1],
    )
    with pytest.raises(DamagedError, match=r"w\.safetensors: tensor 'gone' is missing; export the bundle again"):
        weights.rows("gone")


@pytest.mark.parametrize(
    "data", [b"", GOLDEN[:7], GOLDEN[:60], GOLDEN[:-1], struct.pack("<Q", 2**63) + GOLDEN[8:], MALFORMED["hole"]]
)
def test_a_damaged_weight_file_is_refused_when_it_is_opened(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(DamagedError, match=r"^w\.safetensors: .*restore the file"):
        tensor_file.WeightFile(tmp_path / "w.safetensors")


def test_the_files_of_an_empty_state_read_back() -> None:
    bundle, written = files()
    assert to_files(from_files(bundle, written)) == written


@pytest.mark.parametrize("value", [1e6, 1e30])
def test_a_core_with_an_enormous_norm_is_refused(value: float) -> None:
    bundle, written = files()
    cores = tensor_file.decode(written["core.safetensors"], "core.safetensors")
    name = min(cores)
    cores[name] = np.zeros_like(cores[name])
    cores[name][0, 0] = value
    with pytest.raises(
        DamagedError,
        match=rf"core\.safetensors: {name} has a norm of .*, expected at most 1e\+04; run `edge-nusa undo`",
    ):
        from_files(bundle, {**written, "core.safetensors": tensor_file.encode(cores)})


@pytest.mark.parametrize("name", ["anchors.safetensors", "core.safetensors"])
def test_a_missing_or_extra_tensor_of_the_state_is_refused_by_its_name(name: str) -> None:
    bundle, written = files()
    tensors = tensor_file.decode(written[name], name)
    gone = max(tensors)
    for changed in (
        {**tensors, "stranger": np.ones(1, np.float32)},
        {key: value for key, value in tensors.items() if key != gone},
    ):
        with pytest.raises(DamagedError, match=rf"{name}: tensor '(stranger' is not expected|{gone}' is missing)"):
            from_files(bundle, {**written, name: tensor_file.encode(changed)})


@pytest.mark.parametrize("name", ["gram", "sums", "counts"])
def test_a_head_without_one_of_its_tensors_is_refused(name: str) -> None:
    bundle, written = files()
    tensors = tensor_file.decode(written["head.safetensors"], "head.safetensors")
    del tensors[name]
    with pytest.raises(DamagedError, match=r"^head\.safetensors"):
        from_files(bundle, {**written, "head.safetensors": tensor_file.encode(tensors)})


def test_an_infinite_count_of_images_is_damage() -> None:
    bundle, written = files()
    content = json.loads(written["labels.json"]) | {"tasks": float("inf")}
    with pytest.raises(DamagedError, match=r"labels\.json"):
        from_files(bundle, {**written, "labels.json": json.dumps(content).encode()})


def test_labels_nested_too_deeply_are_damage() -> None:
    bundle, written = files()
    with pytest.raises(DamagedError, match=r"labels\.json"):
        from_files(bundle, {**written, "labels.json": b"[" * 200_000})


def test_the_files_of_an_empty_state_in_paper_mode_read_back() -> None:
    bundle, written = files(PAPER)
    assert to_files(from_files(bundle, written)) == written


@pytest.mark.parametrize(
    "name",
    [
        *("labels.json", "report.json"),
        *(f"{name}.safetensors" for name in ("anchors", "core", "head", "taught")),
    ],
)
def test_a_missing_file_of_the_state_is_damage(name: str) -> None:
    bundle, written = files()
    del written[name]
    with pytest.raises(DamagedError):
        from_files(bundle, written)
