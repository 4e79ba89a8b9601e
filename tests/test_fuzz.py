"""A little of `make fuzz`: every reader of files and messages, some cases each, and the fuzzing itself."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator

import fuzz
import mutators
import pytest
from foreign_files import Foreign, foreign

from edge_nusa.errors import DamagedError

CASES = int(os.environ.get("EDGE_NUSA_FUZZ", "40"))
READERS = foreign()


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, fuzz.stuck)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_a_sound_file_is_read_and_a_changed_one_raises_only_errors_of_ours(name: str) -> None:
    outcome = fuzz.tried(name, READERS[name], CASES, 0)
    assert outcome.wrong == []
    assert outcome.refused > 0, "no case got as far as to be refused"
    READERS[name].read(READERS[name].data)


class SayingError(DamagedError):
    """An error of ours that says just these words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    def __str__(self) -> str:
        return self.words


def refuses(error: BaseException) -> Foreign:
    def read(data: bytes) -> None:
        raise error

    return Foreign(b"{}", mutators.of_bytes, read)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("no error of ours"), "ValueError: no error of ours"),
        (SayingError("x" * (fuzz.LONGEST_MESSAGE + 1)), "a message of 2001 characters"),
        (SayingError("here: \x1b[2J"), "a message that moves a terminal"),
        (MemoryError(), "MemoryError"),
        (fuzz.StuckError(), "more than 20 s"),
    ],
)
def test_what_is_no_short_error_of_ours_is_found(error: BaseException, says: str) -> None:
    assert [says in why for _, why in fuzz.tried("one", refuses(error), 3, 5).wrong] == [True] * 3


def test_a_short_error_of_ours_is_well() -> None:
    outcome = fuzz.tried("one", refuses(SayingError("x" * fuzz.LONGEST_MESSAGE)), 3, 5)
    assert (outcome.wrong, outcome.refused, outcome.longest) == ([], 3, fuzz.LONGEST_MESSAGE)
    assert outcome.line().endswith(": well")


def test_the_same_seed_gives_the_same_cases_and_another_others() -> None:
    def cases(seed: int) -> list[bytes]:
        return [mutators.of_record(random.Random(f"x {seed + one}"), b'{"a": [1, 2, {"b": "c"}]}') for one in range(50)]

    assert cases(0) == cases(0) and len(set(cases(0))) > 25 and cases(0) != cases(1000)


def test_a_changed_record_still_is_json_most_of_the_time() -> None:
    found = 0
    for one in range(400):
        try:
            json.loads(mutators.of_record(random.Random(one), b'{"a": [1, 2, {"b": "c"}], "d": 5}'))
            found += 1
        except (ValueError, RecursionError):
            pass
    assert found > 200
