"""The harness's learners against the product: the same training, the same head, the same answers, and nothing for
what was not learned."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, material

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.learning.learn import LearnSettings, learn
from edge_nusa.device.learning.task import folder_per_label
from edge_nusa.device.learning.train_cores import TaskData, Trainer
from edge_nusa.device.model import Model
from edge_nusa.errors import UsageError
from edge_nusa.knowledge import knowledge, stored
from edge_nusa.knowledge.recipes import DEVICE, PAPER
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.data.views import View
from edge_nusa.research.learners import catalogue
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Arrays, Frozen, Gradient, Learner
from edge_nusa.research.learners.product import Default, stacked
from edge_nusa.research.learners.ridge import RidgeHead
from edge_nusa.research.protocol.sequence import Material

STEPS = 3
SEED = 5
ALL = np.arange(1000)


class Scene(NamedTuple):
    bundle: Bundle
    folder: Path
    material: Material

    @property
    def views(self) -> list[View]:
        return [self.material.views[name] for name in SETS]

    def learner(self, name: str, steps: int = STEPS) -> Learner:
        return CATALOGUE[name].make(self.bundle, Options(steps=steps))

    def taught(self, name: str, tasks: int, steps: int = STEPS) -> Learner:
        learner = self.learner(name, steps)
        self.teach(learner, tasks)
        return learner

    def teach(self, learner: Learner, tasks: int) -> None:
        for view in self.views[:tasks]:
            learner.learn(view, self.material.shots[view.name], SEED)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    torch.set_num_threads(1)
    bundle, folder = Bundle.open(MICRO), tmp_path_factory.mktemp("learners")
    with pytest.MonkeyPatch.context() as patch:
        # the batches of `edge-nusa learn`, so that features can be the same bit for bit on every machine
        patch.setattr("edge_nusa.research.data.views.CHUNK", 16)
        return Scene(bundle, folder, material(bundle, folder, SETS, image_blocks=6))


def everything(view: View) -> np.ndarray:
    return ALL[: len(view.classes)]


def test_the_frozen_learner_is_zero_shot(scene: Scene) -> None:
    cloth, stone, _ = scene.views
    text = TextEncoder(scene.bundle, 1)
    anchors = text.anchors(text.tail({}), [*cloth.labels, *stone.labels], "a photo of a {}.")
    logits = scene.bundle.manifest.logit_scale * stone.embeddings(everything(stone)) @ anchors.T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    learner = scene.taught("frozen", 2)
    found = learner.answer([cloth, stone], stone, everything(stone))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(found.novelty, 1 - expected.max(axis=1), atol=1e-4)
    assert (learner.arrays(), learner.trained_numbers) == ({}, 0)


def test_paper_merges_the_matrices_that_the_products_trainer_merges(scene: Scene) -> None:
    learner = scene.taught("paper", 2)
    assert isinstance(learner, Gradient)
    recipe = replace(PAPER, learning_rate=3e-2, steps=STEPS)
    known = knowledge.nothing(scene.bundle, recipe)
    text = TextEncoder(scene.bundle, 1)
    for view in scene.views[:2]:
        pictures = scene.material.shots[view.name]
        assert view.tokens is not None
        hidden, last = text.hidden([scene.bundle.manifest.templates[0].replace("{}", label) for label in view.labels])
        data = TaskData(
            embedding=view.embeddings(pictures),
            tokens=view.tokens[view.place[pictures]],
            classes=view.classes[pictures],
            held_out=np.zeros(len(pictures), bool),
            class_hidden=hidden,
            class_last=last,
            noun_hidden=hidden[:0],
            noun_last=last[:0],
            noun_anchors=view.anchors[:0],
        )
        trained = Trainer(scene.bundle, known, data, recipe, SEED).run(lambda done, total: None)
        known = replace(known, cores=trained.cores)
    assert set(learner.known.cores) == set(known.cores)
    assert any(name.startswith("image.") for name in known.cores) and any(
        name.startswith("text.") for name in known.cores
    )
    for name, weight in known.cores.items():
        np.testing.assert_allclose(learner.known.cores[name], weight, atol=1e-6)
        assert np.abs(weight - scene.bundle.matrix(name)).max() > 1e-4, "nothing was trained"
    assert learner.trained_numbers == sum(26**2 for _ in known.cores)


def test_paper_answers_by_both_adapted_towers(scene: Scene) -> None:
    learner, stone = scene.taught("paper", 1), scene.views[1]
    assert isinstance(learner, Gradient)
    tail = sessions.open_session(
        scene.bundle, "image_tail", 1, sessions.tail_weights(scene.bundle, "image", learner.known.merged(scene.bundle))
    )
    assert stone.tokens is not None
    pictures = everything(stone)
    embeddings = sessions.run(tail, {"tokens": stone.tokens[stone.place[pictures]].astype(np.float32)})[0]
    text = TextEncoder(scene.bundle, 1)
    anchors = text.anchors(text.tail(learner.known.merged(scene.bundle, ("text",))), stone.labels, "a photo of a {}.")
    np.testing.assert_allclose(learner.embeddings(stone, pictures), embeddings, atol=2e-5)
    np.testing.assert_allclose(learner.adapted_anchors(stone), anchors, atol=2e-5)
    logits = scene.bundle.manifest.logit_scale * embeddings @ anchors.T
    found = learner.answer([stone], stone, pictures).probabilities
    np.testing.assert_allclose(found, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=2e-3)
    assert np.abs(embeddings - stone.embeddings(pictures)).max() > 3e-4 and np.abs(anchors - stone.anchors).max() > 3e-4


@pytest.mark.parametrize(
    "name",
    [
        *("text-only", "text-full", "text-lora", "text-lora-matched", "text-top", "text-random"),
        "default",
        "head",
        "ridge",
    ],
)
def test_learners_without_an_image_tower_leave_image_embeddings_as_they_are(name: str, scene: Scene) -> None:
    learner = scene.taught(name, 2)
    assert not [array for array in learner.arrays() if array.startswith("image.")]
    if isinstance(learner, Gradient):
        cloth = scene.views[0]
        assert np.array_equal(learner.embeddings(cloth, everything(cloth)), cloth.embeddings(everything(cloth)))
        assert np.abs(learner.adapted_anchors(cloth) - cloth.anchors).max() > 1e-3


def test_text_forms_train_as_many_numbers_as_they_say(scene: Scene) -> None:
    method, matrices = scene.bundle.manifest.method, len(scene.bundle.matrices("text"))
    rank, width = method.max_rank["text"], scene.bundle.width("text")
    trained = {
        name: scene.taught(name, 1, steps=1).trained_numbers / matrices
        for name in ("text-full", "text-lora", "text-lora-matched", "text-top", "text-random")
    }
    assert trained["text-full"] == width**2 and trained["text-lora"] == 2 * width * rank
    assert trained["text-lora-matched"] == 2 * width * round(rank**2 / (2 * width))
    assert trained["text-top"] == trained["text-random"] == rank**2


def test_learners_without_image_tokens_fit_a_frozen_image_tower(scene: Scene) -> None:
    lite = Bundle.open(embedded_bundle())
    for entry in CATALOGUE.values():
        if not entry.needs_tokens:
            assert entry.make(lite, Options(steps=1)).trained_numbers == 0


def test_image_only_leaves_anchors_as_they_are(scene: Scene) -> None:
    learner, cloth = scene.taught("image-only", 1), scene.views[0]
    assert isinstance(learner, Gradient)
    assert np.array_equal(learner.adapted_anchors(cloth), cloth.anchors)
    assert np.abs(learner.embeddings(cloth, everything(cloth)) - cloth.embeddings(everything(cloth))).max() > 1e-3


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_learner_answers_with_probabilities_in_the_order_offered(name: str, scene: Scene) -> None:
    cloth, stone, sky = scene.views
    learner = scene.taught(name, 1 if CATALOGUE[name].needs_tokens else 2, steps=1)
    pictures = everything(stone)
    for offered in ([stone], [cloth, stone], [sky, stone, cloth]):
        found = learner.answer(offered, stone, pictures)
        assert found.probabilities.shape == (len(pictures), sum(len(view.labels) for view in offered))
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)
        assert found.novelty.shape == (len(pictures),) and np.isfinite(found.novelty).all()
    ab, ba = (learner.answer(offered, stone, pictures).probabilities for offered in ([cloth, stone], [stone, cloth]))
    np.testing.assert_allclose(ab, ba[:, [3, 4, 0, 1, 2]], atol=1e-5)
    assert learner.arrays() or name == "frozen"


@pytest.mark.parametrize("name", ["default", "head", "ridge", "ranpac", "ridge-taps", "offline", "sequential"])
def test_tasks_never_learned_are_answered_exactly_as_by_the_untouched_model(name: str, scene: Scene) -> None:
    sky = scene.views[2]
    expected = Frozen(scene.bundle).answer([sky], sky, everything(sky)).probabilities
    for tasks in (0, 1, 2):
        assert np.array_equal(scene.taught(name, tasks).answer([sky], sky, everything(sky)).probabilities, expected)


@pytest.mark.parametrize("name", ["ridge", "ranpac", "ridge-taps", "head", "offline"])
def test_heads_learn_what_they_are_taught(name: str, scene: Scene) -> None:
    cloth, stone, _ = scene.views
    learner = scene.taught(name, 2)
    shots = scene.material.shots["stone"]
    found = learner.answer([cloth, stone], stone, shots)
    assert (found.probabilities.argmax(axis=1) == 2 + stone.classes[shots]).mean() > 0.9


@pytest.mark.parametrize("name", ["ridge", "ranpac", "ridge-taps"])
def test_a_ridge_heads_sums_do_not_depend_on_the_order_of_tasks_or_pictures(name: str, scene: Scene) -> None:
    one, other = scene.learner(name), scene.learner(name)
    assert isinstance(one, RidgeHead) and isinstance(other, RidgeHead)
    for view in scene.views:
        one.learn(view, scene.material.shots[view.name], 0)
    for view in reversed(scene.views):
        other.learn(view, scene.material.shots[view.name][::-1], 1)
    assert one.head is not None and other.head is not None
    assert np.array_equal(one.head.gram, other.head.gram) and one.head.gram.any()
    assert np.array_equal(one.head.sums, other.head.sums[:, [5, 6, 2, 3, 4, 0, 1]])
    asked = scene.views[1]
    found, again = (learner.answer([asked], asked, everything(asked)).probabilities for learner in (one, other))
    np.testing.assert_allclose(found, again, atol=1e-9)


def products(scene: Scene, tasks: int, state: Path) -> knowledge.Knowledge:
    """What `edge-nusa learn` makes of all pictures of the sets, one task a set."""
    model = Model.open(MICRO, state, threads=1)
    settings = LearnSettings(recipe=replace(DEVICE, steps=STEPS), seed=SEED, is_forced=True)
    for name in list(SETS)[:tasks]:
        learn(model, folder_per_label(scene.folder / "data" / name), settings, lambda what, done, total: None)
    return stored.load(scene.bundle, model.state, DEVICE)[1]


@pytest.fixture
def _every_text_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps on few pictures add nothing, and it is the training that is looked at; of pictures that are not
    grouped, which moves them by a few 2^-10."""
    monkeypatch.setattr("edge_nusa.device.learning.learn.grouping", lambda folder: None)
    monkeypatch.setattr("edge_nusa.device.learning.text_trial.TextTrial.adds", True)
    monkeypatch.setattr("edge_nusa.device.learning.lesson.FEWEST_TO_HOLD_BACK", 2)
    monkeypatch.setattr("edge_nusa.device.learning.lesson.HELD_BACK_SHARE", 2)


