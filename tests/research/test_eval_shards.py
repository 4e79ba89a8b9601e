"""`--shard K/N`: how a sweep's runs are dealt, and that processes that know nothing of each other do each once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, draw_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.research.data.sets import DataSet
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.learners.catalogue import MAKERS
from edge_nusa.research.learners.described import NEED_TOKENS, TRAIN_TEXT
from edge_nusa.research.protocol import asked, begun, doing, material, sequence
from edge_nusa.research.protocol.asked import Asked
from edge_nusa.research.protocol.material import Settings, Sources
from edge_nusa.research.protocol.sequence import Plan
from edge_nusa.research.protocol.shards import Shard, dealt
from edge_nusa.research.protocol.suites import evaluate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sets")
    draw_sets(folder, SETS)
    return folder


@pytest.fixture
def sweep(data: Path, tmp_path: Path) -> Settings:
    """Six runs of one set."""
    return Settings(
        suite="mtil",
        data=data,
        out=tmp_path / "out",
        learners=("frozen", "ncm", "ridge"),
        shots=(2,),
        seeds=2,
        sets=("stone",),
        cache=data.parent / "cache",
        bundle=MICRO,
    )


def quiet(what: str, count: int, total: int) -> None: ...


def timeless(folder: Path) -> list[Run]:
    return [replace(run, seconds=(), peak_rss_bytes=0) for run in read_runs(folder / "runs")]


def asking(learners: tuple[str, ...], **other: Any) -> Asked:
    asks = {
        "shots": (4, 16),
        "first_seed": 0,
        "seeds": 3,
        "orders": (("given", ("a", "b")),),
        "shards": 1,
        "settings": {},
    }
    return Asked(suite="mtil", learners=learners, **{**asks, **other})


@given(
    st.lists(st.sampled_from(["frozen", "default", "paper", "mine:Mine"]), min_size=1, max_size=4, unique=True),
    st.integers(1, 5),
    st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_every_run_is_in_one_shard_and_no_shard_has_two_more_than_another(
    learners: list[str], seeds: int, of: int
) -> None:
    plans = asking(tuple(learners), seeds=seeds).plans()
    shards = [dealt(plans, Shard(part, of)) for part in range(of)]
    found = Counter(plan.key for shard in shards for plan in shard)
    assert found == Counter({plan.key: 1 for plan in plans})
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    for learner in learners:
        counts = [sum(plan.learner == learner for plan in shard) for shard in shards]
        assert max(counts) - min(counts) <= 2, "a learner's runs are spread over all shards"


def test_the_dearest_are_dealt_first_and_every_second_row_backwards() -> None:
    """Written down for ever: shards of one sweep may be started by two versions' processes a week apart."""
    plans = asking(("frozen", "default", "paper"), seeds=1, shots=(0, 4, 16)).plans()
    words = [[f"{plan.learner} {plan.shots}" for plan in dealt(plans, Shard(part, 2))] for part in (0, 1)]
    assert words == [
        ["default 0", "paper 0", "frozen 4", "frozen 16", "default 16"],
        ["frozen 0", "default 4", "paper 4", "paper 16"],
    ]


def test_a_cheap_learner_goes_to_the_shard_whose_last_one_was_cheaper() -> None:
    plans = asking(("frozen", "head", "default", "paper"), seeds=1, shots=(4,)).plans()
    assert [[plan.learner for plan in dealt(plans, Shard(part, 2))] for part in (0, 1)] == [
        ["head", "paper"],
        ["frozen", "default"],
    ]


def test_a_learner_that_trains_text_is_dearer_than_one_that_fits_sums_whatever_they_are_called() -> None:
    plans = asking(("frozen", "text-only"), seeds=1, shots=(4,)).plans()
    assert [[plan.learner for plan in dealt(plans, Shard(part, 2))] for part in (0, 1)] == [["text-only"], ["frozen"]]


