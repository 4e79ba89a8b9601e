"""Learners of one's own beside the built-in ones: how they are found, what is said of one that is none, and that runs
of two versions of one are never mixed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MICRO, run_cli
from eval_pictures import SETS, draw_sets, material

from edge_nusa.errors import DamagedError, InputError, UsageError
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.figures.runs import read_runs
from edge_nusa.research.learners import checked, own, sources
from edge_nusa.research.learners.catalogue import CATALOGUE, chosen, entries_of
from edge_nusa.research.learners.described import GROUP
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Answer, Frozen
from edge_nusa.research.protocol import begun
from edge_nusa.research.protocol.material import Settings
from edge_nusa.research.protocol.sequence import Material
from edge_nusa.research.protocol.suites import evaluate

SOURCE = '''"""A learner."""

from edge_nusa.research.learners.learners import Frozen


class Mine(Frozen):
    """Says what the untouched model says.

    More of it.
    """

    def __init__(self, bundle, options):
        super().__init__(bundle)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with SOURCE as own_mine.py; what was imported from it is forgotten at the end."""
    (tmp_path / "own_mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Material:
    torch.set_num_threads(1)
    return material(Bundle.open(MICRO), tmp_path_factory.mktemp("own"), SETS)


def settings(folder: Path, scene_folder: Path, **more: Any) -> Settings:
    given = {"suite": "mtil", "data": scene_folder, "out": folder / "out", "learners": ("own_mine:Mine",)}
    return Settings(**{**given, "shots": (2,), "seeds": 1, "bundle": MICRO, **more})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    draw_sets(folder, {name: SETS[name] for name in ("stone", "cloth")})
    return folder


def quiet(what: str, done: int, total: int) -> None:
    return None


class Sound(Frozen):
    """A learner as the protocol wants it."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        super().__init__(bundle)


def test_a_module_in_the_current_folder_is_found_and_its_first_line_says_what_it_is(folder: Path) -> None:
    [entry] = entries_of(chosen("own_mine:Mine")).values()
    assert entry.says == "Says what the untouched model says."
    assert not entry.needs_tokens and entry.provenance is not None
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()
    assert entry.provenance.to_json() == {
        "module": "own_mine",
        "name": "Mine",
        "version": "",
        "files": 1,
        "sha256": digest,
    }
    assert sys.path[-1] == str(folder), "last, so that nothing that is installed is hidden"


def test_what_is_installed_comes_before_the_current_folder(folder: Path) -> None:
    (folder / "json.py").write_text("class Mine: pass")
    with pytest.raises(InputError, match="expected a class Mine in json, found JSONDecode"):
        own.entry_of("json:Mine")


def test_all_files_of_a_package_are_hashed_with_its_version(folder: Path) -> None:
    package = folder / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1.5'")
    (package / "helper.py").write_text("ONE = 1")
    (package / "ours.py").write_text("from own_package.helper import ONE\nclass Ours:\n    needs_tokens = True")
    before = own.entry_of("own_package.ours:Ours")
    assert before.provenance is not None and before.needs_tokens
    assert (before.provenance.version, before.provenance.files) == ("1.5", 3)
    assert before.says == "a learner without a docstring"
    (package / "helper.py").write_text("ONE = 2")
    after = own.entry_of("own_package.ours:Ours")
    assert after.provenance is not None and after.provenance.sha256 != before.provenance.sha256
    assert sources.MOST_FILES == 500


def test_of_a_package_with_too_many_files_the_modules_own_is_hashed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder / "own_large"
    package.mkdir()
    for name in ("__init__", "a", "b"):
        (package / f"{name}.py").write_text("class Ours: pass")
    for most, files in ((3, 3), (2, 1)):
        monkeypatch.setattr(sources, "MOST_FILES", most)
        found = own.entry_of("own_large.b:Ours").provenance
        assert found is not None and found.files == files
    assert found is not None and found.sha256 == hashlib.sha256(b"class Ours: pass").hexdigest()


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ("own_gone:Mine", InputError, r"--learners own_gone:Mine: expected a module that can be imported, found "
         "ModuleNotFoundError: No module named 'own_gone'; run the command in the folder of that module, or install"),
        ("own_mine:Ours", InputError, "expected a class Ours in own_mine, found Mine; correct the name"),
        ("own_bad:Mine", InputError, "found SyntaxError: "),
        ("own_exit:Mine", InputError, "expected a module that can be imported, found SystemExit: 3"),
        ("own_number:Mine", InputError, "expected a class Mine in own_number, found no class; correct the name"),
        ("own_mine.py:Mine:x", UsageError, r"expected package\.module:Class with dots for folders and without \.py"),
        ("own_mine.py:Mine", UsageError, "for folders and without .py; write mine:Mine for the class Mine in mine.py"),
        ("a/own_mine:Mine", UsageError, "write mine:Mine for the class Mine in mine.py"),
        (":Mine", UsageError, "expected package.module:Class"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_said_in_one_line(
    folder: Path, words: str, kind: type[Exception], message: str
) -> None:
    (folder / "own_bad.py").write_text("class Mine(:\n")
    (folder / "own_exit.py").write_text("raise SystemExit(3)")
    (folder / "own_number.py").write_text("Mine = 3")
    with pytest.raises(kind, match=message) as raised:
        entries_of(chosen(words))
    assert "\n" not in str(raised.value)


class Point:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name: str, value: str) -> None:
        self.name, (self.module, _, self.attr) = name, value.partition(":")
        self.dist = type("Dist", (), {"version": "2.1"})()


def test_entry_points_are_learners_by_their_name_and_never_hide_a_built_in_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [Point("plugged", "own_mine:Mine"), Point("frozen", "own_mine:Mine"), Point("a:b", "own_mine:Mine")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == GROUP else [])
    assert GROUP == "edge_nusa.learners" and list(own.entry_points()) == ["plugged", "frozen"]
    found = entries_of(chosen("frozen,plugged"))
    assert list(found) == ["frozen", "plugged"] and found["frozen"] is CATALOGUE["frozen"]
    assert found["plugged"].provenance is not None and found["plugged"].provenance.version == "2.1"
    with pytest.raises(UsageError, match=r"no plugge; expected `all` or some .*default, plugged, or package\.module"):
        chosen("plugge")
    assert chosen("all") == list(CATALOGUE)


def without(name: str) -> type[Any]:
    return type("Lacking", (Sound,), {name: None})


class ShortLearn(Sound):
    def learn(self, view: Any, pictures: Any) -> None:  # type: ignore[override]
        """No seed."""


class Uncounted(Sound):
    @property
    def trained_numbers(self) -> int:  # type: ignore[override]
        raise AttributeError


PROTOCOL = (
    r"expected learn\(view, pictures, seed\), answer\(offered, asked, pictures\), arrays\(\), "
    r"restore\(arrays, learned\) and trained_numbers, found no "
)


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (without("learn"), PROTOCOL + "learn; see docs/eval.md"),
        (without("answer"), PROTOCOL + "answer;"),
        (without("arrays"), PROTOCOL + "arrays;"),
        (without("restore"), PROTOCOL + "restore;"),
        (Uncounted, PROTOCOL + "trained_numbers;"),
        (lambda bundle, options: object(), PROTOCOL + "learn, no answer, no arrays, no restore, no trained_numbers;"),
        (ShortLearn, r"expected learn\(view, pictures, seed\), found learn\(view.*, pictures.*\) -> "),
        (lambda bundle: None, r"__init__: TypeError: .*takes 1 positional argument but 2 were given"),
    ],
)
def test_what_is_no_learner_is_told_with_the_protocol_before_anything_is_learned(maker: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own.entry_of(maker).make(Bundle.open(MICRO), Options())


def answering(probabilities: Any, novelty: Any) -> Any:
    def answer(self: Any, offered: Any, asked: Any, pictures: Any) -> Any:
        return Answer(probabilities(len(pictures), sum(len(view.labels) for view in offered)), novelty(len(pictures)))

    return type("Answering", (Sound,), {"answer": answer})


def even(pictures: int, labels: int) -> np.ndarray:
    return np.full((pictures, labels), 1 / labels)


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (answering(lambda b, c: even(b, c + 1), np.zeros), r"answer: expected an Answer with probabilities \(2, 3\), "
         r"found probabilities \(2, 4\) of float64; see docs/eval.md"),
        (answering(even, lambda b: np.zeros(b + 1)), r"expected an Answer with novelty \(2,\), found novelty \(3,\)"),
        (answering(lambda b, c: even(b, c) * np.nan, np.zeros), "probabilities that are numbers, found NaN among them"),
        (answering(lambda b, c: even(b, c).astype(str), np.zeros), r"found probabilities \(2, 3\) of <U"),
        (answering(lambda b, c: 1.002 * even(b, c), np.zeros), "from 0 that sum to 1 in every row, found sums from "
         r"1\.002 to 1\.002 and a least of 0\.334"),
        (answering(lambda b, c: even(b, c) + np.array([-0.4, 0.2, 0.2]), np.zeros), r"a least of -0\.06667"),
        (type("Silent", (Sound,), {"answer": lambda *_: None}), r"found probabilities \(\) of object"),
    ],
)  # fmt: skip
def test_an_answer_that_figures_cannot_be_made_from_is_refused(maker: Any, message: str, scene: Material) -> None:
    learner = own.entry_of(maker).make(Bundle.open(MICRO), Options())
    stone = scene.views["stone"]
    with pytest.raises(InputError, match=message):
        learner.answer([stone], stone, scene.tests["stone"][:2])


def test_a_row_may_miss_the_sum_by_a_thousandth_and_a_probability_is_at_most_one(scene: Material) -> None:
    learner = own.entry_of(answering(lambda b, c: 1.0009 * np.eye(3)[:b], np.zeros)).make(Bundle.open(MICRO), Options())
    stone = scene.views["stone"]
    assert learner.answer([stone], stone, scene.tests["stone"][:2]).probabilities.max() == 1
    assert checked.SUM_WITHIN == 1e-3
    assert learner.answer([stone], stone, scene.tests["stone"][:0]).probabilities.shape == (0, 3)


def test_a_sound_answer_goes_through_unchanged(scene: Material) -> None:
    bundle, stone = Bundle.open(MICRO), scene.views["stone"]
    mine, frozen = own.entry_of(Sound).make(bundle, Options()), Frozen(bundle)
    one, other = (learner.answer([stone], stone, scene.tests["stone"]) for learner in (mine, frozen))
    assert (one.probabilities == other.probabilities).all() and (one.novelty == other.novelty).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([1], "arrays: expected a dict of arrays, found list"),
        ({"means": [1.0]}, "expected NumPy arrays of numbers under names, found list under means"),
        ({"means": np.array([None])}, "found object under means"),
        ({3: np.zeros(1)}, "found float64 under 3"),
    ],
)
def test_a_state_that_no_file_can_hold_is_refused(arrays: Any, message: str) -> None:
    maker = type("Keeping", (Sound,), {"arrays": lambda self: arrays})
    with pytest.raises(InputError, match=message):
        own.entry_of(maker).make(Bundle.open(MICRO), Options()).arrays()


def failing(method: str, error: Exception) -> Any:
    def fails(self: Any, *_: Any) -> Any:
        raise error

    return type("Failing", (Sound,), {method: fails})


@pytest.mark.parametrize("method", ["learn", "answer", "arrays", "restore"])
def test_what_its_code_raises_is_told_with_the_task_and_the_line(method: str, scene: Material) -> None:
    learner = own.entry_of(failing(method, ValueError("too\nfew"))).make(Bundle.open(MICRO), Options())
    stone, where = scene.views["stone"], scene.tests["stone"]
    calls = {
        "learn": lambda: learner.learn(stone, where, 0),
        "answer": lambda: learner.answer([stone], stone, where),
        "arrays": learner.arrays,
        "restore": lambda: learner.restore({}, []),
    }
    task = ", task stone" if method in ("learn", "answer") else ""
    with pytest.raises(InputError, match=rf"Failing: {method}{task}: ValueError: too few \(test_own_learners.py:\d+\)"):
        calls[method]()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("error", [MemoryError(), UsageError("ours")])
def test_what_others_know_how_to_tell_is_left_as_it_is(error: Exception, scene: Material) -> None:
    learner = own.entry_of(failing("learn", error)).make(Bundle.open(MICRO), Options())
    with pytest.raises(type(error)) as raised:
        learner.learn(scene.views["stone"], scene.tests["stone"], 0)
    assert raised.value is error


class Held(torch.nn.Linear):
    """Answers by a tensor that still has its gradient."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return np.asarray(self.weight)


def test_a_tensor_that_is_no_array_and_a_count_that_is_no_number_are_told(scene: Material) -> None:
    stone = scene.views["stone"]
    learner = own.entry_of(answering(lambda b, c: Held(), np.zeros)).make(Bundle.open(MICRO), Options())
    with pytest.raises(InputError, match=r"answer, probabilities: RuntimeError: Can't call numpy\(\) on Tensor"):
        learner.answer([stone], stone, scene.tests["stone"][:2])
    uncounted = own.entry_of(type("Vague", (Sound,), {"trained_numbers": "many"})).make(Bundle.open(MICRO), Options())
    with pytest.raises(InputError, match="Vague: trained_numbers: ValueError: invalid literal"):
        uncounted.trained_numbers  # noqa: B018


def test_what_a_learner_prints_is_no_part_of_the_answer(scene: Material, capsys: pytest.CaptureFixture[str]) -> None:
    chatty = type("Chatty", (Sound,), {"learn": lambda self, view, pictures, seed: print("loss 0.5")})
    own.entry_of(chatty).make(Bundle.open(MICRO), Options()).learn(scene.views["stone"], scene.tests["stone"], 0)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "loss 0.5\n")


