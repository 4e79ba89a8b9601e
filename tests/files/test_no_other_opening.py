"""No file is opened by its name but through `edge_nusa.files.opening`, and each exception has its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = frozenset({"open", "safe_open", "load_file", "InferenceSession", "FileLock", "Updater", "memmap", "mmap"})
"""What opens a file whatever it is called on."""
METHODS = frozenset(
    {
        *("open", "read_bytes", "read_text", "write_bytes", "write_text", "from_file", "fromfile", "genfromtxt"),
        *("loadtxt", "save", "savez", "savefig", "connect", "copy2", "copyfile", "copytree", "NamedTemporaryFile"),
    }
)
"""What opens a file where it is called on a module or a path."""
OURS = frozenset({"Bundle", "Model", "Opened", "opening"})
"""What has an `open` of its own, which opens nothing by itself."""
KERNEL = "the kernel's own file"
ITS_OWN = "a file of the process's own temporary folder"
ALLOWED = {
    "edge_nusa/files/opening.py": {"os.open": "the opener"},
    "edge_nusa/files/durable.py": {
        "os.open": "new files under names that are free, folders to be synced, and a pipe or terminal that a user named"
    },
    "edge_nusa/files/tensor_file.py": {
        "safe_open": "safetensors opens by name alone; the opener has just opened the same file",
        "np.memmap": "of a file that the opener opened",
    },
    "edge_nusa/cli/main.py": {"os.open": "/dev/null"},
    "edge_nusa/cli/output.py": {"os.open": "/dev/null"},
    "edge_nusa/memory.py": {"Path.read_text": KERNEL, "Path.write_text": KERNEL},
    "edge_nusa/threads.py": {"path.read_text": KERNEL},
    "device/board/linux.py": {"path.read_text": KERNEL},
    "edge_nusa/model/providers.py": {
        "onnxruntime.InferenceSession": "onnxruntime maps weights by name; every file was compared with the manifest"
    },
    "edge_nusa/files/lock.py": {
        "os.open": "a lock's file, made or opened for writing, which waits for nobody",
        "LOCKS.read_text": KERNEL,
    },
    "edge_nusa/files/temporary.py": {"os.open": "a temporary folder of this program's own, to hold its lock"},
    "edge_nusa/sync/stores/folder.py": {"os.open": "a folder, from its store's, to be swept"},
    "edge_nusa/model/graph_file.py": {"mmap": "of a file that the opener opened", "mmap.mmap": "the same"},
    "edge_nusa/pictures/apart.py": {"mmap": "of memory shared with the child", "mmap.mmap": "the same"},
    "edge_nusa/pictures/bounds.py": {"Image.open": "of bytes that were read already"},
    "edge_nusa/pictures/decoder_process.py": {"Path.read_text": KERNEL, "Path.write_text": KERNEL},
    "device/learning/handed_over.py": {"np.memmap": "of a descriptor that was handed over"},
    "device/camera/capture_process.py": {"Path.read_text": KERNEL, "Path.write_text": KERNEL},
    "device/camera/child.py": {"Path.read_text": KERNEL},
    "device/camera/listing.py": {"os.open": "a camera's device, to ask what it is, which waits for nobody"},
    "device/camera/opened_stream.py": {
        "os.open": "a camera's device, to say why it cannot be opened",
        "av.open": "a camera's device or address, which is no file; a video file was opened by the opener",
    },
    "device/watching/camera_watch.py": {"Image.save": "into memory"},
    "device/teaching/reading.py": {"image.save": "into memory"},
    "device/teaching/server.py": {"probe.connect": "no file: a socket, to learn the address of this board"},
    "device/watching/begun.py": {"os.open": "a mark, for writing, which waits for nobody", "_BOOT.read_text": KERNEL},
    "device/watching/changing_bundle.py": {"type.open": "no file: a bundle is opened by whoever is asked"},
    "device/watching/ledger.py": {"sqlite3.connect": "SQLite opens by name; `opening.check_name` looked at it"},
    "edge_nusa/sync/trust/trusted.py": {"Updater": "python-tuf opens by name; `opening.check_name` looked at each"},
    "edge_nusa/sync/stores/oci.py": {"tempfile.NamedTemporaryFile": "oras uploads by name; a new file of its own"},
    "edge_nusa/sync/rules.py": {"np.memmap": "of a temporary file that is open already"},
    "device/board/measure.py": {"Image.save": ITS_OWN},
    "device/demo/pictures.py": {"Image.save": "a new file in the folder that the demonstration has just made"},
    "device/asking/features.py": {"np.memmap": "of a temporary file that is open already"},
    "device/learning/train_apart.py": {
        "np.memmap": "of a descriptor that was handed over",
        "Path.write_text": KERNEL,
    },
}
"""Where else a file is opened, by the call, and why that is no stranger's."""


def owner(node: ast.expr) -> str:
    """The first name of what a method is called on."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return "?"
    return node.id


def openings(source: str) -> Iterator[str]:
    """The calls, and mentions, of whatever opens a file by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            who = owner(node.value)
            is_array = who in ("np", "numpy") and node.attr == "load"
            if (node.attr in NAMES | METHODS and who not in OURS) or is_array:
                yield f"{who}.{node.attr}"


def found() -> dict[str, set[str]]:
    places: dict[str, set[str]] = {}
    for room in ("edge_nusa", "device"):
        for path in sorted((ROOT / room).rglob("*.py")):
            calls = set(openings(path.read_text(encoding="utf-8")))
            if calls and path.parent.name != "install":
                places[str(path.relative_to(ROOT))] = calls
    return places


def test_files_are_opened_by_the_opener_alone() -> None:
    assert found() == {place: set(calls) for place, calls in ALLOWED.items()}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("with open(path) as file: pass", "open"),
        ("path.open('rb')", "path.open"),
        ("(folder / 'a').read_bytes()", "folder.read_bytes"),
        ("Path(name).read_text()", "Path.read_text"),
        ("Image.open(path)", "Image.open"),
        ("PIL.Image.open(path)", "PIL.open"),
        ("os.open(path, 0)", "os.open"),
        ("io.open(path)", "io.open"),
        ("numpy.load(path)", "numpy.load"),
        ("np.fromfile(path)", "np.fromfile"),
        ("mmap.mmap(0, 1)", "mmap.mmap"),
        ("list(map(open, paths))", "open"),
        ("map(Path.read_bytes, paths)", "Path.read_bytes"),
        ("Tokenizer.from_file(name)", "Tokenizer.from_file"),
    ],
)
def test_an_opening_is_found_however_it_is_written(source: str, name: str) -> None:
    assert name in set(openings(source))


def test_what_opens_nothing_is_not_taken_for_it() -> None:
    assert set(openings("Bundle.open(folder)\nopening.opened(path)\nstate.load(x)\nread(descriptor, 3)")) == set()
