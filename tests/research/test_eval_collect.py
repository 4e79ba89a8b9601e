"""`eval collect`: runs of one folder or of several as one report, what is missing, and what is never mixed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, draw_sets

from edge_nusa import __version__
from edge_nusa.cli.app import app
from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, UsageError
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.protocol.collecting import collect, lacking
from edge_nusa.research.protocol.material import Settings
from edge_nusa.research.protocol.shards import Shard
from edge_nusa.research.protocol.suites import evaluate

KEY = "mtil-{}-2shots-seed{}-given"


def quiet(what: str, count: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sets`; `whole`, six runs and their report; `a` and `b`, the first and the last of the three shards of them."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("collect")
    draw_sets(root / "sets", {"stone": SETS["stone"]})
    base = settings_in(root)
    evaluate(replace(base, out=root / "whole"), quiet)
    for name, part in (("a", 0), ("b", 2)):
        evaluate(replace(base, out=root / name, shard=Shard(part, 3)), quiet)
    return root


def settings_in(root: Path) -> Settings:
    return Settings(
        suite="mtil",
        data=root / "sets",
        out=root / "out",
        learners=("frozen", "ncm", "ridge"),
        shots=(2,),
        seeds=2,
        cache=root / "cache",
        bundle=MICRO,
    )


@pytest.fixture
def folders(made: Path, tmp_path: Path) -> Path:
    """Copies of `a`, `b` and `whole`."""
    for name in ("a", "b", "whole"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def keys(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "runs").glob("*.json")}


def test_shards_of_two_machines_are_one_report_that_says_what_is_missing(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = collect([folders / "a", folders / "b"], folders / "all")
    assert keys(folders / "all") == keys(folders / "a") | keys(folders / "b")
    assert (found.runs, found.wanted, found.twice) == (4, 6, 0)
    [missing] = found.missing
    assert {plan.key for plan in missing.plans} == keys(folders / "whole") - keys(folders / "all")
    assert missing.shards() == {"1/3": 2}
    results = json.loads((folders / "all" / "results.json").read_text())
    assert len(results["runs"]) == 4 and results["settings"]["edge_nusa"] == __version__
    assert (results["settings"]["learners"], results["settings"]["seeds"]) == ("frozen, ncm, ridge", "2")
    with caplog.at_level(logging.WARNING):
        text = lacking(found, {"data": "DIR", "out": "all", "bundle": "b"})
    assert "eval collect: expected 6 runs, found 4, whose results are written; do the other 2 (mtil-" in text
    names = ",".join(name for name in ("frozen", "ncm", "ridge") if any(name in plan.key for plan in missing.plans))
    words = f"--data DIR --out all --bundle b --learners {names} --shots 2 --seeds 2"
    assert f"do them with: edge-nusa eval mtil {words}" in caplog.text
    assert "one by one: 1/3 lacks 2" in caplog.text
    assert all(plan.key in caplog.text for plan in missing.plans)


def test_the_command_that_is_told_does_what_is_missing(folders: Path, made: Path) -> None:
    out = folders / "all"
    collect([folders / "a", folders / "b"], out)
    evaluate(replace(settings_in(made), out=out, learners=("frozen", "ncm", "ridge")), quiet)
    found = collect([], out)
    assert (found.runs, found.missing) == (6, [])
    whole = [timeless(folders / name) for name in ("all", "whole")]
    assert whole[0] == whole[1]


def timeless(folder: Path) -> list[Run]:
    return [replace(run, seconds=(), peak_rss_bytes=0) for run in read_runs(folder / "runs")]


def test_a_whole_folder_collected_in_place_gives_the_same_report_and_copies_nothing(folders: Path) -> None:
    whole = folders / "whole"
    before = {path.name: path.read_bytes() for path in whole.glob("results*")}
    found = collect([whole], whole, per_class=False)
    assert (found.runs, found.wanted, found.missing, found.twice) == (6, 6, [], 0)
    assert {path.name: path.read_bytes() for path in whole.glob("results*")} == before
    collect([], whole, per_class=True)
    assert (whole / "results-classes.csv").exists()


def test_a_run_that_several_folders_have_is_the_first_ones_and_is_said(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = min((folders / "a" / "runs").iterdir())
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "accuracy": [[1.5]] * 2, "seconds": [9.0]}))
    with caplog.at_level(logging.WARNING):
        found = collect([folders / "a", folders / "whole"], folders / "all")
    assert (found.twice, found.differing, found.runs) == (2, 1, 6)
    assert "2 runs are in several folders, and the first one's are taken; 1 differ" in caplog.text
    assert json.loads((folders / "all" / "runs" / path.name).read_text())["accuracy"] == [[1.5]] * 2


def changed(name: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))

    return change


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (changed("settings.json", steps=3), UsageError, "b: .* with steps None as in .*a, found 3: .* other settings"),
        (
            changed("settings.json", basis="ab" * 32),
            UsageError,
            "b: expected runs with basis .*: they are of another bundle; leave this .* out, or collect it by itself",
        ),
        (
            changed("settings.json", edge_nusa="0.0.9"),
            UsageError,
            f"edge_nusa '{__version__}' as in .*, found '0.0.9': they are of another version of edge-nusa",
        ),
        (changed("sets.json", stone="ab" * 32), UsageError, "b: expected the pictures, labels .* of stone as in .*a"),
        (
            lambda folder: (folder / "settings.json").unlink(),
            InputError,
            r"b: expected a folder that `edge-nusa eval` wrote its runs into \(--out\), found no settings.json; name",
        ),
        (lambda folder: (folder / "settings.json").write_text("[1]"), DamagedError, "settings.json: expected the set"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused_with_the_reason_before_anything_is_copied(
    change: Callable[[Path], None], kind: type[EdgeNusaError], message: str, folders: Path
) -> None:
    change(folders / "b")
    with pytest.raises(kind, match=message):
        collect([folders / "a", folders / "b"], folders / "all")
    assert not (folders / "all").exists()


def test_other_code_of_a_learner_of_ones_own_is_refused(folders: Path) -> None:
    for name, digest in (("a", "ab" * 32), ("b", "cd" * 32)):
        changed("learners/mine.Mine.json", learner="mine:Mine", sha256=digest)(folders / name)
    with pytest.raises(UsageError, match="b: expected the code of the learner mine:Mine as in .*a, found others"):
        collect([folders / "a", folders / "b"], folders / "all")


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("learners/mine.Mine.json", {"learner": "mine:Mine", "sha256": ""}, "code of the learner mine:Mine"),
        ("sets.json", {"cloth": ""}, "pictures, labels and templates of cloth"),
    ],
)
def test_what_the_first_folder_has_none_of_is_compared_between_the_others(
    name: str, values: dict[str, str], what: str, folders: Path
) -> None:
    for folder, digest in (("b", "ab" * 32), ("whole", "cd" * 32)):
        changed(name, **{key: value or digest for key, value in values.items()})(folders / folder)
    with pytest.raises(UsageError, match=f"whole: expected the {what} as in .*/b, found others; leave this folder"):
        collect([folders / each for each in ("a", "b", "whole")], folders / "all")
    assert not (folders / "all").exists()


def test_the_folder_that_all_go_into_is_compared_too(folders: Path) -> None:
    changed("settings.json", test_limit=3)(folders / "whole")
    with pytest.raises(UsageError, match="a: expected runs with test_limit 3 as in .*whole, found 0"):
        collect([folders / "a"], folders / "whole")


def test_a_folder_without_a_finished_run_has_no_report(folders: Path) -> None:
    shutil.rmtree(folders / "a" / "runs")
    with pytest.raises(InputError, match=r"all/runs: expected finished runs, found none; let `edge-nusa eval` do some"):
        collect([folders / "a"], folders / "all")


def test_a_run_under_another_name_or_of_other_tasks_is_refused(folders: Path) -> None:
    path = min((folders / "a" / "runs").iterdir())
    path.rename(path.with_name("other.json"))
    with pytest.raises(DamagedError, match="expected a run of mtil-.* to be called mtil-.*json; remove the file"):
        collect([folders / "a"], folders / "all")
    path = min((folders / "b" / "runs").iterdir())
    path.write_text(json.dumps({**json.loads(path.read_text()), "order": ["sand"]}))
    with pytest.raises(UsageError, match="expected the tasks stone, found sand"):
        collect([folders / "b"], folders / "more")


def test_a_half_read_record_of_what_was_asked_for_is_named(folders: Path) -> None:
    [path] = (folders / "a" / "sweeps").iterdir()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DamagedError, match=f"{path.name}: not what a command asked for"):
        collect([folders / "a"], folders / "all")


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[Any, str]:
    """What the command printed and, where it failed, its error."""
    error = ""
    try:
        app(["eval", *map(str, words), "--format", "json"], standalone_mode=False)
    except EdgeNusaError as found:
        error = f"{found.exit_code}: {found}"
    return json.loads(capsys.readouterr().out or "null"), error


def test_the_command_prints_the_results_and_fails_where_runs_are_missing(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, error = said(capsys, "collect", folders / "a", folders / "b", "--out", folders / "all")
    assert len(printed["runs"]) == 4 and error.startswith("1: eval collect: expected 6 runs, found 4")
    printed, error = said(capsys, "collect", folders / "a", folders / "b", folders / "whole", "--out", folders / "all")
    assert (len(printed["runs"]), error) == (6, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["collect"], "2: eval collect: expected --out DIR, found none; name the folder of the runs"),
        (["mtil", "x", "--data", "d", "--out", "o"], "2: eval 'mtil': expected nothing behind the suite, found 'x'"),
        (["mtil", "--data", "d", "--out", "o", "--shard", "1/1"], "2: --shard: expected K/N with K counted from 0"),
        *(
            (
                ["collect", "--out", "o", option, value],
                f"2: eval collect: expected no {option} beside it, since it takes",
            )
            for option, value in (
                ("--shard", "0/2"),
                ("--cluster", "tcp://x:1"),
                ("--learners", "ncm"),
                ("--jobs", "1"),
            )
        ),
    ],
)
def test_words_that_do_not_fit_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in said(capsys, *words)[1]


def test_a_shard_prints_what_comes_next(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words: list[str | Path] = [
        "mtil",
        "--data",
        made / "sets",
        "--out",
        tmp_path / "o",
        "--cache",
        made / "cache",
        "--shots",
        "2",
    ]
    more: list[str | Path] = ["--learners", "frozen,ncm", "--bundle", MICRO, "--shard", "1/2"]
    printed, error = said(capsys, *words, *more)
    assert (printed, error) == ({"shard": "1/2", "out": str(tmp_path / "o")}, "")
    assert len(keys(tmp_path / "o")) == 1
