"""What a shell offers at TAB: what was taught, and the names that options take; cheaply, and never an error."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, answer_of, current_of, environment

from edge_nusa.cli import completion, eval
from edge_nusa.knowledge.recipes import RECIPES

MODULES = "\nimport atexit, sys\natexit.register(lambda: print('LOADED', *{n.split('.')[0] for n in sys.modules}))\n"
PROGRAM = "import sys\nsys.argv[0] = 'edge-nusa'\nfrom edge_nusa.cli.main import run\nrun()\n"


@pytest.fixture(scope="module")
def state(taught_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose labels need quotes, or differ late."""
    folder = Path(shutil.copytree(taught_once, tmp_path_factory.mktemp("state") / "state"))
    answer_of("rename", "gravel", "brick (old), 5\" 'x' $y", "--state", folder)
    return folder


def offered(*words: str, shell: str = "bash", env: dict[str, str] | None = None) -> tuple[list[str], set[str]]:
    """The lines that are offered for the last word, and the modules that were loaded for it."""
    asked = {
        "_EDGE_NUSA_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(["edge-nusa", *words]),
        "COMP_CWORD": str(len(words)),
    }
    if shell != "bash":
        asked = {"_EDGE_NUSA_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": " ".join(["edge-nusa", *words])}
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = subprocess.run(
        [sys.executable, "-c", MODULES + PROGRAM],
        env=environment({**asked, **(env or {})}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    return [line for line in lines[:-1] if line], set(lines[-1].split()[1:])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("forget", ""), ["brick wall", "lawn grass", "brick (old), 5\" 'x' $y"]),
        (("forget", "l"), ["lawn grass"]),
        (("forget", "L"), ["lawn grass"]),
        (("rename", "brick w"), ["brick wall"]),
        (("learn", "--label", "brick w"), ["brick wall"]),
        (("predict", "x.jpg", "--label", "la"), ["lawn grass"]),
        (("predict", "--labels", ""), ["brick wall", "lawn grass"]),  # one with a comma is no entry of such a list
        (("predict", "--labels", "cup,b"), ["cup,brick wall"]),
        (("predict", "--labels", "lawn grass,"), ["lawn grass,brick wall"]),
        (("forget", "x"), []),
    ],
)
def test_labels_are_those_of_the_state_and_no_runtime_is_loaded_for_them(
    words: tuple[str, ...], expected: list[str], state: Path
) -> None:
    quoted = [*words[:-1], f'"{words[-1]}']  # a quote that was begun: what is offered stands in it as it is
    found, loaded = offered(*quoted, env={"EDGE_NUSA_STATE": str(state)})
    assert sorted(found) == sorted(expected)
    assert not loaded & {"onnxruntime", "torch", "numpy", "PIL"}


def test_the_state_of_the_command_line_comes_first(state: Path, tmp_path: Path) -> None:
    found, _ = offered("forget", "--state", str(state), "la", env={"EDGE_NUSA_STATE": str(tmp_path)})
    assert found == [r"lawn\ grass"]


def test_where_no_state_is_named_it_is_that_of_the_bundle(taught_once: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    (tmp_path / "data" / "edge-nusa").mkdir(parents=True)
    shutil.copytree(taught_once, tmp_path / "data" / "edge-nusa" / "state")
    found, loaded = offered("forget", "la", env=home)
    assert found == [r"lawn\ grass"] and "onnxruntime" not in loaded
    assert offered("forget", "la", env={**home, "EDGE_NUSA_BUNDLE": str(tmp_path / "gone")})[0] == [r"lawn\ grass"]


@pytest.mark.parametrize("damage", ["none", "no file", "no json", "a folder"])
def test_a_state_that_cannot_be_read_offers_nothing_and_says_nothing(damage: str, taught: Path, tmp_path: Path) -> None:
    labels = current_of(taught) / "labels.json"
    if damage == "none":
        taught = tmp_path / "gone"
    elif damage == "no json":
        labels.write_text("{")
    else:
        labels.unlink()
        if damage == "a folder":
            labels.mkdir()
    assert offered("forget", "", env={"EDGE_NUSA_STATE": str(taught)})[0] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("lea",), ["learn"]),
        (("sync", "pu"), ["push", "pull"]),
        (("help", "hub", "me"), ["merge"]),
        (("learn", "--recipe", ""), ["device", "paper"]),
        (("eval", ""), ["mtil", "cil", "orders", "collect"]),
        (("eval", "mtil", "--learners", "frozen,fu"), ["frozen,full"]),
        (("export", "RN50-q"), ["RN50-quickgelu"]),
        (("export", "vit-b-32-q"), ["ViT-B-32-quickgelu"]),
        (("learn", "--form"), ["--format"]),
        (("learn", "--format", "j"), ["json"]),
    ],
)
def test_commands_options_and_the_names_that_options_take_are_offered(
    words: tuple[str, ...], expected: list[str]
) -> None:
    found, loaded = offered(*words)
    assert set(expected) <= set(found) and len(found) <= max(3, len(expected))
    assert not loaded & {"onnxruntime", "torch", "numpy", "PIL", "open_clip"}


