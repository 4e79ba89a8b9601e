"""What a pulled round must satisfy before it is taken up: labels kept or said to be forgotten, a head that can be
solved, a vocabulary that holds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_by_hand import clusters, knowledge, plain_solved, taught, unit

from edge_nusa.device.fleet import round_judge
from edge_nusa.device.learning import judge
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.knowledge import Knowledge

SOUND = judge.Retention(100.0, 1.0, None)


def knows(*names: str) -> Knowledge:
    """A knowledge of labels with five pictures each."""
    rows, goals = clusters(0, [5] * len(names))
    return taught(names, rows, goals)


@pytest.mark.parametrize(
    ("before", "after", "taken_back", "refused"),
    [
        (["cat", "dog"], ["cat", "dog"], set(), None),
        (["cat", "dog"], ["dog", "Cat", "cup"], set(), None),  # the same label in another spelling, and a new one
        (["cat", "dog"], ["dog"], {"cat"}, None),
        (["Cat", "dog"], ["dog"], {"cat"}, None),
        (["cat", "dog"], ["dog"], set(), "cat"),
        (["cat", "dog"], ["dog"], {"dog"}, "cat"),
        (["cat", "dog"], [], {"dog"}, "cat"),
        (["cat", "dog"], [], {"dog", "cat"}, None),
        ([], ["dog"], set(), None),
        (list("abcdefg"), ["g"], set(), "a, b, c, d, e"),
    ],
)
def test_a_round_keeps_every_known_label_or_says_that_it_was_forgotten(
    before: list[str], after: list[str], taken_back: set[str], refused: str | None
) -> None:
    if refused is None:
        round_judge.check(knows(*before), knows(*after), SOUND, taken_back)
        return
    with pytest.raises(
        RefusedError,
        match=rf"refused: the round does not know {refused} and does not say that it was forgotten; "
        rf"the state is unchanged: .* --force$",
    ):
        round_judge.check(knows(*before), knows(*after), SOUND, taken_back)


@pytest.mark.parametrize(("agreement", "refused"), [(80.0, False), (79.9, True)])
def test_a_round_may_change_as_much_of_the_vocabulary_as_a_lesson(agreement: float, refused: bool) -> None:
    kept = judge.Retention(agreement, 1.0, None)
    if refused:
        with pytest.raises(RefusedError, match="20.1 of 100 common words would no longer mean what they meant"):
            round_judge.check(knows("cat"), knows("cat"), kept, set())
    else:
        round_judge.check(knows("cat"), knows("cat"), kept, set())


def test_a_head_that_cannot_be_solved_or_gives_no_numbers_is_refused() -> None:
    sound = knows("cat")
    broken = replace(sound, head=replace_gram(sound, -sound.head.gram * 1000))
    with pytest.raises(
        RefusedError,
        match=r"refused: the round's head cannot be solved \(.*\); the state is unchanged: ask the hub's user",
    ):
        round_judge.check(sound, broken, SOUND, set())
    for bad in (np.nan, np.inf):
        endless = knowledge(["cat"], unit((1, 0)), solved=plain_solved(np.array([[0.0, bad, 1.0]]), [5]))
        with pytest.raises(
            RefusedError,
            match="refused: the round's head gives no finite numbers; the state is unchanged: ask the hub's user",
        ):
            round_judge.check(sound, endless, SOUND, set())


def replace_gram(known: Knowledge, gram: np.ndarray) -> Any:
    head = known.head
    return type(head)(gram, head.sums, head.counts, head.spare)


def test_the_cosine_of_old_labels_is_the_least_of_those_known_before_and_after() -> None:
    before = knowledge(["cat", "dog", "cup"], unit((1, 0), (0, 1), (1, 1)), unit((1, 0), (1, 0), (0, 1)))
    after = knowledge(["Dog", "new", "cat"], unit((1, 0), (1, 0), (1, 0)), unit((3, 4), (0, 1), (0.12345, 1)))
    assert round_judge.old_labels_cosine(before, after) == 0.1225
    assert round_judge.old_labels_cosine(before, knowledge(["dog"], unit((1, 0)), unit((3, 4)))) == 0.6
    assert round_judge.old_labels_cosine(before, knowledge(["new"], unit((1, 0)))) is None


class Text:
    """Stands for the text encoder: an anchor says by which tail and of which name it is."""

    def __init__(self, bundle: Any, threads: int) -> None:
        self.threads = threads

    def tail(self, merged: dict[str, Any]) -> str:
        return "adapted" if merged else "frozen"

    def label_anchors(self, tail: str, labels: Any) -> np.ndarray:
        return unit(*((1, len(labels)) if tail == "frozen" else (len(labels), 1) for _ in labels))

    def anchors(self, tail: str, names: list[str], template: str) -> np.ndarray:
        assert template == "first {}"
        return np.array(
            [[1.0, 0.0] if int(name) % 2 and tail == "adapted" else [0.0, 1.0] for name in names], np.float32
        )


@pytest.mark.parametrize(("moved", "tail"), [({"text.0.q": 1}, "adapted"), ({}, "frozen")])
def test_a_rounds_anchors_are_made_by_its_own_cores_and_its_vocabulary_is_judged_on_256_nouns(
    monkeypatch: pytest.MonkeyPatch, moved: dict[str, int], tail: str
) -> None:
    seen: list[int] = []

    def retention(
        frozen: np.ndarray, now: np.ndarray, old_before: np.ndarray, old_after: np.ndarray
    ) -> judge.Retention:
        seen.append(len(frozen))
        assert np.array_equal(frozen[:, 1], np.random.default_rng(0).permutation(1000)[:256])
        expected = frozen[:, 1] % 2 if tail == "adapted" else 0 * frozen[:, 1]
        assert np.array_equal(now[:, 0], expected)
        assert old_before.shape == old_after.shape == (0, 2)
        return SOUND

    monkeypatch.setattr(round_judge, "TextEncoder", Text)
    monkeypatch.setattr(judge, "retention", retention)
    monkeypatch.setattr(round_judge, "label_anchors", lambda text, tail, labels: text.label_anchors(tail, labels))
    monkeypatch.setattr(
        Knowledge, "merged", lambda self, bundle, towers: moved if towers == ("text",) else {"wrong": 1}
    )
    anchors = np.stack([np.zeros(1000), np.arange(1000.0)], axis=1)
    bundle: Any = SimpleNamespace(
        vocabulary=([str(i) for i in range(1000)], anchors),
        manifest=SimpleNamespace(templates=("first {}", "second {}")),
    )
    whole, kept = round_judge.with_anchors(bundle, knows("cat", "dog"), 1)
    assert kept is SOUND and seen == [256]
    assert np.array_equal(whole.frozen_anchors, unit((1, 2), (1, 2)))
    assert np.array_equal(whole.adapted_anchors, unit((2, 1), (2, 1)) if tail == "adapted" else unit((1, 2), (1, 2)))
