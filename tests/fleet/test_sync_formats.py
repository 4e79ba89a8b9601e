"""What travels: exact numbers in few bytes, and no bit or byte of an update or a round changed without notice."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identities import identity
from small_fleets import BASIS, FEATURES, FLEET, RANK, facts, first, pictures, small_shapes, taught

from edge_nusa.errors import DamagedError, InputError, ResourceError
from edge_nusa.files import tensor_file
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.sync import gram_form, packed, round_file, update
from edge_nusa.sync.change import Change, LabelChange, difference
from edge_nusa.sync.hub import plausible, sound
from edge_nusa.sync.packed import Precision
from edge_nusa.sync.round_file import Forgot, Received, Refusal
from edge_nusa.sync.update import Place, Statement

SHAPES = small_shapes()
PLACE = Place(
    fleet=FLEET, identity=BASIS, device="d" * 64, sequence=7, round=RoundMark(3, "a" * 64), refused_rounds=("e" * 64,)
)


NONE: dict[str, Any] = {"through": 1, "last": "", "refused": {}, "forgot": {}}
WHY: dict[str, Any] = {"number": 1, "reason": "", "kind": "refused", "round": 1}


def gained(seed: int = 1, count: int = 5) -> Change:
    """What a device gained that was taught two labels and forgot one."""
    before = taught(first().knowledge, "old", pictures(seed + 100, 3))
    now = taught(taught(before.without("old"), "cat", pictures(seed, count), 0.01), "Dog", pictures(seed + 1, 2), 0.02)
    return difference(now, before, set())


def damaged(data: bytes, flips: int = 256, cuts: int = 200) -> Iterator[bytes]:
    """Copies with one bit flipped, cut short, emptied, zeroed, or with a byte more."""
    rng = random.Random(0)
    for bit in rng.sample(range(len(data) * 8), min(flips, len(data) * 8)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)
    yield from (data[:length] for length in rng.sample(range(len(data)), min(cuts, len(data))))
    yield from [b"", bytes(len(data)), data + b"\n"]


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 8), st.integers(5, 60))
def test_a_symmetric_matrix_of_any_rank_and_sign_comes_back_exactly(
    seed: int, added: int, taken: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    plus, minus = (rng.integers(-3000, 3000, size=(count, size)) for count in (added, taken))
    gram = plus.T @ plus - minus.T @ minus
    form = gram_form.compact(gram)
    assert np.array_equal(gram_form.restored(form, size, "here"), gram)
    if added + taken <= size // 4 - 1:
        assert "index" in form


def test_an_indefinite_matrix_without_a_diagonal_falls_back_on_its_triangle() -> None:
    gram = np.zeros((40, 40), np.int64)
    gram[0, 1] = gram[1, 0] = 5
    form = gram_form.compact(gram)
    assert set(form) == {"upper"}
    assert np.array_equal(gram_form.restored(form, 40, "here"), gram)


def test_few_pictures_take_few_bytes_however_many_features_there_are() -> None:
    rows = np.rint(1024 * np.random.default_rng(0).normal(size=(16, 577))).astype(np.int64)
    gram = rows.T @ rows
    size = len(packed.pack(gram_form.compact(gram)))
    assert size < 16 * 577 * 4
    assert size < len(packed.pack({"upper": gram_form.planes(gram[np.triu_indices(577)])})) / 10


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"upper": np.zeros((4, 9), np.uint8)}, "byte planes of 820 numbers"),
        ({"index": np.array([0, 0], np.int32), "columns": np.zeros((4, 80), np.uint8)}, "different columns below 40"),
        ({"index": np.array([50], np.int32), "columns": np.zeros((4, 40), np.uint8)}, "different columns below 40"),
        ({"index": np.array([0], np.int32), "columns": np.zeros((4, 40), np.uint8)}, "independent columns"),
        ({"index": np.array([0], np.int32)}, "as columns or as a triangle"),
        (
            {"index": np.array([0], np.int32), "columns": gram_form.planes(np.arange(2, 42))},
            "columns of a matrix of whole numbers",
        ),
    ],
)
def test_a_form_that_no_matrix_gave_is_refused(form: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(DamagedError, match=f"here: expected {words}|here: expected .*{words}"):
        gram_form.restored(form, FEATURES, "here")


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_an_update_comes_back_exactly_but_for_the_precision_of_its_cores(precision: Precision) -> None:
    change = gained()
    statement, numbers = update.encode(change, PLACE, precision)
    again = Statement.from_bytes(statement.to_bytes(), "here")
    assert again == statement
    found = update.decode(again, numbers, SHAPES, "here")
    assert np.array_equal(found.gram, change.gram)
    assert {key: (one.pictures, one.sums.tolist()) for key, one in found.labels.items()} == {
        key: (one.pictures, one.sums.tolist()) for key, one in change.labels.items()
    }
    assert (found.spare, found.tasks, found.forgets) == (change.spare, change.tasks, change.forgets)
    assert np.array_equal(found.fusion, change.fusion)
    largest = max(np.abs(core).max() for core in change.cores.values())
    assert all(np.abs(found.cores[name] - core).max() <= largest / 200 for name, core in change.cores.items())


def test_a_statement_reads_the_same_for_ever() -> None:
    statement = update.encode(gained(), PLACE, "float16")[0]
    bundle = json.dumps(asdict(BASIS), sort_keys=True, separators=(",", ":")).encode()
    golden = re.sub(rb'"(sha256|gram_sha256)":"(?!aaaa)[0-9a-f]{64}"', rb'"\1":"-"', statement.to_bytes()).replace(
        b'"size":%d' % statement.size, b'"size":0'
    )
    assert golden == (
        b'{"forgets":[["old",1]],"format_version":4,"fusion":['
        + b",".join([b"0"] * 56)
        + b'],"gram_sha256":"-","labels":[{"name":"cat","template":null},'
        b'{"name":"Dog","template":null}],"place":{"before":"","device":"' + b"d" * 64 + b'",'
        b'"fleet":"'
        + FLEET.encode()
        + b'","identity":'
        + bundle
        + b',"lessons":[],"refused_rounds":["'
        + b"e" * 64
        + b'"],"round":{"number":3,"sha256":"'
        + b"a" * 64
        + b'"},"sequence":7},'
        b'"precision":"float16","sha256":"-","size":0,"spare":0,"tasks":2}'
    )


def test_no_flipped_bit_or_cut_of_an_updates_numbers_is_accepted() -> None:
    statement, numbers = update.encode(gained(), PLACE, "float16")
    for copy in damaged(numbers):
        with pytest.raises(DamagedError, match="expected .* bytes with the signed SHA-256"):
            update.decode(statement, copy, SHAPES, "here")


def test_no_flipped_bit_or_cut_of_a_round_is_accepted() -> None:
    data = round_file.encode(
        replace(first(), knowledge=taught(first().knowledge, "cat", pictures(1, 3), 0.1), number=1)
    )
    mark = round_file.decode(data, SHAPES, "here").knowledge.round
    accepted = 0
    for copy in damaged(data):
        try:
            # a flipped letter of a name may read well: what names a round is its SHA-256
            accepted += round_file.decode(copy, SHAPES, "here").knowledge.round.sha256 == mark.sha256
        except DamagedError:
            continue
    assert accepted == 0


def test_a_round_comes_back_exactly() -> None:
    knowledge = taught(taught(first().knowledge, "cat", pictures(1, 3), 0.1), "dog", pictures(2, 4), 0.1)
    received = {
        "a" * 64: Received(5, "b" * 64, {"c" * 16: Refusal(3, "for the test", "refused", 2)}, {"cup": Forgot(4, 1)})
    }
    one = replace(first(), number=4, knowledge=knowledge, forgotten={"cup": 2}, received=received)
    found = round_file.decode(round_file.encode(one), SHAPES, "here")
    assert facts(found.knowledge) == facts(knowledge)
    assert (found.number, found.forgotten, found.received) == (4, one.forgotten, received)
    assert all(
        np.array_equal(found.knowledge.cores[name], core.astype(np.float32)) for name, core in knowledge.cores.items()
    )


def test_a_round_whose_first_line_is_too_long_is_refused_before_it_is_parsed() -> None:
    line, _, numbers = round_file.encode(replace(first(), number=1)).partition(b"\n")
    longest = line + b" " * ((8 << 20) - len(line))
    assert round_file.decode(longest + b"\n" + numbers, SHAPES, "here").number == 1
    for data in (longest + b" \n" + numbers, b"[" * (9 << 20), b""):
        with pytest.raises(
            DamagedError,
            match="here: expected a round whose first line has at most 8388608 bytes, found none such; pull it again",
        ):
            round_file.decode(data, SHAPES, "here")


def test_a_round_that_could_not_be_read_again_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(first(), number=3)
    length = len(round_file.encode(one).partition(b"\n")[0])
    monkeypatch.setattr(round_file, "LARGEST_LINE_BYTES", length)
    assert round_file.decode(round_file.encode(one), SHAPES, "here").number == 3
    monkeypatch.setattr(round_file, "LARGEST_LINE_BYTES", length - 1)
    with pytest.raises(
        ResourceError,
        match=rf"round 3: expected .* at most {length - 1} bytes, found {length} for 0 labels; forget labels",
    ):
        round_file.encode(one)


def repacked(change: Change, **tensors: np.ndarray | None) -> tuple[Statement, bytes]:
    """An update signed by a device that packs its numbers as it likes; None leaves a tensor out."""
    statement, numbers = update.encode(change, PLACE, "float16")
    found = packed.unpack(numbers, 1 << 30, "here") | {
        name.replace("__", "."): tensor for name, tensor in tensors.items() if tensor is not None
    }
    found = {name: tensor for name, tensor in found.items() if tensors.get(name.replace(".", "__"), 0) is not None}
    packed_again = packed.pack(found)
    from edge_nusa.files.file_record import sha256_hex

    return replace(statement, sha256=sha256_hex(packed_again), size=len(packed_again)), packed_again


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"core__text__0__q": np.full((RANK, RANK), np.nan, np.float16)}, "NaN or infinite"),
        (
            {"core__text__0__q": np.zeros((RANK + 1, RANK), np.float16)},
            r"expected float16 \(3, 3\), found float16 \(4, 3\)",
        ),
        ({"core__text__0__q": np.zeros((RANK, RANK), np.float32)}, "expected float16 .* found float32"),
        ({"core__text__0__q": np.full((RANK, RANK), 6e4, np.float16)}, "norm over 1e\\+04"),
        ({"core__text__0__q": None}, "expected the cores of 2 matrices, found others"),
        ({"payload": np.zeros(3, np.uint8)}, "'payload' is not expected"),
        ({"counts": np.array([1, 2, 3])}, "expected the sums and counts of 2 labels"),
        ({"counts": None}, "expected the sums and counts of 2 labels"),
        ({"sums": np.zeros((4, 3), np.uint8)}, "byte planes of 80 numbers"),
        ({"gram__upper": np.zeros((4, 820), np.uint8)}, "as columns or as a triangle"),
    ],
)
def test_a_signed_update_of_other_tensors_is_refused_by_name(tensors: dict[str, np.ndarray | None], words: str) -> None:
    statement, numbers = repacked(gained(), **tensors)
    with pytest.raises(DamagedError, match=words):
        update.decode(statement, numbers, SHAPES, "here")


def test_a_matrix_that_is_not_the_signed_one_is_refused() -> None:
    other = update.encode(gained(9), PLACE, "float16")[0]
    statement, numbers = update.encode(gained(), PLACE, "float16")
    with pytest.raises(DamagedError, match="the matrix restored from its columns is not the one that was signed"):
        update.decode(replace(statement, gram_sha256=other.gram_sha256), numbers, SHAPES, "here")


def test_numbers_that_unpack_without_end_are_cut_off() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    with pytest.raises(DamagedError, match="expected packed numbers of at most 1000 bytes and nothing after them"):
        packed.unpack(bomb, 1000, "here")
    with pytest.raises(DamagedError, match="nothing after them"):
        packed.unpack(packed.pack({"a": np.zeros(1)}) + b"x", 1 << 20, "here")
    pickled = b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
    for data in (pickled, b"\x93NUMPY\x01\x00", b"PK\x03\x04data.pkl"):
        with pytest.raises(DamagedError, match="expected packed numbers, found"):
            packed.unpack(data, 1 << 20, "here")
        with pytest.raises(DamagedError, match="here: "):
            packed.unpack(zlib.compress(data), 1 << 20, "here")


@pytest.mark.parametrize("header", [2**63, (1 << 20) + 1])
def test_a_header_that_announces_too_much_is_refused_unread(header: int) -> None:
    with pytest.raises(DamagedError, match="its header announces"):
        packed.unpack(zlib.compress(header.to_bytes(8, "little") + b"{}"), 1 << 20, "here")


@pytest.mark.parametrize(
    "entry",
    [
        b'"format_version":5',
        b'"precision":5',
        b'"weights":null',
        b'"sequence":-1',
        b'"sequence":true',
        b'"fusion":[1e999]',
        b'"fusion":[0,0]',
        b'"name":"\\u200b"',
        b'"name":"cat\\u0000"',
        b'"forgets":{}',
        b'"tasks":1.5',
        b'"template":"no gap"',
        b'"spare":99999999999999',
    ],
)
def test_a_statement_with_a_field_of_the_wrong_kind_is_refused(entry: bytes) -> None:
    name = entry.split(b":")[0]
    data = re.sub(
        re.escape(name) + rb':(\[\[.*?\]\]|"[^"]*"|[^,}\]]*)',
        lambda match: entry,
        update.encode(gained(), PLACE, "float16")[0].to_bytes(),
        count=1,
    )
    assert entry in data
    with pytest.raises(DamagedError, match="here: "):
        Statement.from_bytes(data, "here")


def test_a_statement_of_an_unknown_precision_is_refused() -> None:
    wrong: Any = "float64"
    data = replace(update.encode(gained(), PLACE, "float16")[0], precision=wrong).to_bytes()
    with pytest.raises(
        DamagedError, match="^here: precision: expected one of .*float16.*, found .float64.; send it again$"
    ):
        Statement.from_bytes(data, "here")


def test_a_round_of_another_bundle_is_refused_with_both_named() -> None:
    data = round_file.encode(replace(first(), number=1, identity=identity(precision="int8", graphs="a" * 64)))
    words = (
        "a round of another bundle: expected none fp32 .*, found none int8 .*, the same weights at another precision: "
        "int8, not fp32; use the"
    )
    with pytest.raises(DamagedError, match=words):
        round_file.decode(data, SHAPES, "here")


def lied(change: Change, **values: Any) -> Change:
    return replace(change, **values)


def with_label(change: Change, **values: Any) -> Change:
    return replace(change, labels={**change.labels, "cat": replace(change.labels["cat"], **values)})


def test_what_pictures_give_is_plausible() -> None:
    plausible.check(gained())
    plausible.check(difference(taught(first().knowledge, "cat", pictures(3, 9)), first().knowledge, set()))


HONEST = difference(taught(first().knowledge, "cat", pictures(3, 9)), first().knowledge, set())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_label(HONEST, pictures=900), "expected sums of 900 pictures, found those of another number"),
        (with_label(HONEST, sums=-HONEST.labels["cat"].sums), "found those of another number"),
        (
            with_label(HONEST, sums=np.append(1000 * HONEST.labels["cat"].sums[:-1], 9 * 1024)),
            "features of a mean square of 1",
        ),
        (
            lied(HONEST, fusion=np.full(fusion.SHAPE, 10**5 * fusion.LARGEST)),
            "expected losses of at most .* for 1009 pictures",
        ),
        (lied(HONEST, gram=-HONEST.gram), "whose last row is that of the labels' sums"),
        (lied(HONEST, gram=HONEST.gram + np.pad(np.diag(np.full(39, 10**12)), (0, 1))), "expected a G of at most"),
    ],
)
def test_what_no_pictures_can_give_is_refused(change: Change, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        plausible.check(change)


def test_the_numbers_are_safetensors_and_nothing_else() -> None:
    numbers = update.encode(gained(), PLACE, "float16")[1]
    names = set(tensor_file.decode(zlib.decompress(numbers), "here"))
    assert names == {"gram.index", "gram.columns", "sums", "counts", "core.text.0.q", "core.text.0.v"}


def line_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, numbers = data.partition(b"\n")
    return json.loads(line), numbers


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("number", -1, "number: expected a whole number from 0"),
        ("bytes", -1, "bytes: expected a whole number from 0"),
        ("sha256", "a", "sha256: expected a SHA-256"),
        ("recipe", "paper", "recipe: expected device, found 'paper'"),
        ("format_version", 1, "expected format 4, found 1, made by an older edge-nusa"),
        ("tasks", 1.0, "tasks: expected a whole number"),
        ("spare", None, "spare: expected a whole number"),
        ("fusion", [0] * 55, "fusion: expected a list of 56 entries"),
        ("fusion", [0] * 55 + [-1], r"fusion\[55\]: expected a whole number from 0"),
        ("forgotten", {"cup": -1}, "forgotten: cup: expected a whole number from 0"),
        ("withdrawn", {"cup": "1"}, "withdrawn: cup: expected a whole number from 0"),
        ("received", {"d": {**NONE, "through": -1}}, "through: expected a whole number from 0"),
        ("received", {"d": {**NONE, "last": "x"}}, "last: expected a SHA-256"),
        ("received", {"d": {**NONE, "refused": {"01": {}}}}, "refused: expected the hashes of updates, found '01'"),
        ("received", {"d": {**NONE, "refused": {"F" * 16: {}}}}, "refused: expected the hashes of updates"),
        ("received", {"d": {**NONE, "refused": {"f" * 16: {**WHY, "number": "1"}}}}, "number: expected a whole number"),
        ("received", {"d": {**NONE, "refused": {"f" * 16: {**WHY, "kind": "odd"}}}}, "kind: expected one of refused"),
        (
            "received",
            {"d": {**NONE, "refused": {"f" * 16: {**WHY, "reason": "x" * 201}}}},
            "reason: expected a text of",
        ),
        ("received", {"d": {**NONE, "refused": {f"{i:016x}": WHY for i in range(21)}}}, "refused: expected at most 20"),
        (
            "received",
            {"d": {**NONE, "forgot": {"a": {"sequence": 1}}}},
            "base: expected this field",
        ),
        ("labels", [{"name": "a", "images": -1, "template": None}], "images: expected a whole number"),
        ("labels", [{"name": "\u200b", "images": 1, "template": None}], "name: expected a label"),
        (
            "labels",
            2 * [{"name": "a", "images": 1, "template": None}],
            "labels: expected each label once",
        ),
    ],
)
def test_a_round_with_a_wrong_field_is_refused_with_the_field_named(name: str, value: Any, words: str) -> None:
    record, numbers = line_of(round_file.encode(replace(first(), number=3)))
    assert round_file.decode(json.dumps(record).encode() + b"\n" + numbers, SHAPES, "here").number == 3
    with pytest.raises(DamagedError, match=f"^here: .*{words}.*; (pull it again|use the same edge-nusa)"):
        round_file.decode(json.dumps({**record, name: value}).encode() + b"\n" + numbers, SHAPES, "here")


@pytest.mark.parametrize(
    ("value", "is_read"), [(2**40 - 1, True), (2**40, False), (1 - 2**40, True), (-(2**40), False)]
)
@pytest.mark.parametrize("name", ["spare", "tasks"])
def test_the_numbers_of_an_update_have_an_end(name: str, value: int, is_read: bool) -> None:
    changed: dict[str, Any] = {name: value}
    data = replace(update.encode(gained(), PLACE, "float16")[0], **changed).to_bytes()
    if is_read:
        assert getattr(Statement.from_bytes(data, "here"), name) == value
    else:
        with pytest.raises(DamagedError, match=f"^here: {name}: expected a whole number from -.*; send it again$"):
            Statement.from_bytes(data, "here")


def test_the_first_update_of_a_device_is_number_one() -> None:
    statement = update.encode(gained(), PLACE, "float16")[0]
    for sequence, is_read in ((1, True), (0, False)):
        data = replace(statement, place=replace(statement.place, sequence=sequence)).to_bytes()
        if is_read:
            assert Statement.from_bytes(data, "here").place.sequence == 1
        else:
            with pytest.raises(DamagedError, match="^here: place: sequence: expected a whole number from 1 to"):
                Statement.from_bytes(data, "here")


def test_an_update_names_each_label_once() -> None:
    statement = update.encode(gained(), PLACE, "float16")[0]
    twice = replace(statement, labels=(statement.labels[0], replace(statement.labels[0], name="CAT")))
    with pytest.raises(DamagedError, match="^here: labels: expected each label once, found .*; send it again$"):
        Statement.from_bytes(twice.to_bytes(), "here")


def of_labels(count: int, template: str | None = None) -> Change:
    """A change by which so many labels gain no picture."""
    rows = {
        f"label {number}": LabelChange(Label(f"label {number}", 0, template), 0, np.zeros(FEATURES, np.int64))
        for number in range(count)
    }
    return replace(gained(), labels=rows)


def test_an_update_that_can_be_read_again_may_be_kept() -> None:
    for change in (gained(), of_labels(update.MOST_LABELS)):
        update.check_readable(*update.encode(change, PLACE, "float16"), SHAPES)


def test_more_labels_than_an_update_may_have_are_told_before_anything_is_kept() -> None:
    assert update.MOST_LABELS == 2000
    says = (
        "^push: expected at most 2000 labels with pictures that the fleet was not told of, found 2001; nothing is kept "
        r"or sent: forget some \(`edge-nusa forget`, of a whole site `edge-nusa hub forget`\) and teach them after"
    )
    with pytest.raises(InputError, match=says):
        update.check_readable(*update.encode(of_labels(2001), PLACE, "float16"), SHAPES)


@pytest.mark.parametrize(
    "template", ["a photo\tof a {}", "a\xa0photo of a {}", "\x1b[31m{}", "x" * 200 + "{}", "\ud800{}"]
)
def test_an_update_that_could_not_be_read_again_is_neither_kept_nor_sent(template: str) -> None:
    says = (
        "^push: expected an update that can be read again, found that it cannot; nothing is kept or sent: the update: "
    )
    with pytest.raises(InputError, match=says):
        update.check_readable(*update.encode(of_labels(1, template), PLACE, "float16"), SHAPES)


def test_numbers_that_are_not_those_of_the_statement_are_neither_kept_nor_sent() -> None:
    statement, numbers = update.encode(gained(), PLACE, "float16")
    with pytest.raises(InputError, match="expected an update that can be read again"):
        update.check_readable(statement, numbers[:-1], SHAPES)


def test_a_round_that_no_device_could_solve_is_none_to_be_kept() -> None:
    whole = replace(first(), number=1, knowledge=taught(first().knowledge, "cat", pictures(1, 5)))
    sound.check(round_file.encode(whole), small_shapes(), "the round", "look again")
    head = whole.knowledge.head
    gram = head.gram.copy()
    gram[0, 1] = gram[1, 0] = 2**40  # far more than what the two features have by themselves
    no_scatter = Head(gram, head.sums, head.counts, head.spare)
    broken = replace(whole, knowledge=replace(whole.knowledge, head=no_scatter))
    with pytest.raises(DamagedError, match=r"^the round cannot be solved \(.*\); look again$"):
        sound.check(round_file.encode(broken), small_shapes(), "the round", "look again")
