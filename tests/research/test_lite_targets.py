"""Where the text tower of `lite` is taught that a name lies: known names, kinds above them, and the kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import InputError
from edge_nusa.research.lite import names, targets
from edge_nusa.research.lite.figures import Asked, accuracy, ranks, surprise

WORDNET = """  1 a line of the licence
00000001 05 n 01 beast 0 000 | a living thing
00000002 05 n 02 hound 0 tracking_dog 0 001 @ 00000001 n 0000 | a dog that tracks
00000003 05 n 02 beagle 0 rabbit_hound 0 001 @ 00000002 n 0000 | a small hound
00000004 05 n 01 basset 0 001 @ 00000002 n 0000 | a long hound
00000005 05 n 01 cur 0 001 @ 00000001 n 0000 | a dog of no breed
00000006 05 n 01 mongrel 0 001 @ 00000005 n 0000 | a dog of two breeds
"""
CLASSES = [names.ImageNetClass("Beagle", 3), names.ImageNetClass("basset", 4), names.ImageNetClass("mongrel", 6)]


def known(tmp_path: Path) -> names.Names:
    (tmp_path / "data.noun").write_text(WORDNET)
    return names.known_names(CLASSES, np.eye(3, 4, dtype=np.float32), tmp_path)


def test_a_class_has_its_clean_name_and_every_lemma(tmp_path: Path) -> None:
    found = known(tmp_path)
    assert found.texts[:3] == ["Beagle", "beagle", "rabbit hound"]
    assert found.offsets[:3].tolist() == [3, 3, 3]
    assert np.array_equal(found.places[:3], np.tile(np.eye(4, dtype=np.float32)[0], (3, 1)))


def test_a_kind_lies_at_the_mean_of_the_classes_below_it(tmp_path: Path) -> None:
    found = known(tmp_path)
    place = found.places[found.texts.index("tracking dog")]
    assert place == pytest.approx(np.array([1, 1, 0, 0]) / np.sqrt(2))
    assert found.places[found.texts.index("beast")] == pytest.approx(np.array([1, 1, 1, 0]) / np.sqrt(3))


def test_a_kind_of_one_class_has_no_place_of_its_own(tmp_path: Path) -> None:
    assert "cur" not in known(tmp_path).texts


def test_a_kind_above_too_many_classes_has_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST", 2)
    found = known(tmp_path).texts
    assert "hound" in found and "beast" not in found
    assert (names.FEWEST, names.MOST) == (2, 2)
    monkeypatch.undo()
    assert names.MOST == 300


def test_a_listed_label_lies_at_the_mean_of_what_it_looks_like(tmp_path: Path) -> None:
    found = names.with_likenesses(known(tmp_path), {"puppy": ["beagle", "Basset", "mongrel"], "hound": ["mongrel"]})
    assert found.texts[-2:] == ["puppy", "hound"]
    assert found.places[-2] == pytest.approx(np.array([1, 1, 1, 0]) / np.sqrt(3))
    assert found.places[-1] == pytest.approx([0, 0, 1, 0])
    assert found.texts.count("hound") == 1 and "tracking dog" in found.texts
    assert len(found.texts) == len(found.offsets) == len(found.places)


def test_a_likeness_of_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found 'unicorn' under 'pony' in likenesses.txt: write a lemma of WordNet"):
        names.with_likenesses(known(tmp_path), {"pony": ["unicorn"]})


def test_the_list_of_likenesses_has_no_label_twice() -> None:
    lines = [line for line in names.LIKENESSES.read_text().splitlines() if not line.startswith("#")]
    listed = names.likenesses()
    assert len(listed) == len(lines) > 250
    assert all(label == label.lower().strip() and all(others) for label, others in listed.items())


@given(st.integers(0, 1000), st.integers(2, 30))
@settings(max_examples=25, deadline=None)
def test_weights_sum_to_one_and_rise_with_the_cosine(seed: int, count: int) -> None:
    cosines = np.sort(np.random.default_rng(seed).uniform(-1, 1, (3, count)), axis=1)
    weights = targets.kernel_weights(cosines)
    assert weights.sum(axis=1) == pytest.approx(np.ones(3))
    assert (np.diff(weights, axis=1) >= 0).all()


def test_the_weight_of_a_name_falls_by_e_in_the_width_of_the_kernel() -> None:
    exact = targets.kernel_weights(np.array([[1.0, 0.95]]))[0]
    assert exact[0] / exact[1] == pytest.approx(np.e)
    far = targets.kernel_weights(np.array([[0.5, 0.4]]))[0]
    assert far[0] / far[1] == pytest.approx(np.e)


def test_a_known_name_keeps_its_place_and_a_stranger_takes_a_mean() -> None:
    phrases = targets.unit(np.array([[1.0, 0, 0, 0], [1, 1, 1, 1]]))
    found = targets.targets(phrases, np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
    assert found[0] == pytest.approx([1, 0, 0, 0], abs=1e-6)
    assert found[1] == pytest.approx(np.full(4, 0.5))


def test_chunks_change_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    phrases, texts, places = (targets.unit(generator.normal(size=(n, 8))) for n in (7, 5, 5))
    whole = targets.targets(phrases, texts, places)
    monkeypatch.setattr(targets, "CHUNK", 2)
    assert targets.targets(phrases, texts, places) == pytest.approx(whole, abs=1e-6)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(7), abs=1e-5)


def test_figures_count_what_is_nearest() -> None:
    asked = Asked(np.eye(3, dtype=np.float32), np.array([0, 1, 0]), ["a", "b", "c"])
    anchors = np.eye(3, dtype=np.float32)
    assert accuracy(asked, anchors) == pytest.approx(200 / 3)
    assert ranks(anchors, anchors).tolist() == [1, 1, 1]
    assert ranks(anchors[[1, 0, 2]], anchors).tolist() == [2, 2, 1]


def test_the_surprise_is_least_at_the_scale_that_fits() -> None:
    generator = np.random.default_rng(1)
    anchors = np.eye(2, dtype=np.float32)
    images = np.tile(np.array([[0.6, 0.5]], np.float32), (1000, 1))
    labels = (generator.random(1000) > 1 / (1 + np.exp(-10 * 0.1))).astype(np.int64)
    asked = Asked(images, labels, ["a", "b"])
    losses = {scale: surprise([(asked, anchors)], scale) for scale in range(2, 30)}
    assert min(losses, key=lambda scale: losses[scale]) == pytest.approx(10, abs=2)
