"""How a result is shown: once, as JSON for programs or as words for people, and what a missing extra is called."""

from __future__ import annotations

from typing import Any

import pytest

from edge_nusa.cli import output
from edge_nusa.cli.options import needs
from edge_nusa.errors import MissingPackageError, UnforeseenError
from edge_nusa.pictures.pictures import Quarantined


class Answer:
    """A record as the library's are."""

    def to_json(self) -> dict[str, Any]:
        return {"answer": "é", "number": 3}


@pytest.mark.parametrize(
    ("value", "format", "shown"),
    [
        (Answer(), output.Format.JSON, '{"answer": "\\u00e9", "number": 3}\n'),
        ({"number": 4}, output.Format.JSON, '{"number": 4}\n'),
        (Answer(), None, '{"answer": "\\u00e9", "number": 3}\n'),
        (Answer(), output.Format.HUMAN, "three\n"),
    ],
)
def test_a_result_is_shown_once_in_the_format_asked_for(
    value: Any, format: output.Format | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output.show(value, "three", format)
    assert capsys.readouterr().out == shown


def test_words_for_people_are_made_only_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    def words() -> str:
        raise AssertionError("nobody reads them")

    output.show({}, words, output.Format.JSON)
    output.show({}, lambda: "two\nlines", output.Format.HUMAN)
    assert capsys.readouterr().out == "{}\ntwo\nlines\n"


def test_a_command_without_its_packages_says_which_extra_has_them() -> None:
    with (
        pytest.raises(
            MissingPackageError,
            match=r"^export needs packages that are missing here \(No module named .nothing.\); install them with `pip "
            r'install "edge-nusa\[export\]"`$',
        ),
        needs("export"),
    ):
        import nothing  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (3, 3), (4, 1), (9, 1)])
def test_more_than_three_files_set_aside_for_one_reason_are_one_line(count: int, lines: int) -> None:
    entries = [*(Quarantined(f"{i}.jpg", "noise") for i in range(count)), Quarantined("x.jpg", "copy")]
    found = list(output.set_aside(entries))
    assert len(found) == lines + 1 and found[-1] == "set aside: x.jpg: copy"
    assert found[0] == (f"set aside: 0.jpg and {count - 1} more: noise" if lines < count else "set aside: 0.jpg: noise")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_lacks_is_told_and_not_printed(number: float, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnforeseenError, match="^print the answer: expected numbers, found NaN or infinity among them"):
        output.emit_json({"probability": number})
    assert capsys.readouterr().out == ""