@pytest.mark.kernels
@pytest.mark.usefixtures("_every_text_is_kept")
def test_default_learns_what_edge_nusa_learn_learns_from_the_same_files(scene: Scene, tmp_path: Path) -> None:
    product = products(scene, 2, tmp_path)
    learner = scene.learner("default")
    assert isinstance(learner, Default)
    for view in scene.views[:2]:
        learner.learn(view, everything(view), SEED)
    assert [f"{view.name} {name}" for view in scene.views[:2] for name in view.labels] == learner.known.names
    assert [name for view in scene.views[:2] for name in view.labels] == product.names
    assert np.array_equal(learner.known.head.gram, product.head.gram) and product.head.gram.any()
    assert np.array_equal(learner.known.head.sums, product.head.sums)
    assert np.array_equal(learner.known.head.counts, product.head.counts)
    for name, core in product.cores.items():
        assert np.abs(core).max() > 1e-4, "nothing was trained"
        np.testing.assert_allclose(learner.known.cores[name], core, atol=1e-5)
    assert np.abs(learner.known.fusion - product.fusion).max() <= len(learner.known.labels) * 20
    np.testing.assert_allclose(learner.known.frozen_anchors, product.frozen_anchors, atol=1e-1)


def test_default_answers_as_edge_nusa_predict_answers(scene: Scene, tmp_path: Path) -> None:
    products(scene, 2, tmp_path)
    learner = scene.learner("default")
    cloth, stone, _ = scene.views
    for view in (cloth, stone):
        view = replace(view, anchors=own_anchors(scene, view), hidden=own_hidden(scene, view))
        learner.learn(view, everything(view), SEED)
    paths = folder_per_label(scene.folder / "data" / "stone").paths
    answers = [
        answer
        for answer in Predictor(Model.open(MICRO, tmp_path, threads=1), [])(paths, None)
        if isinstance(answer, Prediction)
    ]
    by_name = [dict(answer.labels) for answer in answers]
    expected = np.array([[found[name] for name in (*cloth.labels, *stone.labels)] for found in by_name])
    found = learner.answer([cloth, stone], stone, everything(stone)).probabilities
    np.testing.assert_allclose(found, expected, atol=5e-3)


