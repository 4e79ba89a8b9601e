"""What strangers wrote is repeated short and escaped, and what their bytes make a decoder raise is an error of ours."""

from __future__ import annotations

import ast
import sqlite3
import struct
import zlib

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from edge_nusa import errors
from edge_nusa.errors import EdgeNusaError, InputError, TrustError
from edge_nusa.files import foreign
from edge_nusa.files.foreign import decoded, named, shown, why
from edge_nusa.files.json_record import Origin

ORIGIN = Origin("a/file", "fetch it again", TrustError)
texts = st.text() | st.text(min_size=50, max_size=200) | st.sampled_from(["\x1b[31m" * 100, "a" * 10_000, "\ud800"])


@given(texts | st.binary() | st.lists(texts) | st.dictionaries(texts, texts) | st.none() | st.integers())
def test_what_is_shown_is_one_short_printable_line(value: object) -> None:
    found = shown(value)
    assert found.isprintable() and len(found) <= foreign.SHOWN + len("... (10000000 characters)")
    if len(repr(value)) <= foreign.SHOWN:
        assert found == repr(value)


def test_what_is_cut_says_how_long_it_was() -> None:
    assert foreign.SHOWN == 60
    assert shown("a" * 58) == f"'{'a' * 58}'"
    assert shown("a" * 59) == f"'{'a' * 59}... (59 characters)"
    assert shown("a" * 61) == f"'{'a' * 59}... (61 characters)"
    assert shown(b"\0" * 30) == ("b'" + "\\x00" * 30)[:60] + "... (30 characters)"
    assert shown([1] * 21) == f"{[1] * 21}"[:60] + "... (63 characters)"


@given(texts)
def test_a_name_stays_as_it_is_where_it_is_short_and_printable(name: str) -> None:
    assert named(name) == (name if len(name) <= 60 and name.isprintable() else shown(name))


@given(texts)
def test_what_a_decoder_says_is_one_short_printable_line(text: str) -> None:
    found = why(ValueError(text))
    assert found.isprintable() and 0 < len(found) <= 2 * foreign.SHOWN + 3


def test_a_decoder_that_says_nothing_is_named() -> None:
    assert (why(KeyError()), why(ValueError("a\n  b")), why(ValueError("\x1b"))) == ("KeyError", "a b", "\\x1b")
    assert why(ValueError("a" * 121)) == "a" * 120 + "..."


class PanicError(BaseException):
    """As Rust's packages raise it."""


PanicError.__module__ = "pyo3_runtime"


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, EOFError),
        *(ZeroDivisionError, zlib.error, struct.error, sqlite3.DatabaseError, Exception, PanicError),
        *(lambda text: UnicodeDecodeError("utf-8", b"\xff", 0, 1, text),),
    ],
)
def test_what_decoders_raise_becomes_ours(error: type[BaseException]) -> None:
    says = r"^a/file: expected a list, found something else \(.*too large.*\); fetch it again$"
    with pytest.raises(TrustError, match=says), decoded(ORIGIN, "a list"):
        raise error("too large")


@pytest.mark.parametrize("error", [OSError, MemoryError, KeyboardInterrupt, SystemExit, AssertionError, NameError])
def test_what_is_no_decoders_goes_through(error: type[BaseException]) -> None:
    with pytest.raises(error, match="mine"), decoded(ORIGIN, "a list"):
        raise error("mine")
    with pytest.raises(InputError, match="^mine$"), decoded(ORIGIN, "a list"):
        raise InputError("mine")


@given(texts)
def test_whatever_an_error_repeats_it_is_one_line_that_begins_with_where_and_ends_with_the_next_step(text: str) -> None:
    found = str(EdgeNusaError(f"a/file: found {text}; fetch it again"))
    assert found.isprintable() and found.startswith("a/file: found ") and found.endswith("; fetch it again")
    assert len(found) <= errors.LONGEST_MESSAGE


def test_an_error_of_the_longest_text_is_whole_and_of_a_longer_one_cut() -> None:
    assert (errors.LONGEST_MESSAGE, errors.LONGEST_END) == (600, 200)
    assert str(EdgeNusaError("a" * 600)) == "a" * 600
    assert str(EdgeNusaError("a" * 400 + "b" * 201)) == "a" * 393 + " [...] " + "b" * 200
    assert str(EdgeNusaError()) == ""


REPEATING = {
    "edge_nusa/errors.py": "escapes what is no printable sign of a whole message",
    "edge_nusa/files/foreign.py": "the one place that shows what is foreign",
    "edge_nusa/knowledge/labels.py": "a label that is refused, within single quotes",
}
"""Where Python's own form of a value is asked for, and why."""


def test_what_is_foreign_is_shown_by_one_function() -> None:
    """On boards and hubs; a workstation's and a researcher's words go through the errors' own bound alone."""
    found, raw = set(), []
    for room in ("edge_nusa", "device"):
        for path in sorted((ROOT / room).rglob("*.py")):
            place = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
                    raw.append(f"{place}:{node.lineno}")
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "repr":
                    found.add(place)
    assert (raw, found) == ([], set(REPEATING))
