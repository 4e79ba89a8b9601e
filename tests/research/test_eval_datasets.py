"""The sets of `edge-nusa eval` in plain folders: names, splits, what is drawn from them, and the orders they are
learned in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_nusa.errors import InputError, UsageError
from edge_nusa.research.data.datasets import (
    DataSet,
    content_digest,
    find_sets,
    limit_test,
    named,
    open_picture,
    take_shots,
)
from edge_nusa.research.protocol.orders import ORDER_I, ORDER_II, orders_of


def put(folder: Path, *names: str) -> None:
    """Files that are pictures by their names; listing opens none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def numbered(count: int) -> list[str]:
    return [f"{index:03}.png" for index in range(count)]


def names_of(dataset: DataSet, indices: Sequence[int] | np.ndarray) -> list[str]:
    return [Path(str(dataset.pictures[index])).name for index in indices]


def held_out_names(dataset: DataSet) -> set[str]:
    return set(names_of(dataset, np.flatnonzero(dataset.is_test)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """pets (two classes of ten), tools (three of five), no classes.json."""
    for name in ("cat", "guinea_pig"):
        put(tmp_path / "pets" / name, *numbered(10))
    for name in ("axe", "file", "saw"):
        put(tmp_path / "tools" / name, *numbered(5))
    return tmp_path


def one(root: Path, name: str) -> DataSet:
    (dataset,) = find_sets(root, [name])
    return dataset


def test_all_sets_come_sorted_and_loose_files_are_none(root: Path) -> None:
    put(root, "README.md", "pretrain.zip")
    (root / ".hidden" / "a").mkdir(parents=True)
    (root / "no_classes").mkdir()
    assert [dataset.name for dataset in find_sets(root, None)] == ["pets", "tools"]


def test_named_sets_come_in_the_order_of_their_names(root: Path) -> None:
    assert [dataset.name for dataset in find_sets(root, ["tools", "pets", "tools"])] == ["tools", "pets"]


def test_a_set_without_names_takes_its_folders_with_spaces(root: Path) -> None:
    pets = one(root, "pets")
    assert pets.labels == ("cat", "guinea pig")
    assert pets.templates == ("a photo of a {}.",)
    assert pets.classes.tolist() == [0] * 10 + [1] * 10
    assert pets.classes.dtype == np.int64
    assert all(
        str(path).endswith(f"pets/cat/{name}") for path, name in zip(pets.pictures[:10], numbered(10), strict=True)
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"template": "my {}!"}, ("my {}!",)),
        ({"templates": ["my {}!", "the {}"]}, ("my {}!", "the {}")),
    ],
)
def test_names_and_templates_come_from_classes_json(
    root: Path, words: dict[str, object], expected: tuple[str, ...]
) -> None:
    entry = {**words, "classes": {"guinea_pig": "cavy", "cat": "house cat"}}
    (root / "classes.json").write_text(json.dumps({"pets": entry, "absent": {}}))
    assert (one(root, "pets").labels, one(root, "pets").templates) == (("house cat", "cavy"), expected)
    assert one(root, "tools").labels == ("axe", "file", "saw")