def own_hidden(scene: Scene, view: View) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The view's hidden states under all of the bundle's templates, as `learn` makes anchors from."""
    text = TextEncoder(scene.bundle, 1)
    return tuple(
        text.hidden([template.replace("{}", label) for label in view.labels])
        for template in scene.bundle.manifest.templates
    )


def own_anchors(scene: Scene, view: View) -> np.ndarray:
    text = TextEncoder(scene.bundle, 1)
    return text.anchors(text.tail({}), view.labels, None)


@pytest.mark.usefixtures("_every_text_is_kept")
def test_no_label_is_drawn_as_a_wrong_answer_to_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    hidden = TextEncoder.hidden

    def seen(self: TextEncoder, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        drawn.extend(prompts)
        return hidden(self, prompts)

    nouns = scene.bundle.vocabulary[0]
    view = replace(scene.views[0], labels=(nouns[0].upper(), nouns[1]))
    learner = scene.learner("default", steps=1)
    monkeypatch.setattr("edge_nusa.device.learning.lesson.NOUNS", len(nouns))
    monkeypatch.setattr(TextEncoder, "hidden", seen)
    learner.learn(view, scene.material.shots["cloth"], 0)
    assert sorted(drawn) == sorted(f"a photo of a {noun}." for noun in nouns[2:])


def written(arrays: Arrays) -> Arrays:
    """The arrays as they come back from a part file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with np.load(io.BytesIO(buffer.getvalue())) as found:
        return {name: found[name] for name in found.files}


