"""JSON records: every kind of field, every edge of its range, and what is said where something does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError, TrustError
from edge_nusa.files.foreign import decoded
from edge_nusa.files.json_bytes import DEEPEST, JSON, canonical, parse
from edge_nusa.files.json_record import LARGEST_NUMBER, LONGEST_TEXT, MOST_ENTRIES, Origin, Record

ORIGIN = Origin("settings.json", "copy it again")
SHA = "0123456789abcdef" * 4


def record(**fields: Any) -> Record:
    return Record(fields, ORIGIN)


@pytest.mark.parametrize(
    ("ask", "value"),
    [
        (lambda r: r.integer("x", 1, 3), 1),
        (lambda r: r.integer("x", 1, 3), 3),
        (lambda r: r.integer("x"), LARGEST_NUMBER),
        (lambda r: r.integer("x", -2), -2),
        (lambda r: r.number("x", 0, 1), 0.0),
        (lambda r: r.number("x", 0, 1), 1),
        (lambda r: r.text("x", 3), "abc"),
        (lambda r: r.text("x"), "a" * LONGEST_TEXT),
        (lambda r: r.text_or_none("x"), None),
        (lambda r: r.text_or_none("x"), "a"),
        (lambda r: r.choice("x", ("a", "b")), "b"),
        (lambda r: r.flag("x"), False),
        (lambda r: r.sha256("x"), SHA),
        (lambda r: r.sha256("x"), ""),
        (lambda r: r.entries("x", 2), [1, "a"]),
        (lambda r: r.integers("x"), {"a": 0}),
        (lambda r: r.mapping("x"), {"a": [1]}),
        (lambda r: list(r.texts("x", 2, 3)), ["abc", "b"]),
        (lambda r: list(r.whole_numbers("x", 2, -1, 3)), [-1, 3]),
        (lambda r: list(r.numbers("x", 3, 0, 1)), [0, 0.5, 1]),
        (lambda r: [list(pair) for pair in r.pairs("x", 1, -1, 7)], [["a", 7]]),
        (lambda r: [list(pair) for pair in r.pairs("x", 1, -1, 7)], [["a", -1]]),
    ],
)
def test_a_field_within_its_range_is_given(ask: Callable[[Record], Any], value: Any) -> None:
    assert ask(record(x=value)) == value


@pytest.mark.parametrize(
    ("ask", "value", "expected"),
    [
        (lambda r: r.integer("x", 1, 3), 0, "a whole number from 1 to 3"),
        (lambda r: r.integer("x", 1, 3), 4, "a whole number from 1 to 3"),
        (lambda r: r.integer("x"), LARGEST_NUMBER + 1, "a whole number from 0 to"),
        (lambda r: r.integer("x"), -1, "a whole number from 0"),
        (lambda r: r.integer("x"), True, "a whole number"),
        (lambda r: r.integer("x"), 1.0, "a whole number"),
        (lambda r: r.number("x", 0, 1), 1.01, "a number from 0 to 1"),
        (lambda r: r.number("x", 0, 1), -0.01, "a number from 0 to 1"),
        (lambda r: r.number("x"), float("nan"), "a number"),
        (lambda r: r.number("x"), float("inf"), "a number"),
        (lambda r: r.number("x"), "1", "a number"),
        (lambda r: r.number("x"), True, "a number"),
        (lambda r: r.text("x", 3), "abcd", "a text of at most 3 characters"),
        (lambda r: r.text("x"), 5, "a text"),
        (lambda r: r.text("x"), None, "a text"),
        (lambda r: r.choice("x", ("a", "b")), "c", "one of a, b"),
        (lambda r: r.flag("x"), 1, "true or false"),
        (lambda r: r.sha256("x"), SHA[:-1], "a SHA-256"),
        (lambda r: r.sha256("x"), SHA.upper(), "a SHA-256"),
        (lambda r: r.entries("x", 2), [1, 2, 3], "a list of at most 2 entries"),
        (lambda r: r.entries("x"), {"a": 1}, "a list"),
        (lambda r: r.record("x"), [1], "an object"),
        (lambda r: r.mapping("x"), [1], "an object"),
        (lambda r: r.texts("x", 1), ["a", "b"], "a list of at most 1 entries"),
        (lambda r: r.texts("x", 2, 3), ["abc", "abcd"], "a text of at most 3 characters"),
        (lambda r: r.texts("x"), [1], "a text"),
        (lambda r: r.whole_numbers("x", 2), [1], "a list of 2 entries"),
        (lambda r: r.whole_numbers("x", 1), [1, 2], "a list of 1 entries"),
        (lambda r: r.whole_numbers("x", 1, -1, 3), [-2], "a whole number from -1 to 3"),
        (lambda r: r.whole_numbers("x", 1, -1, 3), [4], "a whole number from -1 to 3"),
        (lambda r: r.numbers("x", 1), [True], "a number"),
        (lambda r: r.numbers("x", 1, 0, 1), [1.5], "a number from 0 to 1"),
        (lambda r: r.numbers("x", 2, 0, 1), [1.0], "a list of 2 entries"),
        (lambda r: r.pairs("x", 9), [["a"]], "a text and a whole number"),
        (lambda r: r.pairs("x", 9), [["a", 1, 1]], "a list of at most 2 entries"),
        (lambda r: r.pairs("x", 9), ["ab"], "a list"),
        (lambda r: r.pairs("x", 9), [[1, 1]], "a text"),
        (lambda r: r.pairs("x", 9), [["a", -1]], "a whole number from 0"),
        (lambda r: r.pairs("x", 1, -1, 7), [["a", -2]], "a whole number from -1 to 7"),
        (lambda r: r.pairs("x", 1, -1, 7), [["a", 8]], "a whole number from -1 to 7"),
        (lambda r: r.pairs("x", 1), [["a", 1], ["b", 1]], "a list of at most 1 entries"),
        (lambda r: r.records("x"), [{}, 1], "an object"),
        (lambda r: r.named("x"), {"a": 1}, "an object"),
        (lambda r: r.named("x", 1), {"a": {}, "b": {}}, "at most 1 entries"),
        (lambda r: r.integers("x"), {"a": -1}, "a whole number"),
        (lambda r: r.integers("x"), {str(i): 1 for i in range(MOST_ENTRIES + 1)}, f"at most {MOST_ENTRIES} entries"),
    ],
)
def test_a_field_that_does_not_fit_says_where_and_what_was_expected(
    ask: Callable[[Record], Any], value: Any, expected: str
) -> None:
    with pytest.raises(DamagedError, match=rf"^settings.json: x.*: expected {expected}.*, found .*; copy it again$"):
        ask(record(x=value))


def test_a_missing_field_is_said() -> None:
    with pytest.raises(DamagedError, match="^settings.json: x: expected this field, found none; copy it again$"):
        record(y=1).integer("x")


def test_what_was_found_is_cut_and_its_length_said() -> None:
    with pytest.raises(DamagedError, match=re.escape("... (100000 characters); copy it again")) as caught:
        record(x="a" * 100_000).integer("x")
    assert len(str(caught.value)) < 200


def test_an_error_inside_a_record_names_the_whole_path() -> None:
    with pytest.raises(DamagedError, match=r"^settings.json: files: a\.onnx: bytes: expected a whole number"):
        record(files={"a.onnx": {"bytes": -1}}).named("files")["a.onnx"].integer("bytes")
    with pytest.raises(DamagedError, match=r"^settings.json: labels\[1\]: name: expected a text"):
        record(labels=[{"name": "a"}, {"name": 1}]).records("labels")[1].text("name")


def test_a_name_that_is_foreign_is_shown_on_one_short_line() -> None:
    with pytest.raises(DamagedError, match=r"^settings.json: x: 'a\\n\\x1b': expected a whole number"):
        record(x={"a\n\x1b": "no"}).integers("x")
    with pytest.raises(DamagedError, match=r"^settings.json: x: 'a{59}\.\.\. \(100 characters\): expected an object"):
        record(x={"a" * 100: "no"}).named("x")


def test_a_record_of_other_fields_is_refused_and_both_are_named() -> None:
    record(x=1, y=2).only(("y", "x"))
    for other in (record(x=1), record(x=1, y=2, z=3)):
        with pytest.raises(
            DamagedError, match=r"^settings.json: expected the fields \['x', 'y'\], found \['x'.*; copy"
        ):
            other.only(("x", "y"))


@pytest.mark.parametrize(
    ("found", "made"), [(1, "an older"), (3, "a newer"), ("2", "another"), (None, "another"), (True, "another")]
)
def test_another_format_says_who_made_it(found: object, made: str) -> None:
    with pytest.raises(DamagedError, match=f"^settings.json: expected format 2, found .*, made by {made} edge-nusa"):
        record(format_version=found).version(2)
    record(format_version=2).version(2)


def test_another_format_may_have_a_next_step_of_its_own() -> None:
    with pytest.raises(DamagedError, match="made by a newer edge-nusa; export it again$"):
        record(format_version=3).version(2, "export it again")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1]",
        b'"a"',
        b"\xff",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 9000,
    ],
)
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="^settings.json: expected .*; copy it again$"):
        parse(data, ORIGIN)


def test_nesting_has_an_end() -> None:
    for inner, close in ((b"[", b"]"), (b'{"a":', b"}")):
        assert "a" in parse(b'{"a":' + inner * (DEEPEST - 1) + b"1" + close * (DEEPEST - 1) + b"}", ORIGIN)
        with pytest.raises(DamagedError, match=rf"nested deeper than {DEEPEST}\); copy it again$"):
            parse(b'{"a":' + inner * DEEPEST + b"1" + close * DEEPEST + b"}", ORIGIN)


def test_bytes_are_bounded_before_they_are_parsed() -> None:
    assert parse(b'{"a":1}', ORIGIN, 7).integer("a") == 1
    with pytest.raises(DamagedError, match="^settings.json: expected at most 6 bytes, found more"):
        parse(b'{"a":1}', ORIGIN, 6)


def test_the_error_is_the_origins_own() -> None:
    with pytest.raises(TrustError, match="expected JSON"):
        parse(b"{", Origin("root.json", "fetch it again", TrustError))


def test_our_own_errors_go_through_and_others_become_ours() -> None:
    with pytest.raises(TrustError, match="^mine$"), decoded(ORIGIN, JSON):
        raise TrustError("mine")
    with (
        pytest.raises(DamagedError, match="^settings.json: expected JSON as edge-nusa writes it"),
        decoded(ORIGIN, JSON),
    ):
        raise OverflowError("too large")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_the_canonical_form_is_one_and_comes_back(content: dict[str, Any]) -> None:
    data = canonical(content)
    assert parse(data, ORIGIN).fields == json.loads(data) == content
    assert canonical(dict(reversed(content.items()))) == data


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(DamagedError):
        assert isinstance(parse(data, ORIGIN).integer("x"), int)