def test_what_a_run_costs_is_known_of_each_built_in_learner() -> None:
    assert set(MAKERS) > NEED_TOKENS | TRAIN_TEXT and not NEED_TOKENS & TRAIN_TEXT
    assert {"text-only", "text-full", "default", "svd"} <= TRAIN_TEXT
    assert not {"frozen", "ncm", "ridge", "head", "untrained", "offline"} & TRAIN_TEXT


def test_the_deal_does_not_depend_on_the_order_in_which_learners_are_named() -> None:
    one, other = (asking(names).plans() for names in (("frozen", "paper", "ncm"), ("ncm", "frozen", "paper")))
    for part in range(4):
        assert {p.key for p in dealt(one, Shard(part, 4))} == {p.key for p in dealt(other, Shard(part, 4))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16/16", r"K counted from 0, such as 0/16 for the first and 15/16 for the last, found '16/16'.*--array=0-15"),
        ("1/1", "such as 0/1 for the first and 0/1 for the last"),
        ("0/0", "0/16 for the first and 15/16"),
        ("10000/10000", "0/10000 for the first and 9999/10000"),
        ("/16", "found '/16'"),
        ("3", "found '3'"),
        ("-1/4", "found '-1/4'"),
        ("1/4x", "found"),
        ("0/10001", "15/16 for the last"),
        ("", "found ''"),
    ],
)
def test_a_shard_that_is_none_is_refused_with_the_form_it_has(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Shard.parsed(text)


def test_the_first_and_the_last_shard_are_read() -> None:
    read = [Shard.parsed(text) for text in ("0/1", "0/16", "15/16", "0/10000")]
    assert read == [Shard(0, 1), Shard(0, 16), Shard(15, 16), Shard(0, 10_000)]
    assert str(Shard(3, 16)) == "3/16"


def test_shards_together_do_what_one_command_does_and_write_no_report(
    sweep: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other --jobs too; side by side is tested elsewhere, and a process costs seconds."""
    evaluate(replace(sweep, out=sweep.out.with_name("whole")), quiet)
    did: list[str] = []
    do = doing.do

    def counted(sources: Sources, plan: Plan) -> None:
        did.append(plan.key)
        do(sources, plan)

    monkeypatch.setattr(doing, "do", counted)
    monkeypatch.setattr(
        doing,
        "side_by_side",
        lambda settings, plans, progress: doing.one_by_one(material.sources_of(settings), plans, progress),
    )
    for part, jobs in ((2, 1), (0, 7), (1, 2), (0, 1)):
        assert evaluate(replace(sweep, shard=Shard(part, 3), jobs=jobs), quiet) == []
    assert len(did) == len(set(did)) == 6
    assert timeless(sweep.out) == timeless(sweep.out.with_name("whole"))
    assert not list(sweep.out.glob("results*"))
    [kept] = asked.read_all(sweep.out)
    assert kept.shards == 3 and {plan.key for plan in kept.plans()} == set(did)


def test_shards_that_start_together_fill_the_cache_from_other_sets(
    sweep: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(material, "view_of", lambda sources, dataset, progress: seen.append(dataset.name))
    for part in range(4):
        chosen = replace(sweep, sets=("stone", "cloth"), never="sky", shard=Shard(part, 4))
        material.warm_cache(material.sources_of(chosen), quiet)
    assert [seen[0], seen[3], seen[6], seen[9]] == ["stone", "cloth", "sky", "stone"]
    assert all(sorted(seen[start : start + 3]) == ["cloth", "sky", "stone"] for start in (0, 3, 6, 9))


def test_two_processes_that_begin_one_folder_with_other_settings_are_told_apart(
    sweep: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look before either has written."""
    evaluate(sweep, quiet)
    before = (sweep.out / "settings.json").read_bytes()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name not in ("settings.json", "sets.json") and exists(path))
    with pytest.raises(UsageError, match="begun with steps None, now it is 3"):
        evaluate(replace(sweep, steps=3), quiet)
    assert (sweep.out / "settings.json").read_bytes() == before


def test_a_folder_that_another_version_began_is_refused(sweep: Settings) -> None:
    evaluate(replace(sweep, learners=("frozen",)), quiet)
    path = sweep.out / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "edge_nusa": "0.0.9"}))
    with pytest.raises(
        UsageError, match=r"settings.json: .* begun with edge_nusa '0\.0\.9', now it is .*another --out"
    ):
        evaluate(sweep, quiet)