def test_the_names_that_are_written_out_are_those_that_there_are() -> None:
    assert [name for name, _ in completion.RECIPES] == list(RECIPES)
    assert tuple(name for name, _ in completion.SUITES) == eval.SUITES
    table = json.loads((ROOT / "export" / "models.json").read_text())["models"]
    supported = [row["model"] for row in table if row["supported"]]
    assert completion.models("") == [
        completion.Offer(name) for name in sorted(supported, key=completion.models("").index)
    ]


def test_zsh_and_fish_are_given_the_label_as_it_is(state: Path) -> None:
    env = {"EDGE_NUSA_STATE": str(state)}
    assert offered("forget", "la", shell="fish", env=env)[0] == ["lawn grass"]
    assert '"lawn grass"' in offered("forget", "la", shell="zsh", env=env)[0][0]


STARTER = f"""#!{sys.executable}
import atexit, os, sys
if "_EDGE_NUSA_COMPLETE" in os.environ:
    atexit.register(lambda: open(os.environ["ASKED"], "a").write("."))
if "_EDGE_NUSA_COMPLETE" in os.environ or "--show-completion" in sys.argv:
    {PROGRAM.replace(chr(10), chr(10) + "    ")}
print("WORDS", sys.argv[1:])
"""


def completed(keys: list[str], state: Path, folder: Path) -> str:
    """The words that a real bash runs edge-nusa with after these keys, a TAB behind each."""
    starter = folder / "edge-nusa"
    starter.write_text(STARTER)
    starter.chmod(0o755)
    settings = {"EDGE_NUSA_STATE": str(state), "TERM": "dumb", "PS1": "$ ", "INPUTRC": os.devnull}
    env = {**environment(settings), "PATH": f"{folder}:{os.environ['PATH']}", "ASKED": str(folder / "asked")}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
    try:
        os.write(terminal, b'eval "$(edge-nusa --show-completion bash)"; echo READ""Y\n')
        until(terminal, b"READY\r\n")
        for number, piece in enumerate(keys, 1):
            os.write(terminal, piece.encode() + b"\t")
            answered(folder / "asked", number)
        os.write(terminal, b"\n")
        seen = until(terminal, b"]\r\n")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return seen.decode().rpartition("WORDS ")[2].strip()


def answered(asked: Path, number: int) -> None:
    """Waits until the shell's question of this number is answered, and has been shown."""
    end = time.monotonic() + 60
    while not asked.exists() or len(asked.read_text()) < number:
        assert time.monotonic() < end, "the shell asked nothing"
        time.sleep(0.05)
    time.sleep(1)


def until(terminal: int, mark: bytes) -> bytes:
    """What the terminal shows up to the mark."""
    seen, end = b"", time.monotonic() + 60
    while mark not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)
    assert mark in seen, seen
    return seen


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["forget la"], ["forget", "lawn grass"]),
        (['forget "la'], ["forget", "lawn grass"]),
        (["forget b", r"\(o"], ["forget", "brick (old), 5\" 'x' $y"]),  # first what both begin with, then the rest
        (["forget b", "w"], ["forget", "brick wall"]),
    ],
)
def test_a_real_bash_gets_a_label_of_any_signs_as_one_word(
    keys: list[str], words: list[str], state: Path, tmp_path: Path
) -> None:
    assert completed([f"edge-nusa {keys[0]}", *keys[1:]], state, tmp_path) == str(words)