GOOD = {"cat": "cat", "guinea_pig": "cavy"}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"template": "a {}", "classes": {"cat": "cat"}}, "missing none, and not named guinea_pig"),
        ({"template": "a {}", "classes": {**GOOD, "dog": "dog"}}, "missing dog, and not named none"),
        ({"template": "a photo", "classes": GOOD}, r"one {} for the class name, found 'a photo'"),
        ({"templates": ["a {}", "{} {}"], "classes": GOOD}, r"found '{} {}'"),
        ({"templates": [], "classes": GOOD}, "an entry like"),
        ({"classes": GOOD}, "an entry like"),
        ({"template": "a {}", "classes": {"cat": 3, "guinea_pig": "cavy"}}, "an entry like"),
        ({"template": "a {}", "classes": {"cat": " ", "guinea_pig": "cavy"}}, "an entry like"),
        ({"template": "a {}", "classes": {"cat": "pet", "guinea_pig": "pet"}}, "'pet' twice"),
        (7, "an entry like"),
    ],
)
def test_an_entry_that_does_not_fit_its_set_is_refused(root: Path, entry: object, text: str) -> None:
    (root / "classes.json").write_text(json.dumps({"pets": entry}))
    with pytest.raises(InputError, match=text):
        find_sets(root, ["pets"])


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_classes_json_that_is_none_is_refused(root: Path, text: str) -> None:
    (root / "classes.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="classes.json: expected"):
        find_sets(root, None)


def test_an_unknown_set_a_missing_root_and_a_root_without_sets_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="sets out of pets, tools, found plants"):
        find_sets(root, ["pets", "plants"])
    with pytest.raises(InputError, match="found none; check the path"):
        find_sets(root / "nowhere", None)
    with pytest.raises(InputError, match=r"pets: expected a .*, found one set with class folders such as cat; give"):
        find_sets(root / "pets", None)
    (root / "none").mkdir()
    with pytest.raises(InputError, match="sets out of none"):
        find_sets(root / "none", None)
    (root / "empty" / "class").mkdir(parents=True)
    with pytest.raises(InputError, match="empty: expected pictures in a sub-folder for each class"):
        find_sets(root, ["empty"])


@pytest.mark.parametrize(
    ("parts", "is_one"),
    [(("train", "test"), True), (("train", "val", "test"), True), (("train", "val"), True), (("test", "val"), False),
     (("train",), False), (("train", "test", "birds"), False)],
)  # fmt: skip
def test_the_folder_of_one_set_is_no_folder_of_sets(parts: tuple[str, ...], is_one: bool, tmp_path: Path) -> None:
    for part in parts:
        for name in ("a", "b"):
            put(tmp_path / part / name, *numbered(5))
    if not is_one:
        assert [dataset.name for dataset in find_sets(tmp_path, None)] == sorted(parts)
        return
    with pytest.raises(
        InputError, match=f"found one set with the parts {', '.join(sorted(parts))}; give the folder above"
    ):
        find_sets(tmp_path, None)


def test_by_lot_four_of_ten_are_for_the_test_and_stay_so(root: Path) -> None:
    pets = one(root, "pets")
    assert [int(pets.is_test[pets.classes == label].sum()) for label in (0, 1)] == [4, 4]
    cats = [
        name
        for name, label in zip(names_of(pets, np.flatnonzero(pets.is_test)), pets.classes[pets.is_test], strict=True)
        if label == 0
    ]
    assert cats == ["005.png", "006.png", "007.png", "009.png"]


def test_by_lot_a_class_is_split_whatever_the_others_are(root: Path) -> None:
    before = one(root, "pets")
    put(root / "pets" / "ant", *numbered(7))
    after = one(root, "pets")
    assert after.is_test[7:].tolist() == before.is_test.tolist()


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (3, 1), (4, 2), (100, 40)])
def test_by_lot_both_kinds_get_a_picture(tmp_path: Path, count: int, held_out: int) -> None:
    put(tmp_path / "set" / "a", *numbered(count))
    assert int(one(tmp_path, "set").is_test.sum()) == held_out


def test_a_class_of_one_picture_is_refused(root: Path) -> None:
    put(root / "pets" / "dog", "only.png")
    with pytest.raises(InputError, match="class 'dog': expected pictures to train and to test on, found 0 and 1"):
        find_sets(root, ["pets"])


def test_prefixes_split_and_val_is_left_out(tmp_path: Path) -> None:
    put(tmp_path / "set" / "a", "train_1.png", "val_2.png", "test_3.png", "train_4.png")
    put(tmp_path / "set" / "b", "train_1.png", "test_3.png")
    dataset = one(tmp_path, "set")
    assert names_of(dataset, range(5)) == ["test_3.png", "train_1.png", "train_4.png", "test_3.png", "train_1.png"]
    assert dataset.is_test.tolist() == [True, False, False, True, False]


