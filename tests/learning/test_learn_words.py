"""What people read of a lesson: counts and an interval, confusions, pictures to look at, and what to do; no cosines and
no standard errors."""

from __future__ import annotations

from typing import Any

import pytest

from edge_nusa.cli import learned, output
from edge_nusa.device.learning.judge import Retention
from edge_nusa.device.learning.left_out import Count
from edge_nusa.device.learning.report import (
    EarlierLabel,
    LabelReport,
    LearnReport,
    Mistaken,
    TakenFor,
    nothing_new,
    training_report,
)
from edge_nusa.pictures.pictures import Quarantined


def row(label: str, right: int, asked: int, images: int | None = None, **parts: Any) -> LabelReport:
    count = Count(right, asked)
    content: dict[str, Any] = {
        "label": label,
        "images": asked if images is None else images,
        "right": right,
        "asked": asked,
        "interval": count.interval,
        "right_before": 0,
        "accuracy_before": 0.0,
        "accuracy_after": count.percent,
        "taken_for": (),
        "closest": None,
        "told_apart_errors": None,
    }
    return LabelReport(**{**content, **parts})


def words(*rows: LabelReport, **parts: Any) -> list[str]:
    content: dict[str, Any] = {
        "generation": 3,
        "labels": rows,
        "mistaken": (),
        "earlier": (),
        "retention": Retention(99.61, 0.98, 0.7),
        "quarantined": (),
        "seconds": 2.5,
        "head_seconds": 0.4,
        "text": "dropped",
        "text_reason": "of 3 pictures asked 1 is answered right with it and 2 without",
        "peak_rss_bytes": 300 << 20,
        "training": training_report(None),
        "judged_by": "leave-one-out",
        "dry_run": False,
    }
    return list(learned.lines(LearnReport(**{**content, **parts})))


def test_each_label_is_told_in_counts_with_an_interval() -> None:
    found = words(row("my pug", 6, 7), row("Paris, France", 20, 20, right_before=4))
    assert found[0] == "my pug: 6 of 7 when left out (about 49 to 97 %), 0 before"
    assert found[1] == '"Paris, France": 20 of 20 when left out (about 84 to 100 %), 4 before'
    assert found[-3:] == [
        "kept: 100 of 100 common words mean what they meant",
        "text dropped: of 3 pictures asked 1 is answered right with it and 2 without",
        "generation 3; 2.5 s, peak memory 300 MiB, judged by leave-one-out",
    ]
    assert not any(word in line for line in found for word in ("cosine", "standard error"))


@pytest.mark.parametrize(("images", "pictures"), [(1, "1 picture"), (2, "2 pictures")])
def test_a_label_that_could_not_be_asked_says_so(images: int, pictures: str) -> None:
    assert words(row("cat", 0, 0, images))[0] == f"cat: {pictures}, too few to say how well it is recognised"


def test_pairs_that_are_confused_more_than_once_come_with_the_most_first_and_three_at_most() -> None:
    taken = [("a", 2), ("b", 5), ("c", 1), ("d", 3), ("e", 4)]
    found = words(*(row(name, 4, 10, taken_for=(TakenFor("z", count),)) for name, count in taken))
    lines = [line for line in found if "taken for" in line or "more such pairs" in line]
    assert lines == [
        "b is taken for z: 5 of 10",
        "e is taken for z: 4 of 10",
        "d is taken for z: 3 of 10",
        "and 1 more such pairs (`edge-nusa report` has all)",
    ]


@pytest.mark.parametrize(("count", "lines"), [(0, 0), (3, 3), (4, 4), (9, 4)])
def test_three_pictures_are_named_that_look_like_another_label(count: int, lines: int) -> None:
    found = words(row("cat", 6, 7), mistaken=tuple(Mistaken(f"{i}.jpg", "cat", "dog", 9.0 - i) for i in range(count)))
    told = [line for line in found if line.startswith("look at") or "more such pictures" in line]
    assert len(told) == lines
    if count:
        assert told[0] == "look at 0.jpg: it is cat, and looks like dog"
    if count > 3:
        assert told[3] == f"and {count - 3} more such pictures (--format json has all)"