def test_runs_of_two_versions_of_a_learner_are_not_mixed(folder: Path, data: Path) -> None:
    asked = settings(folder, data)
    evaluate(asked, quiet)
    kept = json.loads((asked.out / "learners" / "own_mine.Mine.json").read_text())
    assert kept["learner"] == "own_mine:Mine" and kept["sha256"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert [run.learner for run in read_runs(asked.out / "runs")] == ["own_mine:Mine"]
    content = json.loads((asked.out / "results.json").read_text())
    assert content["learners"] == [kept]
    before = (asked.out / "runs" / "mtil-own_mine.Mine-2shots-seed0-given.json").read_bytes()
    (folder / "own_mine.py").write_text(SOURCE + "\n# changed\n")
    with pytest.raises(
        UsageError,
        match=r"own_mine\.Mine\.json: expected the code that 1 runs of own_mine:Mine here were made with \(SHA-256 "
        r"\w{12}\), found other code \(\w{12}\); take another --out, or remove those runs, "
        r"runs/\*-own_mine\.Mine-\* and classes/\*-own_mine\.Mine-\* and parts/\*-own_mine\.Mine-\*",
    ):
        evaluate(asked, quiet)
    assert (asked.out / "runs" / "mtil-own_mine.Mine-2shots-seed0-given.json").read_bytes() == before
    (asked.out / "runs" / "mtil-own_mine.Mine-2shots-seed0-given.json").unlink()
    evaluate(asked, quiet)
    changed = json.loads((asked.out / "learners" / "own_mine.Mine.json").read_text())
    assert changed["sha256"] != kept["sha256"]


def test_a_part_of_other_code_is_refused_and_another_learners_runs_are_not_counted(folder: Path, data: Path) -> None:
    asked = settings(folder, data, learners=("own_mine:Mine", "frozen"))
    evaluate(asked, quiet)
    run = asked.out / "runs" / "mtil-own_mine.Mine-2shots-seed0-given.json"
    (folder / "own_mine.py").write_text(SOURCE + "\n# changed\n")
    run.rename(asked.out / "runs" / "mtil-x-own_mine.Mine-2shots-seed0-given.json")
    assert begun._of_learner(asked.out, "own_mine:Mine") == []
    (asked.out / "parts" / "cil-10tasks-own_mine.Mine-16shots-seed0-given.npz").write_bytes(b"")
    with pytest.raises(UsageError, match="that 1 runs of own_mine:Mine here"):
        evaluate(asked, quiet)


def test_damage_in_what_is_kept_of_a_learner_is_named(folder: Path, data: Path) -> None:
    asked = settings(folder, data)
    evaluate(asked, quiet)
    (asked.out / "learners" / "own_mine.Mine.json").write_text("{")
    with pytest.raises(DamagedError, match=r"own_mine\.Mine\.json: not what is kept here"):
        evaluate(asked, quiet)


def test_other_pictures_in_a_set_of_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    draw_sets(tmp_path / "sets", {"cloth": SETS["cloth"]})
    asked = settings(folder, tmp_path / "sets", learners=("frozen",))
    evaluate(asked, quiet)
    (tmp_path / "sets" / "cloth" / "red_stripes" / "7.png").rename(
        tmp_path / "sets" / "cloth" / "red_stripes" / "8.png"
    )
    with pytest.raises(
        UsageError, match=r"sets\.json: expected the pictures, labels and templates of 'cloth' that this"
    ):
        evaluate(asked, quiet)


def test_a_class_is_a_learner_too_and_each_is_there_once() -> None:
    assert list(entries_of([Sound, "frozen"])) == ["test_own_learners:Sound", "frozen"]
    with pytest.raises(UsageError, match="learners: expected each once, found 'frozen' twice"):
        entries_of(["frozen", "frozen"])


def test_a_class_that_other_processes_cannot_import_is_refused_for_several_jobs() -> None:
    own.check_picklable(["frozen", Sound])
    local = type("Local", (Sound,), {})
    with pytest.raises(UsageError, match=r"test_own_learners:Local cannot be imported by other processes; put it into"):
        own.check_picklable([local])
    local.__module__ = "__main__"
    with pytest.raises(UsageError, match="__main__:Local cannot be imported"):
        own.check_picklable([local])


@pytest.mark.slow
def test_the_command_line_runs_a_learner_beside_built_in_ones_also_side_by_side(folder: Path, data: Path) -> None:
    words: list[str | Path] = ["eval", "mtil", "--data", data, "--out", folder / "out", "--shots", "2", "--jobs", "2"]
    done = run_cli(*words, "--learners", "frozen,own_mine:Mine", "--format", "json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lasts = {each["learner"]: each["figures"]["last"]["median"] for each in json.loads(done.stdout)["summaries"]}
    assert set(lasts) == {"frozen", "own_mine:Mine"} and len(set(lasts.values())) == 1
    (folder / "own_mine.py").write_text(SOURCE.replace("super().__init__(bundle)", "self.scale = bundle.gone"))
    done = run_cli(*words, "--learners", "own_mine:Mine", cwd=folder)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "learner own_mine:Mine: __init__: AttributeError: " in done.stderr and "(own_mine.py:13)" in done.stderr
