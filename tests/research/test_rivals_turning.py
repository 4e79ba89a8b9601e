"""What turning anchors cost is asked by the product's own answer, and only the anchors differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, material

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.product import AnchorsAlone, Default
from edge_nusa.research.rivals import turning


def test_anchors_as_they_are_give_the_products_answers_and_others_only_change_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("edge_nusa.device.learning.text_trial.TextTrial.adds", True)
    bundle = Bundle.open(MICRO)
    scene = material(bundle, tmp_path, SETS, shots=6)
    learner = CATALOGUE["default"].make(bundle, Options(steps=2))
    assert isinstance(learner, Default)
    sets = [turning.Set(view, scene.shots[name], scene.tests[name]) for name, view in scene.views.items()]
    for one in sets:
        learner.learn(one.view, one.shots, 0)
    adapted, asked = learner.known.adapted_anchors, sets[1]
    own = learner.columns.of(asked.view)
    assert own is not None
    found = learner.answer([asked.view], asked.view, asked.tests).probabilities.argmax(axis=1)
    expected = 100 * float((found == asked.view.classes[asked.tests]).mean())
    assert turning.percent(learner, adapted, asked, own, Answerer) == expected
    first, other = (np.roll(adapted, shift, axis=0) for shift in (1, 2))
    texts = [turning.percent(learner, each, asked, own, AnchorsAlone) for each in (adapted, first, other)]
    assert len(set(texts)) > 1, "the anchors given are those that answer"
    turning.sequence(bundle, sets, 0, 2)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 * len(turning.KINDS) and all("own labels" in row for row in rows)


def test_old_labels_are_asked_among_their_own_among_all_and_by_text_alone(tmp_path: Path) -> None:
    bundle = Bundle.open(MICRO)
    scene = material(bundle, tmp_path, SETS)
    learner = CATALOGUE["default"].make(bundle, Options(steps=1))
    assert isinstance(learner, Default)
    sets = [turning.Set(view, scene.shots[name], scene.tests[name]) for name, view in scene.views.items()]
    for one in sets:
        learner.learn(one.view, one.shots, 0)
    anchors, everything = learner.known.adapted_anchors, np.arange(learner.columns.count)
    own, joint, text = turning.of_old(learner, anchors, sets)
    columns = [learner.columns.of(one.view) for one in sets]
    pairs = [(one, column) for one, column in zip(sets, columns, strict=True) if column is not None]
    assert own == pytest.approx(np.mean([turning.percent(learner, anchors, *pair, Answerer) for pair in pairs]))
    assert joint == pytest.approx(
        np.mean([turning.percent(learner, anchors, one, everything, Answerer) for one in sets])
    )
    assert text == pytest.approx(np.mean([turning.percent(learner, anchors, *pair, AnchorsAlone) for pair in pairs]))
