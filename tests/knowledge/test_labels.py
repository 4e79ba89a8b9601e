"""What edge_nusa.knowledge.labels accepts, refuses and holds to be the same."""

from __future__ import annotations

import csv
import unicodedata

import pytest
from awkward_labels import AWKWARD
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import first, pictures, taught

from edge_nusa.errors import InputError
from edge_nusa.knowledge.labels import MAX_CHARACTERS, key, listed, normalise, of_folder, offered, quoted, split_list

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("label", ["", " ", "\t\n", "\u00a0", "a\0b", "\x1b[31mred", "a\x1cb", "a\x7f", "a\x85b"])
def test_a_label_without_a_name_or_with_controls_is_refused(label: str) -> None:
    with pytest.raises(InputError, match="label '.*': expected .*, found .*; choose another name"):
        normalise(label)


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u200f", "\u200b", "\u200d", "\ufeff", "\u00ad", "\ud800", "\ue000", "\uffff"]
)
def test_bidirectional_invisible_private_and_unassigned_characters_are_refused(character: str) -> None:
    with pytest.raises(InputError, match=f"found the character U\\+{ord(character):04X}"):
        normalise(f"cat{character}dog")


@pytest.mark.parametrize(
    "label",
    [
        *AWKWARD,
        "CON",
        "../../x",
        ".",
        "..",
        "-x",
        "--help",
        "<script>alert(1)<",
        "=cmd()",
        "a" * MAX_CHARACTERS,
        "...",
        "\u732b",
        "O'Neil & co.",
        "\u05d7\u05ea\u05d5\u05dc",
    ],
)
def test_what_only_looks_dangerous_is_kept_as_it_is(label: str) -> None:
    assert normalise(label) == label


def test_white_space_of_every_kind_becomes_one_space() -> None:
    assert normalise("\u3000 golden\u00a0 \t\r\n\u2028retriever ") == "golden retriever"


@pytest.mark.parametrize("label", ["a" * 101, "a" * 10_000, "\u0301" * 100_000, "e\u0301" * 101, "\ufb2c" * 40])
def test_a_label_of_more_than_a_hundred_characters_is_refused_whatever_its_form(label: str) -> None:
    with pytest.raises(InputError, match="expected at most 100 characters, found") as raised:
        normalise(label)
    assert len(str(raised.value)) < 200


def test_a_hundred_characters_are_counted_in_composed_form() -> None:
    assert normalise("e\u0301" * MAX_CHARACTERS) == "\u00e9" * MAX_CHARACTERS


def test_the_error_shows_the_label_escaped_and_cut() -> None:
    with pytest.raises(InputError) as raised:
        normalise("\x1b[2J\u202e" + "x" * 500)
    message = str(raised.value)
    assert message.isprintable()
    assert r"label '\x1b[2J\u202e" in message
    assert "x" * 61 not in message


def test_composed_and_decomposed_twins_become_one_text() -> None:
    assert normalise(COMPOSED) == normalise(DECOMPOSED) == COMPOSED


@pytest.mark.parametrize(
    "twins",
    [
        ("Cat", "cat"),
        (COMPOSED, DECOMPOSED.upper()),
        ("stra\u00dfe", "STRASSE"),
        ("\uff43at", "cat"),
        ("a  b", "A\u00a0b"),
    ],
)
def test_twins_have_one_key(twins: tuple[str, str]) -> None:
    assert key(twins[0]) == key(twins[1])


def test_different_labels_have_different_keys() -> None:
    assert len({key(label) for label in ("cat", "cats", "c at", "chat", "ca\u0301t")}) == 5


def test_a_thousand_labels_are_split_in_order() -> None:
    names = [f"thing {index}" for index in range(1000)]
    assert split_list(" , ".join(names)) == names


def test_of_twins_in_a_list_the_first_is_kept() -> None:
    assert split_list(f"Cat, dog ,cat,DOG,{COMPOSED},{DECOMPOSED}") == ["Cat", "dog", COMPOSED]


@pytest.mark.parametrize("text", ["", "  ", ",", "cat,,dog", "cat,"])
def test_an_empty_list_or_entry_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected .* found nothing"):
        split_list(text)


def test_labels_of_a_list_and_single_ones_are_offered_together_each_once() -> None:
    assert offered(" cat,dog", ["Paris, France", "CAT", "30 km/h"]) == ["cat", "dog", "Paris, France", "30 km/h"]
    assert offered(None, ["Paris, France"]) == ["Paris, France"]
    assert offered(None, []) == []
    with pytest.raises(InputError, match="expected a name, found nothing"):
        offered("cat", [" "])


def test_a_folders_name_gives_its_label_with_a_slash_for_percent_2f_and_no_other_escape() -> None:
    assert of_folder("30_km%2Fh") == of_folder("30 km%2fh") == "30 km/h"
    assert of_folder("AC%2FDC%2FAC") == "AC/DC/AC"
    assert of_folder("100%") == "100%"
    assert of_folder("%41") == "%41"
    assert of_folder("%252F") == "%252F"


def test_labels_in_a_list_for_people_are_quoted_as_in_csv_where_they_would_read_as_several() -> None:
    assert (
        listed(["cat", "Paris, France", '5" disk', "it's", "30 km/h"])
        == """cat, "Paris, France", "5"" disk", it's, 30 km/h"""
    )
    assert next(csv.reader([listed(AWKWARD)], skipinitialspace=True)) == list(AWKWARD)


def test_a_label_in_a_sentence_stands_in_quotes_that_it_does_not_hold() -> None:
    assert quoted("cat") == "'cat'"
    assert quoted("it's") == '"it\'s"'
    assert quoted("a\\b") == "'a\\b'"
    assert quoted('"quoted"') == "'\"quoted\"'"
    assert quoted("""it's "x\"""") == """'it's "x"'"""


@given(st.text(max_size=130) | st.text(alphabet="a\u0301e/ .\u0327\t\u1f82\u3164", max_size=130))
def test_normalising_is_idempotent_and_leaves_no_control_character(text: str) -> None:
    try:
        label = normalise(text)
    except InputError as error:
        assert str(error).isprintable()
        return
    assert normalise(label) == label
    assert 1 <= len(label) <= MAX_CHARACTERS
    assert not any(unicodedata.category(character).startswith("C") for character in label)
    assert key(label) == key(text)


def test_a_knowledge_finds_a_label_in_any_spelling_and_computes_each_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    knowledge = taught(taught(first().knowledge, "30 km/h", pictures(1, 2)), "Paris, France", pictures(2, 2))
    assert knowledge.columns == {"30 km/h": 0, "paris, france": 1}
    assert [knowledge.column(name) for name in ("30 KM/H", " paris,  FRANCE")] == [0, 1]
    with pytest.raises(InputError, match="the label 'Rome' was never taught; known: 30 km/h, \"Paris, France\""):
        knowledge.column("Rome")
    monkeypatch.setattr("edge_nusa.knowledge.labels.key", lambda label: pytest.fail("the key was computed before"))
    assert [label.key for label in knowledge.labels] == list(knowledge.columns)
