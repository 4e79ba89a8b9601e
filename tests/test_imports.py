"""What loads when, what the source never does, how long its parts are, and that a checkout imports itself.

Which room may import which is import-linter's contract (pyproject.toml, `make lint`).
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from processes import WORKSHOP, loaded_after

from edge_nusa.device.demo.pictures import DemoPictures

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_COMMAND, MOST_PARAMETERS = 250, 40, 25, 6
"""Lines of a file, of a function, of a command's body; parameters of a function that is no command."""
ROOMS = ("edge_nusa", "device", "export", "research")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)
EXECUTES = {"eval", "exec", "compile"}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of everything imported anywhere in the module; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_second_checkout_imports_itself(tmp_path: Path) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    rooms = ("edge_nusa", *(f"edge_nusa.{room}" for room in ROOMS[1:]))
    script = f"import {', '.join(rooms)}; print(*({', '.join(f'{room}.__file__' for room in rooms)}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    files = [Path(name) for name in done.stdout.split()]
    assert len(files) == len(ROOMS)
    assert not [path for path in files if not path.resolve().is_relative_to(tmp_path.resolve())]


def test_predict_loads_nothing_of_the_workshop(taught: Path, pictures: DemoPictures) -> None:
    loaded = loaded_after("predict", pictures.asked["gravel"], "--state", taught, "--labels", "cat,dog")
    assert {"edge_nusa", "onnxruntime", "numpy"} <= loaded
    assert not loaded & set(WORKSHOP)
    by_another = {"device.provider", "device.trials", "model.probing", "model.foreign_trunk"}
    assert not loaded & {f"edge_nusa.{name}" for name in by_another}  # the CPU is not chosen, tried or compared


def test_a_lesson_of_the_head_alone_loads_nothing_of_the_workshop(taught: Path, pictures: DemoPictures) -> None:
    words = ("--images", pictures.taught["gravel"], "--label", "gravel", "--state", taught, "--head-only", "--again")
    loaded = loaded_after("learn", *words)
    assert {"edge_nusa", "onnxruntime", "numpy"} <= loaded
    assert not loaded & set(WORKSHOP)


@pytest.mark.parametrize("command", ["labels", "status", "history"])
def test_looking_at_the_state_loads_no_runtime(command: str, taught: Path) -> None:
    assert not loaded_after(command, "--state", taught) & {*WORKSHOP, "onnxruntime"}


def test_a_command_that_looks_for_what_connects_machines_is_found_out() -> None:
    with pytest.raises(AssertionError, match="AssertionError: {'distributed'}"):
        loaded_after("--help", first="import importlib.util; importlib.util.find_spec('distributed')")


@pytest.mark.parametrize("arguments", [("--help",), ("learn", "--help"), ("predict", "--help"), ("export", "--help")])
def test_help_loads_no_numbers_and_no_pictures(arguments: tuple[str, ...]) -> None:
    loaded = loaded_after(*arguments)
    assert "typer" in loaded
    assert not loaded & {*WORKSHOP, "onnxruntime", "numpy", "PIL", "safetensors", "tokenizers"}


def dangers(source: str, may_load_weights: bool) -> list[str]:
    """What a source does that could run someone else's code."""
    tree = ast.parse(source)
    names = list(imported(tree))
    if may_load_weights and "pickle.UnpicklingError" in names:
        # what torch.load raises at a checkpoint that holds more than tensors: to catch it is not to use it
        names = [name for name in names if name not in ("pickle", "pickle.UnpicklingError")]
    found = [f"imports {name}" for name in names if name.split(".")[0] in PICKLES]
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append("allow_pickle")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_weights_only = any(
            word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords
        )
        if called in EXECUTES or called.startswith("yaml.") or called in ("os.system", "__import__"):
            found.append(called)
        if called == "torch.load" and not (may_load_weights and is_weights_only):
            found.append(called)
        if any(word.arg == "shell" for word in node.keywords):
            found.append(f"{called} with a shell")
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pickle", ["imports pickle"]),
        ("from pickle import loads", ["imports pickle", "imports pickle.loads"]),
        ("from pickle import UnpicklingError, loads", ["imports pickle.loads"]),
        ("numpy.load(p, allow_pickle=True)", ["allow_pickle"]),
        ("eval(x)", ["eval"]),
        ("exec(x)", ["exec"]),
        ("yaml.load(x)", ["yaml.load"]),
        ("torch.load(x)", ["torch.load"]),
        ("torch.load(x, weights_only=False)", ["torch.load"]),
        ("torch.load(x, weights_only=True)", []),
        ("model.eval()", []),
    ],
)
def test_the_search_for_dangers_finds_them(source: str, expected: list[str]) -> None:
    assert dangers(source, may_load_weights=True) == expected


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_source_runs_code_that_it_read(path: Path) -> None:
    assert (
        dangers(
            path.read_text(),
            may_load_weights=path.is_relative_to(ROOT / "export") or path.is_relative_to(ROOT / "research"),
        )
        == []
    )


def too_long(path: Path) -> list[str]:
    """Functions of a file that are longer, or take more, than the house allows; a command is measured by its body."""
    is_command = path.parent == ROOT / "edge_nusa" / "cli"
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        first = node.body[0].lineno if is_command else node.lineno
        lines = (node.end_lineno or 0) - first + 1
        parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in parameters if name not in ("self", "cls")])
        if lines > (LONGEST_COMMAND if is_command else LONGEST_FUNCTION):
            found.append(f"{node.name} has {lines} lines")
        if count > MOST_PARAMETERS and not is_command:
            found.append(f"{node.name} has {count} parameters")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_source_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""'), "expected a docstring on the first line"
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring and len(docstring.splitlines()[0]) > 10
    assert len(text.splitlines()) <= LONGEST_FILE
    assert too_long(path) == []