def test_a_set_split_by_prefix_must_be_so_throughout(tmp_path: Path) -> None:
    put(tmp_path / "set" / "a", "train_1.png", "test_3.png")
    put(tmp_path / "set" / "b", "train_1.png", "train_2.png")
    with pytest.raises(InputError, match="class 'b'.*found 2 and 0"):
        find_sets(tmp_path, None)
    put(tmp_path / "set" / "b", "stray.png")
    with pytest.raises(InputError, match="stray.png: expected a name with train_"):
        find_sets(tmp_path, None)


def test_a_class_of_trains_is_no_split(tmp_path: Path) -> None:
    put(tmp_path / "vehicles" / "train", *[f"train_{index}.png" for index in range(5)])
    put(tmp_path / "vehicles" / "boat", *numbered(5))
    assert int(one(tmp_path, "vehicles").is_test.sum()) == 4


def test_classes_named_train_and_test_are_no_split(tmp_path: Path) -> None:
    for name in ("train", "test"):
        put(tmp_path / "words" / name, *numbered(5))
    assert one(tmp_path, "words").labels == ("test", "train")


def test_a_test_folder_without_classes_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train" / "a", *numbered(5))
    put(tmp_path / "set" / "test", *numbered(5))
    with pytest.raises(InputError, match="class 'a'.*found 5 and 0"):
        find_sets(tmp_path, None)


@pytest.mark.parametrize("test", ["test", "val"])
def test_folders_split_as_they_say(tmp_path: Path, test: str) -> None:
    for part, count in (("train", 3), (test, 2)):
        for name in ("a", "b"):
            put(tmp_path / "set" / part / name, *[f"{part}{index}.png" for index in range(count)])
    dataset = one(tmp_path, "set")
    assert dataset.labels == ("a", "b")
    assert held_out_names(dataset) == {f"{test}0.png", f"{test}1.png"}
    assert dataset.classes.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]


def test_beside_test_val_is_left_out_and_a_fourth_folder_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        put(tmp_path / "set" / part / "a", f"{part}.png")
    assert set(names_of(one(tmp_path, "set"), range(2))) == {"train.png", "test.png"}
    assert len(one(tmp_path, "set").pictures) == 2
    put(tmp_path / "set" / "extra" / "a", "x.png")
    with pytest.raises(InputError, match="expected only the folders train, val and test.*found extra"):
        find_sets(tmp_path, None)


def test_files_that_are_no_pictures_are_left_out(root: Path) -> None:
    put(root / "pets" / "cat", "notes.txt", ".DS_Store")
    assert len(one(root, "pets").pictures) == 20


@pytest.fixture
def hundred() -> DataSet:
    """Three classes with 40, 30 and 30 pictures, every second one for the test; they are strings, which drawing
    never opens."""
    classes = np.repeat([0, 1, 2], [40, 30, 30])
    return DataSet(
        name="set",
        labels=("a", "b", "c"),
        templates=("{}",),
        pictures=[Path(str(i)) for i in range(100)],
        classes=classes,
        is_test=np.arange(100) % 2 == 1,
    )


def test_shots_are_training_pictures_of_every_class(hundred: DataSet) -> None:
    shots = take_shots(hundred, 5, seed=0)
    assert hundred.classes[shots].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert not hundred.is_test[shots].any()
    assert len(set(shots.tolist())) == 15


def test_fewer_shots_are_the_first_of_more_and_none_means_all(hundred: DataSet) -> None:
    few, many = take_shots(hundred, 5, seed=3), take_shots(hundred, 12, seed=3)
    for label in range(3):
        assert few[hundred.classes[few] == label].tolist() == many[hundred.classes[many] == label].tolist()[:5]
    everything = np.flatnonzero(~hundred.is_test).tolist()
    assert sorted(take_shots(hundred, 0, seed=3).tolist()) == everything
    assert sorted(take_shots(hundred, 1000, seed=3).tolist()) == everything


