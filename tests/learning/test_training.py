"""Training in a process of its own: the same result, its errors and its end passed on, and memory under a hard
limit."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO, answer_of, bytes_of, command, environment

from edge_nusa.device.board import footprint
from edge_nusa.device.learning import train_apart as training
from edge_nusa.device.learning.gaussian_replay import GaussianReplay
from edge_nusa.device.learning.task_data import TaskData
from edge_nusa.device.model import Model
from edge_nusa.errors import EdgeNusaError, InputError, ResourceError, UnforeseenError
from edge_nusa.knowledge.knowledge import nothing
from edge_nusa.knowledge.recipes import DEVICE, PAPER, Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.state.state import State

MEMORY_GROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    bundle = Bundle.open(MICRO)
    return Model(bundle, State(tmp_path_factory.mktemp("state"), bundle.manifest.identity), 1)


def training_of(model: Model, recipe: Recipe, spool: Any = None) -> training.Training:
    """Eight random pictures of two labels; with tokens where a spool is given."""
    generator, shape = np.random.default_rng(0), model.bundle.manifest.vit
    width = model.bundle.manifest.text.width
    tokens = None
    if spool is not None:
        tokens = generator.normal(size=(8, shape.tokens, shape.width)).astype(np.float16)
        spool.write(tokens.tobytes())
        spool.flush()
    drawn = [(8, shape.width), (3, shape.width), (shape.width, shape.width), (shape.width, shape.embed_dim)]
    recalled = (
        GaussianReplay(*(generator.normal(size=size).astype(np.float32) for size in drawn)) if recipe.recalled else None
    )
    count = 5 if recipe.recalled else 2  # the task's two classes, then three old labels
    data = TaskData(
        embedding=generator.normal(size=(8, shape.embed_dim)).astype(np.float32),
        tokens=tokens,
        classes=np.arange(8) % 2,
        held_out=np.arange(8) >= 6 if recipe.has_head else np.zeros(8, bool),
        class_hidden=generator.normal(size=(count, 6, width)).astype(np.float32),
        class_last=np.array([5, 4, 3, 5, 4])[:count],
        noun_hidden=generator.normal(size=(5, 4, width)).astype(np.float32),
        noun_last=np.array([3, 3, 2, 3, 3]),
        noun_anchors=generator.normal(size=(5, shape.embed_dim)).astype(np.float32),
        gaussian_replay=recalled,
    )
    before = nothing(model.bundle, recipe)
    towers: tuple[Tower, ...] = recipe.towers
    cores = {
        name: 0.01 * generator.normal(size=core.shape) for name, core in before.cores.items() if name.startswith(towers)
    }
    return training.Training(before=replace(before, cores=cores), data=data, spool=spool, recipe=recipe, seed=3)


@pytest.mark.kernels
@pytest.mark.parametrize("recipe", [DEVICE, PAPER], ids=lambda recipe: recipe.name)
def test_a_process_apart_learns_what_this_one_would(model: Model, recipe: Recipe, tmp_path: Path) -> None:
    import torch

    from edge_nusa.device.learning.train_cores import Trainer

    with contextlib.ExitStack() as open_files:
        spool = open_files.enter_context((tmp_path / "spool").open("w+b")) if "image" in recipe.towers else None
        lesson = training_of(model, replace(recipe, steps=4), spool)
        steps: list[tuple[int, int]] = []
        found, peak_bytes = training.train_apart(model, lesson, lambda done, total: steps.append((done, total)))
    torch.set_num_threads(1)
    expected = Trainer(model.bundle, lesson.before, lesson.data, lesson.recipe, lesson.seed).run(
        lambda done, total: None
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (found.loss, found.kept_step, found.crossings) == (expected.loss, expected.kept_step, expected.crossings)
    assert sorted(found.cores) == sorted(expected.cores)
    assert all(
        np.array_equal(found.cores[name], core) and found.cores[name].dtype == core.dtype
        for name, core in expected.cores.items()
    )
    assert peak_bytes > 100 << 20


def test_an_error_of_the_trainer_arrives_as_itself(model: Model) -> None:
    lesson = training_of(model, replace(DEVICE, steps=3, learning_rate=1e30))
    with pytest.raises(InputError, match="training diverged at step"):
        training.train_apart(model, lesson, lambda done, total: None)


def child_that(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """The training process runs this program instead."""
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda words, **options: real([sys.executable, "-c", program], **options))


@pytest.mark.parametrize(
    ("program", "kind", "says"),
    [
        (
            "import os; os.kill(os.getpid(), 9)",
            ResourceError,
            r"memory ran out while training \(the system killed it\); nothing of the training is kept: .*--max-memory",
        ),
        (
            "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')",
            ResourceError,
            r"memory ran out while training \(RuntimeError: .*can't allocate",
        ),
        (
            "raise SystemExit('OSError: [Errno 24] Too many open files')",
            ResourceError,
            r"the system gave it no more \(OSError: \[Errno 24\] Too many open files\); .*free some disk space",
        ),
        (
            "import os; os.kill(os.getpid(), 4)",
            UnforeseenError,
            r"training ended with -4 and no result \(it said nothing\)",
        ),
        (
            "print('{\"done\": 1, \"total\": 2}'); raise SystemExit('broken')",
            UnforeseenError,
            r"training ended with 1 and no result \(broken\)",
        ),
    ],
)
def test_a_process_that_ends_early_is_explained(
    model: Model, monkeypatch: pytest.MonkeyPatch, program: str, kind: type[EdgeNusaError], says: str
) -> None:
    lesson = training_of(model, DEVICE)
    child_that(monkeypatch, program)
    with pytest.raises(EdgeNusaError, match=says) as error:
        training.train_apart(model, lesson, lambda done, total: None)
    assert type(error.value) is kind
    if program.endswith("('broken')"):
        assert error.value.__notes__ == ["broken"], "EDGE_NUSA_DEBUG=1 shows all that the process said"


def test_a_training_process_that_stands_still_is_ended(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.SILENT_SECONDS == 1200
    monkeypatch.setattr(training, "SILENT_SECONDS", 1)
    told = []
    child_that(
        monkeypatch,
        'import os, signal\nprint(\'{"done": 1, "total": 2}\\n{"done": 2,\', end=\'\', flush=True)\n'
        "os.kill(os.getpid(), signal.SIGSTOP)",
    )
    with pytest.raises(ResourceError, match=r"expected a step within 1 s, found none; .*--head-only"):
        training.train_apart(model, training_of(model, DEVICE), lambda done, total: told.append((done, total)))
    assert told == [(1, 2)]


def test_a_learn_that_is_stopped_takes_its_training_process_with_it(model: Model) -> None:
    def running() -> set[int]:
        return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}

    before = running()  # other tests' helpers, such as multiprocessing's resource tracker
    children: set[int] = set()

    def stop(done: int, total: int) -> None:
        children.update(running() - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train_apart(model, training_of(model, replace(DEVICE, steps=1000)), stop)
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("together", [False, True], ids=["the command", "both processes"])
def test_a_killed_learn_leaves_neither_its_training_process_nor_what_it_was_given(
    together: bool, three: Path, tmp_path: Path
) -> None:
    """Both: as a unit's memory limit, `kill -9 -PGID` or a container that is removed do it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = command("learn", "--dataset", three, "--state", tmp_path / "state", "--steps", "100000", "--quiet")
    process = subprocess.Popen(
        words,
        env=environment({"TMPDIR": str(temporary)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    trainer = until(lambda: next((pid for pid in children_of(process.pid) if "libtorch_cpu" in maps_of(pid)), None))
    assert list(temporary.iterdir()) == [], "what they share has no name"
    if together:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    until(
        lambda: (
            not Path(f"/proc/{trainer}").exists()
            or "Z" in Path(f"/proc/{trainer}/stat").read_text().rsplit(")", 1)[1][:3]
        )
    )
    assert list(temporary.iterdir()) == []


def test_a_learn_gives_no_name_to_what_it_hands_over_at_any_time(three: Path, tmp_path: Path) -> None:
    """Every file and folder that either process makes in the temporary folder, seen as they are made. Python's
    `tempfile` proves the folder, once a process, by a file `blat` with eight letters as its name."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    seen: set[str] = set()
    words = command("learn", "--dataset", three, "--state", tmp_path / "state", "--steps", "3", "--quiet")
    process = subprocess.Popen(words, env=environment({"TMPDIR": str(temporary)}), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        seen |= {path.name for path in temporary.rglob("*") if not re.fullmatch(r"[a-z0-9_]{8}", path.name)}
        time.sleep(0.002)
    assert process.returncode == 0 and seen == set()


def children_of(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def maps_of(pid: int) -> str:
    """The files that a process has mapped; nothing of one that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


def until(found: Callable[[], Any]) -> Any:
    """What `found` gives once it gives something true; fails after two minutes."""
    for _ in range(1200):
        if value := found():
            return value
        time.sleep(0.1)
    return pytest.fail("it did not happen within two minutes")


def test_learning_does_not_load_torch_into_its_own_process(three: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom edge_nusa.cli.main import run\ntry:\n    run()\nexcept SystemExit:\n    print('torch' in "
        "sys.modules, file=sys.stderr)"
    )
    words = [
        sys.executable,
        "-c",
        program,
        "learn",
        "--dataset",
        str(three),
        "--state",
        str(tmp_path / "state"),
        "--steps",
        "2",
        "--quiet",
    ]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["training"]["kept_step"] == 2
    assert done.stderr == "False\n"


@contextlib.contextmanager
def hard_limit(size: int) -> Iterator[Path]:
    """A memory control group (v2 or v1) inside this process's own, without swap; skips where none may be made."""
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    own = (
        MEMORY_GROUPS / "memory" / groups["memory"].strip("/")
        if "memory" in groups
        else MEMORY_GROUPS / groups.get("", "").strip("/")
    )
    group = own / f"edge-nusa-{secrets.token_hex(4)}"
    limits = (
        {"memory.limit_in_bytes": size, "memory.memsw.limit_in_bytes": size}
        if "memory" in groups
        else {"memory.max": size, "memory.swap.max": 0}
    )
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory control group may be made here: {error}")
    try:
        files = {name: value for name, value in limits.items() if (group / name).exists()}
        if not any(name in files for name in ("memory.limit_in_bytes", "memory.max")):
            pytest.skip(f"{group} has no limit of memory")
        for name, value in files.items():
            (group / name).write_text(str(value))
        yield group
    finally:
        group.rmdir()


def learned_in(group: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`edge-nusa learn` as a member of the group from its first instruction on."""
    enter = (
        f"import os, sys; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); os.execv(sys.executable, "
        "[sys.executable, *sys.argv[1:]])"
    )
    learn = command("learn", *words, "--again", "--quiet", "--format", "json")[1:]
    return subprocess.run(
        [sys.executable, "-c", enter, *learn], env=environment(), capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_learning_within_its_estimate_survives_a_hard_limit(three: Path, tmp_path: Path) -> None:
    needed = footprint.needed_bytes(Bundle.open(MICRO).manifest, DEVICE, 24, 3)
    with hard_limit(needed) as group:
        done = learned_in(
            group, "--dataset", three, "--state", tmp_path / "state", "--steps", "20", "--max-memory", str(needed)
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["training"]["kept_step"] == 20


@pytest.mark.slow
def test_a_hard_limit_below_the_estimate_is_refused_and_without_a_budget_the_heads_lesson_stands(
    taught: Path, three: Path
) -> None:
    before, number = bytes_of(taught), answer_of("status", "--state", taught)["generation"]
    with hard_limit(128 << 20) as group:
        refused = learned_in(group, "--dataset", three, "--state", taught, "--max-memory", "128M", "--again")
        assert bytes_of(taught) == before
        killed = learned_in(group, "--dataset", three, "--state", taught, "--again")
    assert refused.returncode == 5
    assert "--max-memory: 128 MiB are too few to learn 24 pictures of 3 labels" in refused.stderr
    assert killed.returncode == 7, killed.stderr
    assert killed.stderr.startswith(
        f"edge-nusa: the learn is kept as generation {number + 1}: do not run it again; memory ran out while training "
        "(the system killed it); nothing of the training is kept: "
    )
    *_, last = answer_of("history", "--state", taught)["generations"]
    assert (last["generation"], last["report"]["text"]) == (number + 1, "not trained")
    assert {row["images"] for row in answer_of("labels", "--state", taught)["labels"]} == {16}
    assert answer_of("undo", "--state", taught)["generation"] == number


@pytest.mark.slow
def test_the_head_alone_is_taught_within_its_own_estimate_where_the_text_would_not_fit(
    three: Path, tmp_path: Path
) -> None:
    manifest = Bundle.open(MICRO).manifest
    needed = footprint.needed_for_head(manifest, DEVICE, 24, 3)
    assert needed < footprint.needed_bytes(manifest, DEVICE, 24, 3)
    with hard_limit(needed) as group:
        done = learned_in(group, "--dataset", three, "--state", tmp_path / "state", "--max-memory", str(needed))
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["generation"], report["text"]) == (1, "not trained")
    assert report["text_reason"].startswith(f"--max-memory: {needed >> 20} MiB are too few for it; with about ")


def test_what_a_learn_needs_grows_with_pictures_labels_and_towers() -> None:
    manifest = Bundle.open(MICRO).manifest
    few = footprint.needed_bytes(manifest, DEVICE, 100, 10)
    assert footprint.needed_bytes(manifest, DEVICE, 20_000, 10) > few + 100 * (1 << 20)
    assert footprint.needed_bytes(manifest, DEVICE, 2_000, 1_000) > few + 40 * (1 << 20)
    assert footprint.needed_bytes(manifest, PAPER, 100, 10) > few + 50 * (1 << 20)
    head = footprint.needed_for_head(manifest, DEVICE, 100, 10)
    whole = footprint.needed_bytes(manifest, PAPER, 100, 10)
    assert head + 50 * (1 << 20) < few
    for recipe, least in ((DEVICE, head), (PAPER, whole)):  # a text that does not fit is left out, all else is refused
        footprint.check_learn(manifest, recipe, 100, 10, least)
        footprint.check_learn(manifest, recipe, 100, 10, None)
        with pytest.raises(ResourceError, match=rf"takes about {(least >> 20) + 1} MiB; nothing was changed"):
            footprint.check_learn(manifest, recipe, 100, 10, least - 1)


@pytest.mark.parametrize(("busy", "spins"), [(0.0, True), (0.24, True), (0.25, False), (None, False)])
def test_threads_spin_only_where_the_board_is_known_to_be_quiet(
    model: Model, monkeypatch: pytest.MonkeyPatch, busy: float | None, spins: bool
) -> None:
    seen: dict[str, str] = {}

    def started(words: list[str], **options: Any) -> None:
        seen.update(options["env"])
        raise KeyError("seen")

    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr("subprocess.Popen", started)
    with pytest.raises(KeyError, match="seen"):
        training.train_apart(model, replace(training_of(model, DEVICE), busy_cores=busy), lambda done, total: None)
    assert ("GOMP_SPINCOUNT" in seen) == spins
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE", "given whatever was imported before"


@pytest.mark.parametrize(
    ("asked", "width", "expected"), [(0, 256, 1), (0, 257, 5), (0, 512, 5), (1, 512, 1), (3, 256, 3)]
)
def test_a_narrow_text_tower_trains_on_one_thread_a_wide_one_on_what_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, asked: int, width: int, expected: int
) -> None:
    monkeypatch.setattr(training, "available", lambda: 5)
    assert training.thread_count(asked, width) == expected


def test_a_trainer_passes_what_texts_share_once_and_finds_the_same_anchors(model: Model) -> None:
    import torch

    from edge_nusa.device.learning.train_cores import Trainer

    lesson = training_of(model, DEVICE)
    data = lesson.data
    for hidden in (data.class_hidden, data.noun_hidden):
        hidden[:, :2] = data.class_hidden[0, :2]
    trainer = Trainer(model.bundle, lesson.before, data, replace(DEVICE, dropout=0.0), 3)
    assert trainer.prefix == 2
    classes, nouns = np.array([4, 0, 2]), np.array([1, 3])
    found = trainer._anchors(classes, nouns)
    apart = [(data.class_hidden[classes], data.class_last[classes]), (data.noun_hidden[nouns], data.noun_last[nouns])]
    expected = torch.cat([trainer.text(torch.from_numpy(hidden), torch.from_numpy(last)) for hidden, last in apart])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
