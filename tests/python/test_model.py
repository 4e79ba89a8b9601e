"""`edge_nusa.Model`: one picture in any form, kept open, from any thread."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO
from PIL import Image

import edge_nusa
from edge_nusa import Model, Picture
from edge_nusa.device.asking import resident
from edge_nusa.device.asking.predict import Prediction
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning.given import LearnOptions, settings_of, task_of
from edge_nusa.errors import InputError, RefusedError, UsageError
from edge_nusa.knowledge.recipes import DEVICE, PAPER
from edge_nusa.model import sessions
from edge_nusa.pictures.picture import Decoded, sources
from edge_nusa.pictures.pictures import Quarantined, find_pictures


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.open(MICRO, tmp_path / "state", threads=1)


@pytest.fixture
def knows_two(model: Model, pictures: DemoPictures) -> Model:
    model.learn({one: pictures.taught[one] for one in ("gravel", "lawn grass")}, head_only=True)
    return model


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def forms(path: Path) -> dict[str, Any]:
    """One picture in every form."""
    image = Image.open(path)
    data = io.BytesIO()
    image.convert("RGBA").save(data, "PNG")
    return {
        "text": str(path),
        "path": path,
        "bytes": path.read_bytes(),
        "image": image,
        "image with transparency": Image.open(data),
        "array": np.asarray(image.convert("RGB")),
        "array of another layout": np.asfortranarray(np.asarray(image.convert("RGB"))),
        "picture": Picture(path.read_bytes(), "mine"),
    }


def test_every_form_of_a_picture_has_the_same_answer_and_features(knows_two: Model, pictures: DemoPictures) -> None:
    path = files(pictures.asked["gravel"])[0]
    found = {form: knows_two.predict(given) for form, given in forms(path).items()}
    assert {one.labels for one in found.values()} == {found["path"].labels}
    assert {form: one.image for form, one in found.items() if one.image != "picture 1"} == {
        "text": str(path),
        "path": str(path),
        "picture": "mine",
    }
    rows = knows_two.features(list(forms(path).values()))
    assert rows.dtype == np.float32 and rows.shape == (8, knows_two.bundle.manifest.image.taps + 1)
    assert (rows == rows[0]).all() and np.isclose((rows[0, :-1] ** 2).mean(), 1, atol=1e-3) and rows[0, -1] == 1


def test_several_pictures_keep_their_order_and_one_that_is_none_says_why(
    knows_two: Model, pictures: DemoPictures
) -> None:
    gravel, grass = (files(pictures.asked[one])[0] for one in ("gravel", "lawn grass"))
    first, second, third, fourth = knows_two.predict([gravel, b"rubbish", Picture(b"", "void"), grass])
    assert isinstance(first, Prediction) and isinstance(fourth, Prediction)
    assert (first.best, fourth.best) == ("gravel", "lawn grass")
    assert isinstance(second, Quarantined) and second.image == "picture 2"
    assert second.reason.startswith("expected the content of a JPEG")
    assert isinstance(third, Quarantined) and (third.image, third.reason[:30]) == (
        "void",
        "expected 1 to 50331648 bytes, ",
    )
    assert knows_two.predict([]) == []


def test_one_picture_alone_that_is_none_raises(knows_two: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="picture 1: expected the content of a JPEG"):
        knows_two.predict(b"rubbish")
    with pytest.raises(InputError, match=r"gone\.jpg: expected a picture, found no such file"):
        knows_two.predict(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="picture 2: expected the content of a JPEG"):
        knows_two.features([np.full((8, 8, 3), 7, np.uint8), b"rubbish"])


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (np.zeros((4, 4), np.uint8), "one of uint8 4x4"),
        (np.zeros((4, 4, 4), np.uint8), "one of uint8 4x4x4"),
        (np.zeros((3, 4, 4), np.uint8), "one of uint8 3x4x4"),
        (np.zeros((4, 4, 3), np.float32), "one of float32 4x4x3"),
        (np.zeros((0, 4, 3), np.uint8), "one of uint8 0x4x3"),
    ],
)
def test_an_array_that_is_no_picture_is_told_its_shape_and_the_way_out(
    model: Model, given: np.ndarray, found: str
) -> None:
    with pytest.raises(
        InputError, match=rf"'picture 1': expected an array \(H, W, 3\) of uint8 .* found {found}; convert"
    ):
        model.predict(given, ["cat"])


def test_what_is_no_picture_at_all_is_told_the_forms(model: Model) -> None:
    with pytest.raises(InputError, match="'picture 2': expected a path, the bytes of a picture file, .* found 'int'"):
        model.predict(["a.jpg", 7], ["cat"])  # type: ignore[list-item]


def test_one_label_may_be_offered_as_a_text(model: Model, pictures: DemoPictures) -> None:
    assert [one.label for one in model.predict(files(pictures.asked["gravel"])[0], "gravel").labels] == ["gravel"]


@pytest.mark.parametrize("given", [5, None, {"a": "b"}])
def test_what_is_neither_a_picture_nor_a_list_is_told_what_is(model: Model, given: Any) -> None:
    with pytest.raises(InputError, match="expected a picture or a list of pictures, each a path, .* found '"):
        model.predict(given, ["cat"])


@pytest.mark.parametrize("given", [["a"], "a", 5])
def test_pictures_without_a_label_are_told_the_form(model: Model, given: Any) -> None:
    with pytest.raises(InputError, match="expected labels with their pictures, such as .* found '.*'; name a label"):
        model.learn(given)


def test_pictures_in_memory_have_the_bounds_of_files(model: Model) -> None:
    long = np.zeros((2, 101, 3), np.uint8)
    with pytest.raises(InputError, match="picture 1: expected sides of at most 50 to 1, found 101 x 2"):
        model.predict(long, ["cat"])
    with pytest.raises(
        InputError, match="picture 1: expected a picture of grey or colours, found an image of the mode F"
    ):
        model.predict(Image.new("F", (8, 8)), ["cat"])


def test_an_image_is_turned_by_its_exif_and_left_as_it_was(model: Model, pictures: DemoPictures) -> None:
    path = files(pictures.asked["gravel"])[0]
    upright = Image.open(path).convert("RGB")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    data = io.BytesIO()
    turned.save(data, "PNG", exif=turned.getexif())
    given = Image.open(data)
    before = given.size, given.getexif()[0x0112]
    assert np.array_equal(model.features(given), model.features(upright))
    assert (given.size, given.getexif()[0x0112]) == before


def test_a_damaged_image_of_pillow_is_set_aside_with_its_reason(model: Model, pictures: DemoPictures) -> None:
    whole = files(pictures.asked["gravel"])[0].read_bytes()
    cut = Image.open(io.BytesIO(whole[: len(whole) // 2]))
    with pytest.raises(InputError, match="picture 1: expected a whole picture, found it cut or damaged"):
        model.predict(cut, ["cat"])


def test_a_lesson_takes_every_form_and_what_it_taught_is_known_again(model: Model, pictures: DemoPictures) -> None:
    gravel, grass = files(pictures.taught["gravel"]), files(pictures.taught["lawn grass"])
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in grass]
    given: dict[str, Any] = {"gravel": [path.read_bytes() for path in gravel], "lawn grass": arrays}
    report = model.learn(given, head_only=True)
    assert {row.label: row.images for row in report.labels} == {"gravel": 8, "lawn grass": 8}
    assert model.generation == 1
    again = model.learn(given, head_only=True)
    assert not again.labels and len(again.quarantined) == 16 and model.generation == 1
    assert {one.reason for one in again.quarantined} == {
        "taught before as 'gravel'; --again teaches it once more",
        "taught before as 'lawn grass'; --again teaches it once more",
    }
    same_files = model.learn({"gravel": pictures.taught["gravel"]}, head_only=True)
    assert not same_files.labels, "the bytes of a file are the file"


def test_the_same_array_twice_counts_once(model: Model, pictures: DemoPictures) -> None:
    array = np.asarray(Image.open(files(pictures.taught["gravel"])[0]).convert("RGB"))
    report = model.learn({"gravel": [array, array.copy()]}, head_only=True)
    assert report.labels[0].images == 1
    assert [(one.image, one.reason[:35]) for one in report.quarantined] == [
        ("picture 2", "the same file was given before in t")
    ]


def test_arrays_of_the_same_bytes_and_another_shape_are_two_pictures(pictures: DemoPictures) -> None:
    array = np.asarray(Image.open(files(pictures.taught["gravel"])[0]).convert("RGB"))
    other = array.reshape(array.shape[0] * 2, array.shape[1] // 2, 3)
    one, two = task_of({"x": [array, other]}).pictures
    assert one.sha256 != two.sha256  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "expected labels that differ, each with its pictures, found none; merge"),
        ({"cup": b"x", "Cup": b"y"}, "expected labels that differ, each with its pictures, found cup, Cup; merge"),
        ({"cup": []}, r"no pictures for the label .cup.; give at least one: a path"),
    ],
)
def test_a_lesson_without_labels_or_pictures_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        task_of(given)


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no pictures for the label .cup. \(.*notes\.txt: not a picture by its name"):
        task_of({"cup": tmp_path})


@pytest.mark.parametrize(
    ("options", "attribute", "value"),
    [
        ({"head_only": True}, "is_head_only", True),
        ({"force": True}, "is_forced", True),
        ({"dry_run": True}, "is_dry_run", True),
        ({"again": True}, "is_again", True),
        ({"seed": 3}, "seed", 3),
        ({"template": "a {}"}, "template", "a {}"),
        ({"wait_seconds": 2.5}, "wait_seconds", 2.5),
        ({"recipe": "paper"}, "recipe", PAPER),
        ({}, "recipe", DEVICE),
    ],
)
def test_each_choice_of_a_lesson_reaches_its_settings(options: LearnOptions, attribute: str, value: Any) -> None:
    assert getattr(settings_of(**options), attribute) == value
    assert getattr(settings_of(), attribute) != value or not options


def test_a_choice_that_there_is_not_is_refused_before_anything_is_taught(model: Model, pictures: DemoPictures) -> None:
    with pytest.raises(UsageError, match="learn: expected recipe, head_only, .*, found dryrun$"):
        model.learn({"gravel": pictures.taught["gravel"]}, dryrun=True)  # type: ignore[call-arg]
    for steps in (0, -5):
        with pytest.raises(UsageError, match=f"learn: expected at least 1 of steps, found {steps}; leave it out"):
            settings_of(steps=steps)
    assert model.generation == 0


def test_steps_are_the_recipes_unless_given() -> None:
    assert (settings_of(steps=7).recipe.steps, settings_of(steps=None).recipe.steps) == (7, DEVICE.steps)
    with pytest.raises(UsageError, match="there is no recipe 'cake'"):
        settings_of(recipe="cake")


def test_the_trunk_is_opened_once_and_anchors_again_for_a_new_generation(
    model: Model, pictures: DemoPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = sessions.open_session

    def counted(bundle: Any, name: str, *rest: Any) -> Any:
        opened.append(name)
        return real(bundle, name, *rest)

    monkeypatch.setattr(sessions, "open_session", counted)
    model.learn({"gravel": pictures.taught["gravel"]}, head_only=True)
    assert opened.count("image_trunk") == 1, "a lesson alone lets go of it"
    path = files(pictures.asked["lawn grass"])[0]
    for _ in range(3):
        assert model.predict(path).best != "lawn grass"
    model.learn({"lawn grass": pictures.taught["lawn grass"]}, head_only=True)
    assert model.predict(path).best == "lawn grass"
    model.undo()
    assert model.predict(path).best != "lawn grass"
    assert opened.count("image_trunk") == 2


def test_what_another_program_learns_is_answered_at_once(knows_two: Model, pictures: DemoPictures) -> None:
    path = files(pictures.asked["brick wall"])[0]
    assert knows_two.predict(path).best is None
    other = Model.open(MICRO, knows_two.state.folder, threads=1)
    other.learn({"brick wall": pictures.taught["brick wall"]}, head_only=True)
    assert knows_two.predict(path).best == "brick wall"


def test_two_questions_stay_open_and_the_oldest_goes(knows_two: Model, pictures: DemoPictures) -> None:
    path = files(pictures.asked["gravel"])[0]
    first = knows_two._resident.predictor(knows_two, [])
    for labels in (["cat"], [], ["dog"], []):
        knows_two.predict(path, labels)
    assert knows_two._resident.predictor(knows_two, []) is first
    assert len(knows_two._resident._predictors) == resident.MOST_KEPT == 2
    assert list(knows_two._resident._predictors) == [("dog",), ()]


def test_labels_are_offered_once_each(knows_two: Model, pictures: DemoPictures) -> None:
    found = knows_two.predict(files(pictures.asked["gravel"])[0], ["cat", "Cat", "gravel"], top=2)
    assert len(found.labels) == 2
    assert {one.label for one in knows_two.predict(files(pictures.asked["gravel"])[0], ["cat", "Cat"]).labels} == {
        "gravel",
        "lawn grass",
        "cat",
    }


def test_an_offered_label_is_answered_as_it_was_written_whatever_was_asked_before(
    knows_two: Model, pictures: DemoPictures
) -> None:
    path = files(pictures.others["cat"])[0] if pictures.others["cat"].is_dir() else pictures.others["cat"]
    for name in ("Cat", "cat", "CAT"):
        assert name in {one.label for one in knows_two.predict(path, [name]).labels}


def test_pictures_without_a_name_are_numbered_over_all_labels_of_a_lesson(pictures: DemoPictures) -> None:
    data = files(pictures.taught["gravel"])[0].read_bytes()
    assert [str(path) for path in task_of({"a": [data, data], "b": data}).paths] == [
        "picture 1",
        "picture 2",
        "picture 3",
    ]


def test_pictures_of_a_lesson_are_not_all_decoded_at_once(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 48), (9, 8, 7))
    source = sources([image])[0]
    assert isinstance(source, Decoded)
    digest = source.sha256
    held = [one for one in vars(source).values() if isinstance(one, Image.Image)]
    assert digest == source.sha256 and len(held) == 1 and held[0] is image


def test_it_answers_from_other_threads_while_a_lesson_runs(knows_two: Model, pictures: DemoPictures) -> None:
    path, stop, answers, faults = files(pictures.asked["gravel"])[0], threading.Event(), [], []

    def ask() -> None:
        try:
            while not stop.is_set():
                answers.append(knows_two.predict(path).best)
        except BaseException as error:  # noqa: BLE001 - told below
            faults.append(error)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    heads: list[int] = []
    report = knows_two.learn(
        {"brick wall": pictures.taught["brick wall"]}, on_head=lambda r: heads.append(r.generation), steps=2
    )
    stop.set()
    for one in asking:
        one.join()
    assert not faults and set(answers) == {"gravel"} and len(answers) > 3
    assert heads and heads[0] <= report.generation


def test_a_refused_lesson_changes_nothing_and_force_keeps_it(model: Model, pictures: DemoPictures) -> None:
    mixed = [path for one in ("gravel", "brick wall", "lawn grass") for path in files(pictures.taught[one])]
    shuffled = {name: mixed[place::4] for place, name in enumerate(("one", "two", "three", "four"))}
    with pytest.raises(RefusedError, match="mixed up"):
        model.learn(shuffled, head_only=True)
    assert model.generation == 0
    assert model.learn(shuffled, head_only=True, force=True).generation == model.generation == 1


def test_importing_the_package_knows_its_public_names_and_no_others() -> None:
    assert edge_nusa.__all__ == ["Model", "Picture", "__version__"]
    assert all(getattr(edge_nusa, name) for name in edge_nusa.__all__)
    with pytest.raises(AttributeError, match="has no attribute Modle"):
        edge_nusa.Modle  # noqa: B018 - to ask is to load it


def test_a_path_that_was_found_in_a_folder_is_still_opened_from_there(pictures: DemoPictures) -> None:
    found, _ = find_pictures(pictures.taught["gravel"])
    assert all(given is kept for given, kept in zip(found, sources(found), strict=True))