def test_the_seed_alone_draws_the_shots(hundred: DataSet) -> None:
    assert take_shots(hundred, 3, seed=1).tolist() == [20, 18, 0, 44, 56, 62, 96, 88, 72]
    assert take_shots(hundred, 3, seed=2).tolist() != take_shots(hundred, 3, seed=1).tolist()


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(3, [1, 1, 1]), (30, [10, 10, 10]), (48, [18, 15, 15]), (0, [20, 15, 15]), (99, [20, 15, 15])],
)
def test_a_limited_test_is_even_over_the_classes(hundred: DataSet, limit: int, expected: list[int]) -> None:
    kept = limit_test(hundred, limit, seed=0)
    assert np.bincount(hundred.classes[kept], minlength=3).tolist() == expected
    assert hundred.is_test[kept].all()
    assert kept.tolist() == sorted(set(kept.tolist()))


def test_a_smaller_limit_keeps_a_part_and_no_class_comes_first_by_right(hundred: DataSet) -> None:
    assert set(limit_test(hundred, 7, seed=0).tolist()) < set(limit_test(hundred, 31, seed=0).tolist())
    assert {int(hundred.classes[limit_test(hundred, 1, seed)][0]) for seed in range(20)} == {0, 1, 2}


def test_numbers_below_zero_are_refused(hundred: DataSet) -> None:
    with pytest.raises(InputError, match="shots: expected 0"):
        take_shots(hundred, -1, seed=0)
    with pytest.raises(InputError, match="test pictures: expected 0"):
        limit_test(hundred, -1, seed=0)


def test_pictures_open_as_rgb_from_a_file_and_from_pixels(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colour = np.stack([grey, grey + 100, grey + 200], axis=2)
    Image.fromarray(colour).save(tmp_path / "a.png")
    for picture, expected in (
        (tmp_path / "a.png", colour),
        (colour[:, ::-1], colour[:, ::-1]),
        (grey, np.stack([grey] * 3, axis=2)),
    ):
        opened = open_picture(picture)
        assert opened.mode == "RGB"
        assert np.array_equal(np.asarray(opened), expected)
    with pytest.raises(InputError, match="expected 1 to 10 pixels"):
        open_picture(tmp_path / "a.png", max_pixels=10)


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"abc")
    (tmp_path / "b.png").write_bytes(b"abc")
    assert (
        content_digest(tmp_path / "a.png") == content_digest(tmp_path / "b.png") == hashlib.sha256(b"abc").hexdigest()
    )
    pixels = np.arange(12, dtype=np.uint8)
    digests = [
        content_digest(array) for array in (pixels.reshape(3, 4), pixels.reshape(4, 3), pixels.reshape(3, 4)[::-1])
    ]
    assert len(set(digests)) == 3
    assert content_digest(np.asfortranarray(pixels.reshape(3, 4))) == digests[0]
    with pytest.raises(InputError, match="gone.png: expected a picture, found no such file"):
        content_digest(tmp_path / "gone.png")


def test_the_published_orders_are_permutations_of_the_same_eleven() -> None:
    assert sorted(ORDER_I) == sorted(ORDER_II) == list(ORDER_I)
    assert len(set(ORDER_I)) == 11
    assert orders_of(ORDER_II, "I") == [("I", ORDER_I)]


def test_a_published_order_skips_what_is_absent_and_knows_no_other_set() -> None:
    assert orders_of(["aircraft", "mnist", "stanford_cars"], "II") == [("II", ("stanford_cars", "mnist", "aircraft"))]
    with pytest.raises(UsageError, match=r"found trashnet \(missing: aircraft, caltech101, .*sun397\)"):
        orders_of(["trashnet", "mnist"], "I")


def test_the_given_order_is_the_one_of_the_names() -> None:
    assert orders_of(["b", "a"], "given") == [("given", ("b", "a"))]