def test_a_run_is_not_kept_where_another_process_began_its_learner_with_other_code(
    sweep: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    run = sequence.run

    def meanwhile(plan: Plan, *rest: Any) -> Run:
        record = sweep.out / "learners" / "eval_own_frozen.Mine.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "ab" * 32}))
        return run(plan, *rest)

    monkeypatch.setattr(doing, "run", meanwhile)
    with pytest.raises(
        UsageError, match="the code of eval_own_frozen:Mine that this process runs .* make them the same"
    ):
        evaluate(replace(sweep, learners=("eval_own_frozen:Mine",)), quiet)
    assert not list((sweep.out / "runs").iterdir())


def test_sets_that_differ_are_refused_and_the_first_record_stays(data: Path, sweep: Settings) -> None:
    [stone] = material.sources_of(sweep).learned.values()
    assert isinstance(stone, DataSet)
    path = data.parent / "sets.json"
    begun.check_sets(path, [stone])
    before = path.stat().st_mtime_ns
    begun.check_sets(path, [stone])
    assert path.stat().st_mtime_ns == before, "nothing is written where nothing is new"
    with pytest.raises(UsageError, match="expected the pictures, labels and templates of 'stone'"):
        begun.check_sets(path, [replace(stone, labels=("x", *stone.labels[1:]))])


def test_what_was_asked_for_is_read_and_written_the_same_and_named_by_its_content(tmp_path: Path) -> None:
    one = asking(("frozen", "mine:Mine"), settings={"sets": "a, b", "order": "random:2"}, shards=4)
    for each in (one, one, replace(one, shards=8)):
        asked.keep(tmp_path, each)
    assert sorted(asked.read_all(tmp_path), key=lambda each: each.shards) == [one, replace(one, shards=8)]
    assert Asked.from_json(one.to_json(), "here") == one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "here: not what a command asked for: expected format 1, found 2"),
        ({"orders": [["given"]]}, r"orders\[0\]: expected a name and the tasks"),
        ({"orders": [["given", "ab"]]}, "tasks: expected a list"),
        ({"seeds": 0}, "seeds: expected a whole number from 1 to 1000"),
        ({"seeds": 1000, "shots": list(range(1000))}, "at most 1000000 runs in all, found 2000000; remove the file"),
        ({"shards": 0}, "shards: expected a whole number from 1 to 10000"),
        ({"settings": {"sets": 3}}, "sets: expected a text"),
        ({"more": 1}, "expected the fields"),
    ],
)
def test_what_was_asked_for_is_refused_where_it_is_none(change: Mapping[str, object], message: str) -> None:
    content = {**json.loads(asking(("frozen", "ncm")).to_json()), **change}
    with pytest.raises(DamagedError, match=message):
        Asked.from_json(json.dumps(content).encode(), "here")


def test_a_command_is_written_so_that_a_shell_reads_it(tmp_path: Path) -> None:
    said = {"sets": "a, b", "order": "given", "steps_of_classes": "5, 2", "never": "it's", "first_seed": "3"}
    one = asking(("frozen", "ncm", "default"), first_seed=3, settings={**said, "steps": "7", "naming": "own"})
    chosen = [plan for plan in one.plans() if plan.learner != "ncm"]
    assert one.command({"data": "my sets", "out": "o"}, chosen) == (
        "edge-nusa eval mtil --data 'my sets' --out o --learners frozen,default --shots 4,16 --seeds 3 --first-seed 3 "
        "--sets a,b --class-steps 5,2 --never 'it'\"'\"'s' --steps 7"
    )
