"""What the hub says of a bundle and what the index of its files says: written, read, and refused where it is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import golden_files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile

from edge_nusa.errors import InputError, StoreError, TrustError
from edge_nusa.files.json_bytes import canonical
from edge_nusa.model.manifest import PRECISIONS, is_plain_name
from edge_nusa.sync.bundles import announced, index
from edge_nusa.sync.bundles.announced import LONGEST_MODEL, LONGEST_NAME, MOST_BUNDLES, Announced
from edge_nusa.sync.bundles.index import PART_BYTES, Entry, Index
from edge_nusa.sync.stores import mirror_index
from edge_nusa.sync.trust.metadata import LARGEST_METADATA_BYTES

HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), fullmatch=True)
FILES = NAMES.filter(is_plain_name)
ONE = Announced(
    name="micro",
    version=3,
    index="a" * 64,
    index_bytes=9,
    bytes=100,
    model="micro",
    precision="fp16",
    identity="b" * 64,
    multiply_adds=7,
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    size = draw(st.integers(0, 3 * PART_BYTES))
    count = (size + PART_BYTES - 1) // PART_BYTES
    return Entry(size, draw(HASHES), tuple(draw(st.lists(HASHES, min_size=count, max_size=count))))


@st.composite
def announcements(draw: st.DrawFn) -> Announced:
    return Announced(
        name=draw(NAMES),
        version=draw(st.integers(1, 2**31)),
        index=draw(HASHES),
        index_bytes=draw(st.integers(1, 1 << 20)),
        bytes=draw(st.integers(1, 2**53)),
        model=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=LONGEST_MODEL)),
        precision=draw(st.sampled_from(PRECISIONS)),
        identity=draw(HASHES),
        multiply_adds=draw(st.integers(0, 2**53)),
        is_withdrawn=draw(st.booleans()),
    )


@given(st.dictionaries(FILES, entries(), max_size=5), st.integers(0, 1 << 20), HASHES)
def test_an_index_is_read_as_it_was_written(files: dict[str, Entry], size: int, sha256: str) -> None:
    made = Index({**files, "manifest.json": Entry(size, sha256, (sha256,) if size else ())})
    assert index.decode(index.encode(made), "here") == Index(dict(sorted(made.files.items())))


@given(announcements())
def test_an_announcement_is_read_as_it_was_signed(one: Announced) -> None:
    target = announced.target_of(one)
    again = TargetFile.from_dict(json.loads(canonical(target.to_dict())), one.path)
    assert announced.announced_by(one.path, again) == one
    assert announced.bundles_in({one.path: again, "rounds/current.round": again}) == {one.name: one}
    assert announced.offered({one.name: one}) == ({} if one.is_withdrawn else {one.name: one})


def test_all_bundles_of_a_fleet_fit_into_its_metadata_however_long_their_names() -> None:
    longest = replace(
        ONE, model="\U0001f600" * LONGEST_MODEL, version=2**31, bytes=2**53, multiply_adds=2**53, precision="fp32"
    )
    many = {f"bundles/{number:0{LONGEST_NAME}d}": announced.target_of(longest) for number in range(MOST_BUNDLES)}
    assert len(canonical({path: target.to_dict() for path, target in many.items()})) < LARGEST_METADATA_BYTES - 20_000


def test_an_index_of_the_largest_bundle_is_as_large_as_it_may_be() -> None:
    parts = ("a" * 64,) * index.MOST_PARTS
    data = index.encode(Index({"weights.safetensors": Entry(PART_BYTES * len(parts), "b" * 64, parts)}))
    assert announced.LARGEST_INDEX_BYTES * 0.75 < len(data) < announced.LARGEST_INDEX_BYTES


def test_a_part_is_small_enough_for_every_store_and_large_enough_for_a_large_bundle() -> None:
    assert PART_BYTES == 4 << 20
    assert [index.parts_of(size) for size in (0, 1, PART_BYTES, PART_BYTES + 1)] == [0, 1, 1, 2]
    entry = Entry(PART_BYTES + 5, "a" * 64, ("b" * 64, "c" * 64))
    assert [entry.size_of(place) for place in (0, 1)] == [PART_BYTES, 5]


def test_a_part_in_two_files_counts_once() -> None:
    made = Index({"a": Entry(3, "a" * 64, ("b" * 64,)), "b": Entry(5, "c" * 64, ("d" * 64, "b" * 64))})
    assert (made.bytes, made.parts) == (8, ["b" * 64, "d" * 64])


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(index.encode(golden_files.INDEX))
    return found


def without_manifest(found: dict[str, Any]) -> None:
    del found["files"]["manifest.json"]


def too_many(found: dict[str, Any]) -> None:
    found["files"] |= {f"file{number}": found["files"]["empty"] for number in range(99)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_manifest, "here: files: expected manifest.json among them"),
        (too_many, "here: files: expected at most 101 entries, found 102"),
        (lambda found: found.update(format_version=2), "expected format 1, found 2, made by a newer edge-nusa; use an"),
        (lambda found: found.update(more=1), r"expected the fields \['files', 'format_version'\]"),
        (lambda found: found["files"].update({"../x": found["files"]["empty"]}), "expected a plain name of a file"),
        (lambda found: found["files"]["empty"].update(bytes=-1), "empty: bytes: expected a whole number from 0"),
        (
            lambda found: found["files"]["empty"].update(parts=["a" * 64]),
            "parts: expected 0 of them for 0 bytes",
        ),
        (lambda found: found["files"]["empty"].update(sha256=""), "empty: sha256: expected a SHA-256, found ''"),
        (
            lambda found: found["files"]["manifest.json"].update(parts=["b"]),
            r"parts\[0\]: expected a SHA-256, found 'b'",
        ),
        (lambda found: found["files"]["manifest.json"].update(parts=[""]), r"parts\[0\]: expected a SHA-256, found ''"),
        (
            lambda found: found["files"]["manifest.json"].update(bytes=(1 << 20) + 1),
            "manifest.json: expected at most 1048576 bytes, found 1048577",
        ),
    ],
)
def test_an_index_that_a_hub_signed_wrongly_is_refused(change: Callable[[dict[str, Any]], None], words: str) -> None:
    found = record()
    change(found)
    with pytest.raises(TrustError, match=words):
        index.decode(canonical(found), "here")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bundle", 0, "targets: 'bundles/micro': bundle: expected a whole number from 1 to 2147483648, found 0"),
        ("bundle", 2**31 + 1, "bundle: expected a whole number from 1 to"),
        ("bytes", 0, "bytes: expected a whole number from 1 to"),
        ("model", "a" * 201, "model: expected a text of at most 200 characters"),
        ("precision", "fp8", "precision: expected one of fp32, fp16, int8, found 'fp8'"),
        ("identity", "", "identity: expected a SHA-256, found ''; publish that bundle again on the hub"),
        ("multiply_adds", -1, "multiply_adds: expected a whole number from 0"),
        ("withdrawn", 1, "withdrawn: expected true or false, found 1"),
    ],
)
def test_an_announcement_that_a_hub_signed_wrongly_is_refused(field: str, value: object, words: str) -> None:
    target = announced.target_of(ONE)
    target.unrecognized_fields["custom"][field] = value
    with pytest.raises(TrustError, match=words):
        announced.announced_by(ONE.path, target)


@pytest.mark.parametrize(
    ("path", "length", "custom", "words"),
    [
        ("bundles/", 9, True, "expected a bundle's name and what is in it, found something else"),
        ("bundles/../x", 9, True, "expected a bundle's name"),
        ("bundles/micro", 9, False, "expected a bundle's name and what is in it"),
        ("bundles/micro", 0, True, "length: expected at most 1048576 bytes of an index, found 0"),
        ("bundles/micro", (1 << 20) + 1, True, "length: expected at most 1048576 bytes of an index, found 1048577"),
    ],
)
def test_a_target_that_is_no_bundle_is_refused(path: str, length: int, custom: bool, words: str) -> None:
    target = announced.target_of(ONE)
    target.length = length
    if not custom:
        del target.unrecognized_fields["custom"]
    with pytest.raises(TrustError, match=words):
        announced.announced_by(path, target)


@pytest.mark.parametrize("name", ["a", "ViT-B-32-256", "x" * 64, "1.2_3"])
def test_a_name_of_letters_digits_and_three_signs_is_taken(name: str) -> None:
    assert announced.check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, ".a", "-a", "a/b", "a b", "ä", "a\n"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected a bundle's name of 1 to 64 letters, digits, .* give another --name"):
        announced.check_name(name)


@pytest.mark.parametrize(
    ("model", "name"),
    [("ViT-B-32-256", "ViT-B-32-256"), ("hf-hub:timm/ViT-B", "hf-hub-timm-ViT-B"), ("..", "bundle"), ("ä", "bundle")],
)
def test_a_model_gives_its_bundle_a_name(model: str, name: str) -> None:
    assert announced.name_of(model) == announced.check_name(name) == name


def test_the_only_bundle_needs_no_name_and_others_are_listed() -> None:
    other = replace(ONE, name="other")
    assert announced.chosen({"micro": ONE}, None) is ONE
    assert announced.chosen({"micro": ONE, "other": other}, "other") is other
    with pytest.raises(InputError, match=r"expected the name of one of its bundles \(micro, other\), found none given"):
        announced.chosen({"micro": ONE, "other": other}, None)
    with pytest.raises(InputError, match="expected a bundle called 'more', found micro; name one of those"):
        announced.chosen({"micro": ONE}, "more")
    with pytest.raises(InputError, match="expected a bundle, found none; publish one on the hub"):
        announced.chosen({}, None)
    with pytest.raises(InputError, match="expected a bundle called 'more', found none; publish one on the hub"):
        announced.chosen({}, "more")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html>", "here: expected JSON as edge-nusa writes it, found something else .*--mirror"),
        (b'{"format_version":2,"metadata":[]}', "expected format 1, found 2"),
        (b'{"format_version":1,"metadata":["../x"]}', "expected a key of small letters"),
        (canonical({"format_version": 1, "metadata": ["a"] * 65}), "metadata: expected a list of at most 64 entries"),
    ],
)
def test_a_mirrors_list_that_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        mirror_index.read(data, "here")
