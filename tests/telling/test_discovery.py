"""What Home Assistant is told of a board: by its own rules, for any host name, any label and any number of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from awkward_labels import AWKWARD
from home_assistant import Home, check_discovery, check_topic
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_lines import ANSWERED

from edge_nusa.device.telling import board_name, told
from edge_nusa.device.telling.board_name import BoardName, Watched, slug
from edge_nusa.device.telling.discovery import Topics, message
from edge_nusa.device.telling.told import NONE_OF_THESE, Answer, Aside, cut, of_line, option
from edge_nusa.errors import InputError, UsageError

BOARD = BoardName.of("kitchenpi", Path("/home/me/camera"), machine=b"1")


def answered(**changed: Any) -> Answer:
    found = of_line({**ANSWERED, **changed})
    assert isinstance(found, Answer)
    return found


def test_the_message_of_a_board_is_what_home_assistant_takes() -> None:
    topics, found = Topics(BOARD), message(BOARD, ["mug", "cup"])
    check_discovery(topics.config, found)
    assert [*found["components"]] == ["label", "probability", "known", "set_aside", "generation"]
    assert found["components"]["label"]["options"] == ["mug", "cup", NONE_OF_THESE]
    assert found["components"]["label"]["default_entity_id"] == "sensor.kitchenpi_camera_label"
    assert found["components"]["known"]["default_entity_id"] == "binary_sensor.kitchenpi_camera_known"
    assert topics.config == f"homeassistant/device/{BOARD.id}/config"


def test_a_board_that_knows_nothing_has_an_option_all_the_same() -> None:
    check_discovery(Topics(BOARD).config, message(BOARD, []))


HOSTS = [
    *("kitchenpi", "Küche-Pi", "厨房", "мухомор", "a/b+c#d", "x" * 300, "", "..", " ", "-", "\u202eevil", "a\tb\n"),
    "raspberrypi.local",
]


@pytest.mark.parametrize("host", HOSTS)
def test_whatever_a_host_is_called_its_ids_and_topics_are_safe(host: str) -> None:
    board = BoardName.of(host, Path("/srv/картинки + #1"), machine=b"1")
    check_discovery(Topics(board).config, message(board, []))
    for topic in Topics(board).in_order():
        check_topic(topic)
    assert re.fullmatch(r"[a-z0-9_-]{10,60}", board.id)
    assert board.name.isprintable() and 0 < len(board.name) <= 100


@settings(max_examples=200)
@given(st.text(max_size=300), st.text(max_size=60))
def test_no_text_at_all_makes_an_id_that_is_not_safe(host: str, folder: str) -> None:
    board = BoardName.of(host, Path("/srv") / folder.replace("\0", "").replace("/", "_"), machine=b"1")
    check_discovery(Topics(board).config, message(board, []))


def test_two_boards_of_one_name_two_watches_of_one_board_and_two_names_are_told_apart() -> None:
    folder = Path("/home/me/camera")
    boards = [
        BoardName.of("raspberrypi", folder, machine=b"1"),
        BoardName.of("raspberrypi", folder, machine=b"2"),
        BoardName.of("raspberrypi", Path("/home/you/camera"), machine=b"1"),
        BoardName.of("raspberrypi", folder, "left", b"1"),
        BoardName.of("raspberrypi", folder, "right", b"1"),
    ]
    assert len({board.id for board in boards}) == len(boards)
    assert [board.name for board in boards] == ["raspberrypi camera"] * 3 + ["left", "right"]


def test_a_camera_is_told_from_others_by_what_stays_a_hash_and_keeps_its_id_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boards() -> list[BoardName]:
        return [BoardName.of("pi", Watched("10.0.0.2", place), machine=b"1") for place in ("rtsp://a/1", "rtsp://a/2")]

    before = boards()
    monkeypatch.chdir(tmp_path)
    assert boards() == before and before[0].id != before[1].id
    assert [board.name for board in before] == ["pi 10.0.0.2"] * 2
    assert all(board.id.startswith("edge-nusa-pi_10_0_0_2-") for board in before)
    path = Path("/home/me/camera")
    assert BoardName.of("pi", path, machine=b"1") == BoardName.of("pi", Watched.path(path), machine=b"1")


def test_a_board_keeps_its_id_and_one_with_a_name_keeps_it_wherever_its_file_is() -> None:
    assert BoardName.of("a", Path("/x"), machine=b"1") == BoardName.of("a", Path("/x"), machine=b"1")
    assert BoardName.of("a", Path("/x"), "door", b"1") == BoardName.of("b", Path("/y"), "door", b"1")


def test_the_machines_id_leaves_the_board_as_a_hash_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    (tmp_path / "machine-id").write_text(f"{secret}\n")
    monkeypatch.setattr(board_name, "MACHINE_ID", tmp_path / "machine-id")
    board = BoardName.of("pi", Path("/x"))
    assert board == BoardName.of("pi", Path("/x"), machine=secret.encode())
    assert (
        secret[:8] not in json.dumps(message(board, [])) and board.id != BoardName.of("pi", Path("/x"), machine=b"").id
    )


def test_a_machine_without_an_id_has_its_network_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_name, "MACHINE_ID", tmp_path / "none")
    monkeypatch.setattr("uuid.getnode", lambda: 0xA1)
    assert board_name.this_machine() == b"0000000000a1"


def test_a_name_that_cannot_be_shown_is_refused() -> None:
    with pytest.raises(UsageError, match="--mqtt-name: label .*: expected letters"):
        BoardName.of("pi", Path("/x"), "a\x1b[2Jb")


@pytest.mark.parametrize(
    ("text", "expected"), [("Küche Pi", "kuche_pi"), ("__A--b__", "a_b"), ("厨房", ""), ("a" * 23 + " b", "a" * 23)]
)
def test_a_slug_is_small_ascii_letters(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_an_answer_is_what_a_line_says() -> None:
    found = answered()
    assert found == Answer(
        picture="IMG_1.jpg",
        time=str(ANSWERED["time"]),
        label="mug",
        probability=91.0,
        known=True,
        generation=3,
        labels={"mug": 91.0, "cup": 6.0},
        named=("mug", "cup"),
        seconds=0.041,
    )
    assert set(found.to_json()) == {"picture", "time", "label", "probability", "known", "generation", "labels"}


def test_none_of_what_was_taught_is_a_state_of_its_own_with_its_own_probability() -> None:
    found = answered(best=None, known=0.2, unknown=True)
    assert (found.label, found.probability, found.known) == (NONE_OF_THESE, 80.0, False)
    assert found.named == ("mug", "cup")


def test_without_a_head_nothing_says_how_known_a_picture_is() -> None:
    assert answered(known=None).probability == 91.0


def test_a_picture_that_was_set_aside_is_told_with_its_reason_and_without_its_folders() -> None:
    found = of_line({"image": "/home/me/camera/a.jpg", "reason": "expected a picture" * 100, "time": "t"})
    assert isinstance(found, Aside) and found.picture == "a.jpg"
    assert len(found.reason) == 255 and found.reason.startswith("expected a picture")


LINES: list[tuple[dict[str, Any], str]] = [
    ({"image": 1}, "image: expected a text"),
    ({"labels": [{"label": "a", "probability": 2}]}, "probability: expected a number from 0 to 1"),
    ({"labels": {}}, "labels: expected a list"),
    ({"generation": -1}, "generation: expected a whole number"),
    ({"known": "yes"}, "known: expected a number"),
    ({"best": 3}, "best: expected a text"),
    ({"seconds": "1"}, "seconds: expected a number"),
]


@pytest.mark.parametrize(("changed", "expected"), LINES)
def test_a_line_that_says_something_else_is_refused_in_words(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        answered(**changed)


def test_of_many_labels_the_first_five_are_told_and_all_are_options() -> None:
    rows = [{"label": f"l{i}", "probability": 0.1} for i in range(8)]
    found = answered(best="l7", labels=rows)
    assert [*found.labels] == ["l0", "l1", "l2", "l3", "l4"]
    assert found.named == tuple(f"l{i}" for i in range(8)) and found.probability == 10.0


RESERVED = ["None", "unknown", "unavailable", NONE_OF_THESE, "", "None (label)", "None (label) (label)"]


def test_no_two_labels_are_one_state_and_none_is_a_word_of_home_assistants() -> None:
    labels = [*RESERVED, *AWKWARD, "x" * 255, "x" * 256, "x" * 300, "x" * 256 + "y"]
    states = [option(label) for label in labels]
    assert len(set(states)) == len(set(labels))
    assert not set(states) & {"None", "unknown", "unavailable", NONE_OF_THESE, ""}
    assert max(map(len, states)) == 255
    assert [option(label) for label in ("mug", "x" * 255)] == ["mug", "x" * 255]


def test_what_is_too_long_keeps_its_beginning_and_a_digest() -> None:
    assert cut("a" * 300) == "a" * 246 + "~" + cut("a" * 300)[-8:]
    assert cut("a" * 299 + "b")[:246] == "a" * 246 and cut("a" * 299 + "b") != cut("a" * 300)
    assert len(cut("é" * 300)) == told.LONGEST_STATE


@pytest.mark.parametrize("label", [*AWKWARD, *RESERVED[:4]])
def test_whatever_a_label_holds_home_assistant_shows_it(label: str) -> None:
    home, topics = Home(), Topics(BOARD)
    found = answered(best=label, labels=[{"label": label, "probability": 0.5}])
    home.takes(topics.config, json.dumps(message(BOARD, found.named)).encode())
    home.takes(topics.answer, json.dumps(found.to_json()).encode())
    assert home.states["label"] == option(label) and home.warnings == []
    assert home.states["known"] == "on" and home.states["probability"] == "50.0"
    assert home.attributes["label"]["picture"] == "IMG_1.jpg" and home.attributes["label"]["labels"] == {
        option(label): 50.0
    }
