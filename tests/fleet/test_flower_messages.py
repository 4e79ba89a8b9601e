"""The messages that carry a store: what is read is what was written, and nothing else is read at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flower_samples import DEVICE, FREIGHT, answer, question

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, StoreError, UsageError
from edge_nusa.flower import addresses, freight, hub_settings
from edge_nusa.flower.addresses import Address
from edge_nusa.flower.carried import MOST_WISHES, Wish
from edge_nusa.flower.freight import Freight, Part
from edge_nusa.flower.hub_settings import HubSettings
from edge_nusa.flower.messages import Answer, Question


def test_a_question_and_an_answer_come_as_they_were_sent() -> None:
    found = Question.decode(question(), "here")
    assert (found.fleet, found.turn, found.brought) == ("f" * 32, "pull", FREIGHT)
    back = Answer.decode(answer(), "here")
    assert (back.device, back.number, back.sha256, back.exit_code) == (DEVICE, 7, "a" * 64, 6)
    assert (back.update, back.pictures, back.generation, back.puts) == (3, 12, 9, FREIGHT)
    assert back.wishes == [Wish("list", "metadata"), Wish("get", "rounds/c", 0, 9), Wish("part", "rounds/d", 5, 6)]
    assert back.encode() == answer() and found.encode() == question()


def with_line(data: bytes, change: Callable[[Any], None]) -> bytes:
    line, _, body = data.partition(b"\n")
    record = json.loads(line)
    change(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n" + body


ODD: dict[str, tuple[Callable[[Any], None], str]] = {
    "another version": (lambda r: r.update(format_version=2), "expected format 1, found 2"),
    "a field more": (lambda r: r.update(more=1), "expected the fields"),
    "a turn that is none": (lambda r: r.update(turn="learn"), "expected one of push, pull"),
    "a key that leads out": (lambda r: r["missing"].append("../up"), "expected a key of small letters"),
    "a list of another place": (lambda r: r["lists"].update({"../x": []}), "expected a key of small letters"),
    "a name that leads out": (lambda r: r["lists"]["metadata"].append("../../x"), "expected a key of small letters"),
    "an object twice": (lambda r: r.update(wholes=[["rounds/a", 3], ["rounds/a", 4]]), "found one twice"),
    "sizes that are too many": (lambda r: r.update(wholes=[["rounds/a", 99]]), "bytes behind the line"),
    "a size below nothing": (lambda r: r.update(wholes=[["rounds/a", -1]]), "expected a whole number from 0"),
    "a start beyond all bounds": (lambda r: r["parts"][0].update(start=2**41), "expected a whole number from 0"),
    "too many lists": (lambda r: r.update(lists={f"a{i}": [] for i in range(17)}), "at most 16 lists"),
    "too many objects": (lambda r: r.update(missing=["a"] * 4097), "at most 4096 entries"),
}


@pytest.mark.parametrize("what", ODD)
def test_a_message_of_another_form_is_refused(what: str) -> None:
    change, said = ODD[what]
    with pytest.raises((DamagedError, StoreError), match=said):
        Question.decode(with_line(question(), change), "here")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["wishes"][0].update(verb="put"), "expected one of list, get, part"),
        (lambda r: r["wishes"][0].update(key="/etc/passwd"), "expected a key of small letters"),
        (lambda r: r["wishes"][0].update(size=2**40), "expected a whole number from 0"),
        (lambda r: r["wishes"][0].update(more=1), "expected the fields"),
        (lambda r: r.update(wishes=r["wishes"] * 400), f"at most {MOST_WISHES} entries"),
        (lambda r: r.update(exit_code=256), "expected a whole number from 0 to 255"),
        (lambda r: r.update(sha256="x"), "expected a SHA-256"),
        (lambda r: r.update(pictures=-1), "expected a whole number from 0"),
        (lambda r: r.update(device="d" * 101), "expected a text of at most 100"),
    ],
)
def test_an_answer_of_another_form_is_refused(change: Callable[[Any], None], said: str) -> None:
    with pytest.raises((DamagedError, StoreError), match=said):
        Answer.decode(with_line(answer(), change), "here")


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", b"{}\n", answer()[:-1], answer() + b"x", b"\xff" * 99])
def test_what_is_no_message_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(EdgeNusaError, match="expected"):
        Answer.decode(data, "here")


def test_a_message_is_bounded_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (freight.MOST_BYTES, freight.LARGEST_LINE_BYTES, freight.MOST_NAMES) == (256 << 20, 8 << 20, 50_000)
    monkeypatch.setattr(freight, "MOST_BYTES", len(answer()) - 1)
    with pytest.raises(DamagedError, match="expected at most"):
        Answer.decode(answer(), "here")
    monkeypatch.setattr(freight, "MOST_BYTES", len(answer()))
    Answer.decode(answer(), "here")
    monkeypatch.setattr(freight, "LARGEST_LINE_BYTES", answer().index(b"\n") - 1)
    with pytest.raises(DamagedError, match="expected at most"):
        Answer.decode(answer(), "here")


def test_two_freights_together_have_what_either_has_and_the_second_wins() -> None:
    one = Freight({"a": ["a/x"]}, frozenset({"m"}), {"w": b"1"}, (Part("p", 0, b"1"),))
    other = Freight({"a": ["a/y"], "b": []}, frozenset({"n"}), {"w": b"22"}, (Part("p", 1, b"2"),))
    both = one.with_other(other)
    assert both.lists == {"a": ["a/y"], "b": []} and both.missing == {"m", "n"} and both.wholes == {"w": b"22"}
    assert both.parts == (Part("p", 0, b"1"), Part("p", 1, b"2")) and both.size == 4


@pytest.mark.parametrize("text", ["hub.example:8000", "127.0.0.1:1", "[::1]:65535", "localhost:9092"])
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    assert str(addresses.parsed(text)) == text


@pytest.mark.parametrize(
    "text", ["hub", "hub:", ":1", "hub:0", "hub:65536", "http://hub:1", "a b:1", "hub:1;x", "-h:1"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="expected the SuperLink as HOST:PORT"):
        addresses.parsed(text)
    assert addresses.parsed("a:1") == Address("a", 1)


def test_the_settings_of_a_round_come_back_and_others_are_refused(tmp_path: Any) -> None:
    made = HubSettings(hub="/h", bundle="/b", rule="trimmed", malicious=0.1, most_pictures=5, seconds=9)
    assert hub_settings.decode(made.encoded(), "here") == made
    assert (made.merge.rule, made.merge.malicious, made.merge.limits.pictures) == ("trimmed", 0.1, 5)
    with pytest.raises(InputError, match="expected what `edge-nusa hub flower` wrote"):
        hub_settings.read(tmp_path / "none.json")
    for field, value in (("seconds", 4), ("seconds", 86_401), ("malicious", 0.5), ("rule", "x"), ("most_pictures", 0)):
        record = {**json.loads(made.encoded()), field: value}
        with pytest.raises(DamagedError, match="run `edge-nusa hub flower` again"):
            hub_settings.decode(json.dumps(record, allow_nan=False).encode(), "here")