def test_a_label_that_is_hardly_recognised_says_what_to_do_once() -> None:
    advice = "more pictures (10 to 20 a label), another name, or a bigger model (`edge-nusa export`)"
    found = words(row("cat", 2, 7), row("dog", 4, 8))
    assert f"hardly recognised yet: cat; try {advice}" in found
    assert "more pictures would help: dog (10 to 20 are a good number)" in found
    assert not any("hardly" in line for line in words(row("dog", 4, 8)))


@pytest.mark.parametrize(("images", "few"), [(9, True), (10, False)])
def test_ten_pictures_are_enough(images: int, few: bool) -> None:
    assert any("more pictures would help" in line for line in words(row("cat", images, images))) is few


@pytest.mark.parametrize(("errors", "told"), [(0.99, True), (1.0, False), (None, False)])
def test_a_label_that_is_hardly_told_apart_is_asked_about(errors: float | None, told: bool) -> None:
    found = words(row("cat", 12, 12, closest="dog", told_apart_errors=errors))
    line = "'cat' is hardly told apart from 'dog': more pictures, or is it one thing under two names?"
    assert (line in found) is told


def test_of_many_labels_six_are_named() -> None:
    found = words(*(row(f"l{i}", 5, 5) for i in range(8)))
    assert "more pictures would help: l0, l1, l2, l3, l4, l5 and 2 more (10 to 20 are a good number)" in found


def test_labels_that_were_taught_earlier_are_expected_in_tenths_the_worst_first() -> None:
    found = words(row("cat", 12, 12), earlier=(EarlierLabel("owl", 96.0), EarlierLabel("dog", 61.0)))
    assert "taught earlier, expected now: dog about 6 of 10, owl about 10 of 10" in found
    many = words(row("cat", 12, 12), earlier=tuple(EarlierLabel(f"l{i}", 50.0 + i) for i in range(8)))
    assert any(line.endswith("l5 about 6 of 10, and 2 more, better ones") for line in many)
    assert not any("taught earlier" in line for line in words(row("cat", 12, 12)))
    assert output.of_ten(None) == "-"


def test_nothing_new_is_said_as_that() -> None:
    aside = tuple(Quarantined(f"{i}.jpg", "taught before as 'cat'") for i in range(5))
    assert list(learned.lines(nothing_new(4, aside, False))) == [
        "nothing new: all 5 files were taught before or are set aside; generation 4 stays",
        "set aside: 0.jpg and 4 more: taught before as 'cat'",
    ]


def test_a_dry_run_says_that_nothing_was_changed() -> None:
    assert words(row("cat", 12, 12), dry_run=True)[-1].startswith("dry run, nothing was changed; ")


def test_the_state_keeps_no_name_of_a_file() -> None:
    content = LearnReport(
        generation=1,
        labels=(row("cat", 1, 2, taken_for=(TakenFor("dog", 1),)),),
        mistaken=(Mistaken("/home/me/cat.jpg", "cat", "dog", 2.0),),
        earlier=(EarlierLabel("dog", 90.0),),
        retention=Retention(100.0, 1.0, None),
        quarantined=(Quarantined("/home/me/a.jpg", "noise"), Quarantined("/home/me/b.jpg", "noise")),
        seconds=1.0,
        head_seconds=0.1,
        peak_rss_bytes=1,
        training=training_report(None),
        text="not trained",
        text_reason="one label",
        judged_by="leave-one-out",
        dry_run=False,
    )
    assert "/home" in str(content.to_json())
    stored = content.stored()
    assert "/home" not in str(stored) and not {"mistaken", "generation"} & set(stored)
    assert stored["quarantined"] == [{"image": "2 pictures", "reason": "noise"}]
    assert list(stored["labels"][0]["taken_for"]) == [{"label": "dog", "count": 1}]