def test_random_orders_are_distinct_permutations_that_stay_the_same() -> None:
    names = ["a", "b", "c", "d"]
    orders = orders_of(names, "random:10")
    assert [name for name, _ in orders] == [f"random:{index}" for index in range(10)]
    assert len({order for _, order in orders}) == 10
    assert all(sorted(order) == names for _, order in orders)
    assert orders == orders_of(names[::-1], "random:10")
    assert orders[:3] == orders_of(names, "random:3")
    assert [order for _, order in orders[:3]] == [("d", "c", "a", "b"), ("c", "b", "a", "d"), ("d", "b", "a", "c")]


@pytest.mark.parametrize(("count", "expected"), [(5, 5), (6, 6), (1000, 6)])
def test_where_fewer_orders_exist_all_come(count: int, expected: int) -> None:
    assert len({order for _, order in orders_of(["a", "b", "c"], f"random:{count}")}) == expected


def test_an_order_comes_from_a_file_and_is_named_after_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("b\n\n a \n")
    assert orders_of(["a", "b"], str(tmp_path / "mine.txt")) == [("mine", ("b", "a"))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n", "missing: b; unknown or twice: none"),
        ("a\nb\nc\n", "missing: none; unknown or twice: c"),
        ("a\nb\nb\n", "missing: none; unknown or twice: b"),
    ],
)
def test_a_file_without_exactly_the_sets_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(UsageError, match=expected):
        orders_of(["a", "b"], str(tmp_path / "mine.txt"))


@pytest.mark.parametrize("word", ["III", "random", "random:-1", "random:x", "nowhere.txt", ""])
def test_any_other_word_is_refused_with_the_forms(word: str) -> None:
    with pytest.raises(UsageError, match="expected I, II, given, random:N or the path of a text file"):
        orders_of(["a", "b"], word)


@pytest.mark.parametrize("word", ["random:0", "random:1001"])
def test_too_few_and_too_many_orders_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="expected N from 1 to 1000"):
        orders_of(["a", "b"], word)


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_an_order_needs_sets_and_each_once(names: list[str]) -> None:
    with pytest.raises(UsageError, match="at least one set and each once"):
        orders_of(names, "given")


@pytest.mark.data
def test_the_real_folder_is_found_whole_and_fast(data_folder: Path) -> None:
    start = time.process_time()
    sets = {dataset.name: dataset for dataset in find_sets(data_folder, None)}
    assert time.process_time() - start < 2
    entries = json.loads((data_folder / "classes.json").read_text())
    del entries["tin_pretrain"]  # a loose zip
    assert set(sets) == set(entries)
    for name, dataset in sets.items():
        assert sorted(dataset.labels) == sorted(entries[name]["classes"].values())
        assert dataset.templates == (entries[name]["template"],)
    assert (len(sets["tin100"].pictures), int(sets["tin100"].is_test.sum())) == (7000, 2000)
    assert {path.name.split("_")[0] for path in sets["grocery"].pictures if isinstance(path, Path)} == {"train", "test"}
    assert open_picture(sets["mnist"].pictures[0]).mode == "RGB"


def test_classes_can_be_called_by_names_that_mean_nothing_or_contradict(tmp_path: Path) -> None:
    for label in ("ant", "bee", "cat"):
        folder = tmp_path / "zoo" / label
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{number}.png").write_bytes(b"never opened")
    (zoo,) = find_sets(tmp_path, None)
    assert named(zoo, "own").labels == ("ant", "bee", "cat")
    assert named(zoo, "meaningless").labels == ("part 4711", "part 4812", "part 4913")
    assert named(zoo, "swapped").labels == ("bee", "cat", "ant")
    assert named(zoo, "swapped").pictures is zoo.pictures
    with pytest.raises(UsageError, match="--naming: expected one of own, meaningless, swapped, got 'odd'"):
        named(zoo, "odd")