@pytest.mark.parametrize(
    "name",
    [
        "frozen",
        "full",
        "milora",
        "paper",
        "text-only",
        "text-lora",
        "text-full",
        "ridge",
        "ranpac",
        "offline",
        "sequential",
        "head",
        "default",
    ],
)
def test_a_restored_learner_answers_and_goes_on_exactly_as_the_one_that_was_kept(name: str, scene: Scene) -> None:
    kept, restored = scene.taught(name, 2, steps=1), scene.learner(name, steps=1)
    asked = scene.views[1]
    restored.answer(scene.views[:2], asked, everything(asked))
    restored.restore(written(kept.arrays()), scene.views[:2])
    for turn in ("before", "after"):
        for offered in (scene.views[:2], [asked], scene.views):
            one, other = (learner.answer(offered, asked, everything(asked)) for learner in (kept, restored))
            assert np.array_equal(one.probabilities, other.probabilities) and np.array_equal(one.novelty, other.novelty)
        if turn == "before":
            for learner in (kept, restored):
                learner.learn(scene.views[2], scene.material.shots["sky"], SEED)
    one_state, other_state = kept.arrays(), restored.arrays()
    assert list(one_state) == list(other_state)
    assert all(np.array_equal(array, other_state[array_name]) for array_name, array in one_state.items())


