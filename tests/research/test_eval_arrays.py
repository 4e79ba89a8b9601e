"""Data sets from arrays, the same set as a folder, a sweep from Python, and the list of what there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MICRO, answer_of, run_cli
from eval_pictures import SETS, draw_sets

from edge_nusa.errors import InputError, UsageError
from edge_nusa.research.data.arrays import LONGEST_NAME, data_set, save_set
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.described import DESCRIBED
from edge_nusa.research.learners.learners import Frozen
from edge_nusa.research.protocol.listing import listing
from edge_nusa.research.sweep import Options, Settings, sweep

LABELS = ("zero", "one")


def scans(digits: tuple[int, ...] = (0, 1)) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's scanned digits, (N, 8, 8) uint8 of 0 to 240, and the class (N,) of each."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    chosen = np.isin(found.target, digits)
    classes = np.searchsorted(digits, found.target[chosen])
    return (found.images[chosen] * 15).astype(np.uint8), classes


def parts(count: int = 40) -> tuple[Any, Any]:
    pictures, classes = scans()
    return (pictures[:count], classes[:count]), (pictures[count : 2 * count], classes[count : 2 * count])


def test_arrays_are_a_set_of_their_labels_and_parts() -> None:
    train, test = parts()
    found = data_set("scans", LABELS, train, test)
    assert (found.name, found.labels, found.templates) == ("scans", LABELS, ("a photo of a {}.",))
    assert found.classes.tolist() == [*train[1].tolist(), *test[1].tolist()]
    assert found.is_test.tolist() == [False] * 40 + [True] * 40
    assert all((one == other).all() for one, other in zip(found.pictures, [*train[0], *test[0]], strict=True))


GREY = np.zeros((2, 8, 8), np.uint8)
BOTH = np.array([0, 1])
GOOD = (GREY, BOTH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": (GREY / 255, BOTH)}, r"data set a: expected train pictures \(N, H, W, 3\) or \(N, H, W\) uint8 of "
         r"0 to 255, found \(2, 8, 8\) float64; move the channels last, and scale"),
        ({"test": (np.zeros((2, 3, 8, 8), np.uint8), BOTH)}, r"expected test pictures .* found \(2, 3, 8, 8\) uint8"),
        ({"train": (np.zeros((2, 8), np.uint8), BOTH)}, r"found \(2, 8\) uint8"),
        ({"train": (np.zeros((0, 8, 8), np.uint8), BOTH[:0])}, r"found \(0, 8, 8\) uint8"),
        ({"train": (GREY, BOTH[:1])}, r"expected train classes \(2,\) of whole numbers, found \(1,\) int64"),
        ({"train": (GREY, BOTH.astype(float))}, r"found \(2,\) float64; give one for each picture"),
        ({"train": (GREY, BOTH + 1)}, "expected train classes from 0 to 1, found 1 to 2; give as many labels"),
        ({"train": (GREY, BOTH - 1)}, "found -1 to 0"),
        ({"train": (GREY, BOTH * 0)}, "expected train pictures of every class, found none of 'y'; add some"),
        ({"test": (GREY, BOTH * 0 + 1)}, "expected test pictures of every class, found none of 'x'"),
        ({"labels": ()}, "data set a: expected a name for each class"),
        ({"labels": ("x", " ")}, "expected a name for each class"),
        ({"labels": (1, 2)}, r"expected a name for each class, found \[1, 2\]"),
        ({"labels": ("x", "x")}, "expected a name of its own for each class, found 'x' twice"),
        ({"templates": ("a photo",)}, "expected templates with one {}"),
        ({"name": ""}, "expected a name of 1 to 100 bytes, found ''"),
        ({"name": ".hidden"}, "expected a name of 1 to 100 bytes"),
        ({"name": "a\n"}, "expected a name of 1 to 100 bytes"),
        ({"name": "a" * 101}, "expected a name of 1 to 100 bytes"),
        ({"name": "../a"}, "expected a name of 1 to 100 bytes"),
        ({"name": "a/b"}, "expected a name without slashes, found 'a/b'"),
    ],
)  # fmt: skip
def test_arrays_of_another_form_are_refused_with_what_was_found(arguments: dict[str, Any], message: str) -> None:
    given = {"name": "a", "labels": ("x", "y"), "train": GOOD, "test": GOOD, **arguments}
    with pytest.raises(InputError, match=message):
        data_set(**given)


def test_a_name_may_have_a_hundred_bytes() -> None:
    assert len(data_set("a" * LONGEST_NAME, ("x", "y"), GOOD, GOOD).name) == 100


def test_a_set_that_is_saved_is_the_same_set_by_folder(tmp_path: Path) -> None:
    train, test = parts()
    first = data_set("scans", LABELS, train, test, templates=("the digit {}.", "{}"))
    eleven = (np.arange(88, dtype=np.uint8).reshape(11, 2, 4), np.arange(11))
    second = data_set("more", tuple("abcdefghijk"), eleven, eleven)
    assert save_set(first, tmp_path) == tmp_path / "scans"
    save_set(second, tmp_path)
    more, found = find_sets(tmp_path, None)
    assert (found.labels, found.templates) == (first.labels, first.templates)
    assert more.labels == second.labels, "eleven classes, whose folders sort as their numbers do"
    assert np.bincount(found.classes).tolist() == np.bincount(first.classes).tolist()
    assert found.is_test.sum() == first.is_test.sum()
    sweeps = [
        sweep(settings(tmp_path / name, data=data, sets=("scans",)))
        for name, data in (("arrays", [first]), ("folder", tmp_path))
    ]
    told = [[(row["taught"], row["asked"], row["untouched"]) for row in each.tasks] for each in sweeps]
    assert told[0] == told[1], "every pixel is what it was"


def test_a_set_is_saved_once_and_a_set_of_files_never(tmp_path: Path) -> None:
    found = data_set("scans", LABELS, *parts())
    save_set(found, tmp_path)
    with pytest.raises(InputError, match=r"scans: expected a set of arrays and no folder of its name yet, found one"):
        save_set(found, tmp_path)
    [files] = find_sets(tmp_path, ["scans"])
    with pytest.raises(InputError, match="found a set of files; take another root, or use its folder as it is"):
        save_set(files, tmp_path / "other")


class Constant(Frozen):
    """Says what the untouched model says."""

    def __init__(self, bundle: Any, options: Options) -> None:
        super().__init__(bundle)


def settings(out: Path, **more: Any) -> Settings:
    torch.set_num_threads(1)
    given = {"suite": "mtil", "out": out, "learners": ("frozen",), "shots": (0,), "seeds": 1, "bundle": MICRO}
    return Settings(**{**given, **more})


def test_a_sweep_gives_plain_records_and_goes_on_where_it_was(tmp_path: Path) -> None:
    digits = data_set("scans", LABELS, *parts())
    shades = (np.stack([GREY[0], GREY[0] + 200]), BOTH)
    grey = data_set("grey", ("dark", "bright"), shades, shades)
    asked = settings(tmp_path, data=(digits, grey), learners=("frozen", Constant))
    found = sweep(asked)
    told = [(row["learner"], row["name"], row["labels"], row["asked"]) for row in found.tasks]
    names = ("frozen", "test_eval_arrays:Constant")
    assert told == [(learner, *rest) for learner in names for rest in (("scans", 2, 40), ("grey", 2, 2))]
    assert found.tasks[0]["end"] == found.tasks[2]["end"]
    assert {row["metric"] for row in found.metrics} >= {"last", "average"} and len(found.classes) == 8
    assert sum(row["pictures"] for row in found.confusions if row["learner"] == "frozen") == sum(
        row["asked"] - row["end"] for row in found.classes if row["learner"] == "frozen"
    )
    assert all(file.exists() for file in found.files)
    called: list[str] = []
    again = sweep(asked, lambda what, done, total: called.append(what))
    assert again == found and set(called) == {"running"}


def test_the_same_name_with_other_arrays_is_refused_in_one_folder(tmp_path: Path) -> None:
    train, test = parts()
    sweep(settings(tmp_path, data=[data_set("scans", LABELS, train, test)]))
    other = data_set("scans", LABELS, (255 - train[0], train[1]), test)
    with pytest.raises(UsageError, match="expected the pictures, labels and templates of 'scans' that this folder"):
        sweep(settings(tmp_path, data=[other]))


def test_sets_that_are_given_twice_or_not_at_all_are_refused(tmp_path: Path) -> None:
    one = data_set("a", ("x", "y"), GOOD, GOOD)
    for change, message in (
        ({"data": [one, one]}, "data: expected at least one set and each name once, found a, a; check"),
        ({"data": []}, "found none"),
        ({"data": [one], "sets": ("b",)}, "found a, and no b; check the sets"),
        ({"data": [one], "never": "b"}, "--never: there is no set 'b'; found a"),
    ):
        with pytest.raises(InputError, match=message):
            sweep(settings(tmp_path, **change))


def test_settings_take_what_people_write_in_a_notebook() -> None:
    given: dict[str, Any] = {"suite": "cil", "data": "sets", "out": "results", "learners": "frozen, ncm", "seeds": 1}
    given |= {"shots": 4, "sets": "a,b", "steps_of_classes": 5, "bundle": "b", "cache": "c"}
    found = Settings(**given)
    assert (found.data, found.out, found.bundle, found.cache) == (Path("sets"), Path("results"), Path("b"), Path("c"))
    assert (found.learners, found.sets) == (("frozen", "ncm"), ("a", "b"))
    assert (found.shots, found.steps_of_classes) == ((4,), (5,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "orders"}, "suite: expected mtil or cil, found 'orders'; take one of them"),
        ({"seeds": 0}, "seeds: expected at least one, found 0; give more"),
        ({"jobs": 0}, "jobs: expected at least one"),
        ({"threads": 0}, "threads: expected at least one"),
        ({"learners": ()}, "learners: expected at least one, found 0"),
        ({"shots": ()}, "shots: expected at least one"),
    ],
)
def test_settings_that_ask_for_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(Path("out"), data=Path("sets"), **change)


def test_pictures_that_cannot_be_read_are_counted_and_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw_sets(tmp_path / "sets", {"cloth": SETS["cloth"]})
    (tmp_path / "sets" / "cloth" / "red_stripes" / "3.png").write_bytes(b"none")
    (tmp_path / "sets" / "cloth" / "blue_dots" / "3.png").write_bytes(b"none, too")
    found = sweep(settings(tmp_path / "out", data=tmp_path / "sets"))
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("cloth: 2 of 16 pictures cannot be read and are left out, such as ")
    assert said.endswith("cloth/blue_dots/3.png") and sum(row["taught"] + row["asked"] for row in found.tasks) == 14


@pytest.mark.slow
def test_arrays_go_to_processes_side_by_side(tmp_path: Path) -> None:
    digits = data_set("scans", LABELS, *parts())
    asked = settings(tmp_path / "two", data=[digits], learners=("frozen", "ncm"), shots=(4,), jobs=2)
    one, two = sweep(replace(asked, out=tmp_path / "one", jobs=1)), sweep(asked)
    timeless: Callable[[Any], list[Any]] = lambda rows: [(row["run"], row["own"], row["end"]) for row in rows]  # noqa: E731
    assert timeless(one.tasks) == timeless(two.tasks)


def test_every_built_in_learner_is_described_in_the_order_of_the_tables() -> None:
    assert list(DESCRIBED) == list(CATALOGUE)
    assert all(each.says and each.source for each in DESCRIBED.values())


def test_the_list_has_learners_suites_orders_and_the_sets_of_a_folder(tmp_path: Path) -> None:
    draw_sets(tmp_path, {"cloth": SETS["cloth"]})
    (tmp_path / "broken" / "one").mkdir(parents=True)
    found = answer_of("eval", "--list", "--data", tmp_path)
    assert [each["name"] for each in found["learners"]] == list(DESCRIBED)
    assert [each["name"] for each in found["suites"]] == ["mtil", "cil", "orders"]
    assert [each["name"] for each in found["orders"]] == ["given", "I", "II", "random:N", "FILE"]
    broken, cloth = found["sets"]
    assert broken["name"] == "broken" and "expected pictures in a sub-folder for each class" in broken["reason"]
    assert cloth == {"name": "cloth", "labels": 2, "train": 10, "test": 6, "reason": ""}
    assert answer_of("eval", "--list")["sets"] is None
    told = run_cli("eval", "--list", "--data", tmp_path, "--format", "human").stdout
    assert "frozen             the untouched model, zero-shot [CLIP, arXiv 2103.00020]" in told
    assert "cloth   2 labels, 10 pictures to learn from, 6 to be asked" in told


class Point:
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value, (self.module, _, self.attr) = name, value, value.partition(":")
        self.dist = None


def test_entry_points_are_listed_with_why_one_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("mine", "test_eval_arrays:Constant"), Point("head", "a:B"), Point("gone", "nowhere_at_all:B")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    mine, head, gone = listing(None, []).learners[-3:]
    assert (mine.name, mine.says, mine.source, mine.reason) == (
        "mine",
        "Says what the untouched model says.",
        "test_eval_arrays",
        "",
    )
    assert head.reason == "a built-in learner has this name" and "found ModuleNotFoundError" in gone.reason
    [own] = listing(None, ["test_eval_arrays:Constant"]).learners[-1:]
    assert own.name == "test_eval_arrays:Constant"


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ([], "a suite (mtil, cil, orders) and --data DIR and --out DIR"),
        (["mtil", "--data", "x"], "--out DIR"),
        (["mtil", "--out", "x"], "--data DIR"),
        (["--data", "x", "--out", "y"], "a suite (mtil, cil, orders)"),
    ],
)
def test_a_command_that_lacks_something_is_told_what_and_of_the_list(words: list[str], missing: str) -> None:
    ended = run_cli("eval", *words)
    said = f"edge-nusa: eval: expected {missing}, found none; `edge-nusa eval --list` shows what there is\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_the_list_loads_no_torch() -> None:
    from processes import loaded_after

    assert "torch" not in loaded_after("eval", "--list")


def test_the_list_as_json_is_what_it_says_of_itself() -> None:
    found = json.loads(json.dumps(listing(None, []).to_json()))
    assert list(found) == ["learners", "suites", "orders", "sets"]
