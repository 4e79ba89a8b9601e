"""The rooms and their walls: who may import whom, what `predict` never loads, and what the source never does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, environment

from edge_nusa.device.demo.pictures import DemoPictures

LONGEST_FILE = 260
ROOMS = {"edge_nusa": ROOT / "edge_nusa", "edge_nusa.export": ROOT / "export", "edge_nusa.device": ROOT / "device"}
SOURCES = sorted(
    (room, path) for room, folder in ROOMS.items() for path in folder.rglob("*.py") if "__pycache__" not in path.parts
)
WORKSHOP = ("torch", "open_clip", "onnx", "onnxscript", "torchvision", "matplotlib", "sklearn", "skimage")
EXECUTES = {"eval", "exec", "compile"}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Full names of everything imported anywhere in the module; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [parent, node.module or ""]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def imports_of(room: str, path: Path) -> set[str]:
    package = ".".join([room, *path.relative_to(ROOMS[room]).parent.parts])
    return set(imported(ast.parse(path.read_text()), package))


def test_the_walk_sees_every_form_of_import() -> None:
    source = (
        "import edge_nusa.device\ndef f():\n    from edge_nusa import export\n    from ..device import learn\n    from "
        ". import b\n"
    )
    found = set(imported(ast.parse(source), "edge_nusa.cli"))
    assert {"edge_nusa.device", "edge_nusa.export", "edge_nusa.device.learning.learn", "edge_nusa.cli.b"} <= found
    assert len(SOURCES) > 40


@pytest.mark.parametrize(("room", "path"), SOURCES, ids=[name_of(path) for _, path in SOURCES])
def test_no_room_imports_what_it_must_not(room: str, path: Path) -> None:
    forbidden = {"edge_nusa.export": ["edge_nusa.device"], "edge_nusa.device": ["edge_nusa.export"]}.get(room)
    if forbidden is None:
        forbidden = [] if path.parent.name == "cli" else ["edge_nusa.export", "edge_nusa.device"]
    found = imports_of(room, path)
    assert not [name for name in found for package in forbidden if is_in(name, package)]
    if room != "edge_nusa.export":
        packages = ("open_clip", "onnx", "torchvision", "onnxscript")
        assert not [name for name in found for package in packages if is_in(name, package)]


@pytest.mark.parametrize(
    "path", [p for r, p in SOURCES if r == "edge_nusa" and p.parent.name == "cli"], ids=lambda p: p.name
)
def test_the_command_line_imports_the_other_rooms_only_when_called(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        function.body = [ast.Pass()]
    assert not [
        name
        for name in imported(tree, "edge_nusa.cli")
        if is_in(name, "edge_nusa.device") or is_in(name, "edge_nusa.export")
    ]


def loaded_after(*arguments: str | Path) -> set[str]:
    """The top-level modules in sys.modules after a command ended well in a fresh interpreter."""
    script = (
        "import sys\nfrom edge_nusa.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    words = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("LOADED ", 1)[1].split())


def test_predict_loads_nothing_of_the_workshop(taught: Path, pictures: DemoPictures) -> None:
    loaded = loaded_after("predict", pictures.asked["gravel"], "--state", taught, "--labels", "cat,dog")
    assert {"edge_nusa", "onnxruntime", "numpy"} <= loaded
    assert not loaded & set(WORKSHOP)


@pytest.mark.parametrize("command", ["labels", "status", "history"])
def test_looking_at_the_state_loads_no_runtime(command: str, taught: Path) -> None:
    assert not loaded_after(command, "--state", taught) & {*WORKSHOP, "onnxruntime"}


@pytest.mark.parametrize("arguments", [("--help",), ("learn", "--help"), ("predict", "--help"), ("export", "--help")])
def test_help_loads_no_numbers_and_no_pictures(arguments: tuple[str, ...]) -> None:
    loaded = loaded_after(*arguments)
    assert "typer" in loaded
    assert not loaded & {*WORKSHOP, "onnxruntime", "numpy", "PIL", "safetensors", "tokenizers"}


def dangers(source: str, may_load_weights: bool) -> list[str]:
    """What a source does that could run someone else's code."""
    tree = ast.parse(source)
    names = list(imported(tree, "edge_nusa"))
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


@pytest.mark.parametrize(("room", "path"), SOURCES, ids=[name_of(path) for _, path in SOURCES])
def test_no_source_runs_code_that_it_read(room: str, path: Path) -> None:
    assert dangers(path.read_text(), may_load_weights=room == "edge_nusa.export") == []


@pytest.mark.parametrize("path", [path for _, path in SOURCES], ids=[name_of(path) for _, path in SOURCES])
def test_every_source_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""'), "expected a docstring on the first line"
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring and len(docstring.splitlines()[0]) > 10
    assert len(text.splitlines()) <= LONGEST_FILE