@pytest.mark.usefixtures("_every_text_is_kept")
@pytest.mark.parametrize("name", ["lora", "random", "text-only", "default"])
def test_gradient_learners_change_by_training_and_the_same_seed_gives_the_same(name: str, scene: Scene) -> None:
    states = [scene.taught(name, 1, steps=2).arrays() for _ in range(2)]
    assert all(np.array_equal(array, states[1][key]) for key, array in states[0].items())
    other = scene.learner(name, steps=2)
    other.learn(scene.views[0], scene.material.shots["cloth"], SEED + 1)
    changed = [
        key
        for key, array in states[0].items()
        if key.startswith(("image.", "text.")) and not np.array_equal(array, other.arrays()[key])
    ]
    assert changed


def test_a_rate_of_zero_is_a_rate_and_trains_nothing(scene: Scene) -> None:
    learner = CATALOGUE["text-only"].make(scene.bundle, Options(steps=2, rate=0.0))
    scene.teach(learner, 1)
    assert learner.arrays()
    for name, weight in learner.arrays().items():
        np.testing.assert_allclose(weight, scene.bundle.matrix(name), atol=1e-6)


@pytest.mark.parametrize("blocks", [1, 2])
def test_fewer_image_blocks_change_only_the_last_of_them(blocks: int, scene: Scene, tmp_path: Path) -> None:
    cut = material(scene.bundle, tmp_path, {"cloth": SETS["cloth"]}, image_blocks=blocks)
    learner = CATALOGUE["paper"].make(scene.bundle, Options(steps=1, image_blocks=blocks))
    assert isinstance(learner, Gradient)
    view = cut.views["cloth"]
    before = learner.embeddings(view, everything(view))
    learner.learn(view, cut.shots["cloth"], 0)
    found = {name.split(".")[1] for name in learner.arrays() if name.startswith("image.")}
    assert found == {str(block) for block in range(6 - blocks, 6)}
    after = learner.embeddings(view, everything(view))
    assert 1e-5 < np.abs(after - before).max() < 0.2
    assert scene.bundle.manifest.image.tail_blocks == 6, "the shared bundle was changed"


def test_hidden_states_of_several_tasks_are_padded_to_the_longest() -> None:
    one, other = np.ones((2, 3, 4)), 2 * np.ones((1, 5, 4))
    hidden, last = stacked([(one, np.array([1, 2])), (other, np.array([4]))])
    assert hidden.shape == (3, 5, 4) and last.tolist() == [1, 2, 4]
    assert np.array_equal(hidden[:2, :3], one) and not hidden[:2, 3:].any() and np.array_equal(hidden[2:], other)


def test_learners_are_chosen_by_name_once_and_unknown_ones_are_named() -> None:
    assert catalogue.chosen("all") == list(CATALOGUE)
    assert catalogue.chosen(" ridge,frozen, ridge,") == ["ridge", "frozen"]
    with pytest.raises(UsageError, match=r"--learners: there is no bird, cat; expected `all` or some of frozen, full"):
        catalogue.chosen("ridge,cat,bird")
    with pytest.raises(UsageError, match="there is no learner in an empty list"):
        catalogue.chosen(" , ")
