"""Threads: numpy's products take one whatever the process, and threads 0 is what this process may use."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from conftest import MICRO, ROOT, environment

from edge_nusa import threads
from edge_nusa.knowledge.head import Head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.threads import one_blas_thread

TORCH = {
    "edge_nusa/model/towers.py": {"*"},
    "edge_nusa/model/blocks.py": {"*"},
    "device/learning/train_cores.py": {"*"},
    "research/learners/forms.py": {"forward"},
    "research/learners/subspaces.py": {"seen"},
    "export/image_towers.py": {"forward"},
    "export/micro": {"*"},  # trains `micro`, on the workstation; its bits are those of the committed bundle
}
"""Functions whose products are torch's, which takes the threads that `torch.set_num_threads` gives it."""
BLAS = {
    "svd",
    "eigh",
    "cholesky",
    "inv",
    "solve",
    "qr",
    "lstsq",
    "pinv",
    "matmul",
    "dot",
    "vdot",
    "inner",
    "tensordot",
    "einsum",
}
REFUSES = (
    "#define _GNU_SOURCE\n#include <pthread.h>\n#include <errno.h>\nint pthread_setaffinity_np(pthread_t t, size_t n, "
    "const cpu_set_t *s) { return EINVAL; }\n"
)


def blas_threads() -> list[int]:
    """Of numpy's BLAS and of every other one in the process."""
    return [
        found["num_threads"]
        for found in threadpoolctl.threadpool_info()
        if found["user_api"] == "blas" and "numpy" in found["filepath"]
    ]


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threadpoolctl.threadpool_limits(2, "blas"):
        if blas_threads() != [2]:
            pytest.skip("needs a numpy whose BLAS can be told")
        yield


@pytest.mark.usefixtures("two_threads")
def test_inside_blas_has_one_thread_and_afterwards_as_many_as_before() -> None:
    with one_blas_thread:
        assert blas_threads() == [1]
        with one_blas_thread:
            assert blas_threads() == [1]
        assert blas_threads() == [1], "the inner end is not the outer's"
    assert blas_threads() == [2]


@pytest.mark.usefixtures("two_threads")
def test_an_error_inside_gives_the_threads_back() -> None:
    with pytest.raises(np.linalg.LinAlgError), one_blas_thread:
        np.linalg.cholesky(-np.eye(2))
    assert blas_threads() == [2]


@pytest.mark.usefixtures("two_threads")
def test_a_second_thread_of_python_waits_for_its_turn_and_has_one_too() -> None:
    seen: list[list[int]] = []

    def other() -> None:
        with one_blas_thread:
            seen.append(blas_threads())

    thread = threading.Thread(target=other)
    with one_blas_thread:
        thread.start()
        thread.join(0.2)
        assert seen == [] and blas_threads() == [1]
    thread.join()
    assert seen == [[1]] and blas_threads() == [2]


@pytest.mark.usefixtures("two_threads")
def test_a_function_of_the_head_computes_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    cholesky = np.linalg.cholesky

    def watched(matrix: np.ndarray) -> np.ndarray:
        seen.extend(blas_threads())
        return np.asarray(cholesky(matrix))

    monkeypatch.setattr(np.linalg, "cholesky", watched)
    rows = np.random.default_rng(0).integers(-99, 99, (6, 5))
    Head.empty(5).added(rows, np.arange(6) % 2, 2).solve()
    assert seen == [1]


def uses_blas(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in BLAS and ast.unparse(called).startswith("np.")


def is_limited(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return any(ast.unparse(one) == "one_blas_thread" for one in node.decorator_list)
    return isinstance(node, ast.With) and any(
        ast.unparse(item.context_expr) == "one_blas_thread" for item in node.items
    )


def unlimited(node: ast.AST, function: str = "") -> Iterator[tuple[str, int]]:
    """(function, line) of every product or decomposition under `node` that is not inside `one_blas_thread`."""
    if is_limited(node):
        return
    if uses_blas(node):
        yield function, getattr(node, "lineno", 0)
    for child in ast.iter_child_nodes(node):
        yield from unlimited(child, node.name if isinstance(node, ast.FunctionDef) else function)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    return a @ b", [("f", 2)]),
        ("def f():\n    return np.linalg.svd(a)", [("f", 2)]),
        ("def f():\n    return np.dot(a, b)", [("f", 2)]),
        ("def f():\n    return torch.linalg.svd(a)", []),
        ("@one_blas_thread\ndef f():\n    return a @ b", []),
        ("def f():\n    with one_blas_thread:\n        c = a @ b\n    return c @ b", [("f", 4)]),
    ],
)
def test_the_search_for_products_on_many_threads_finds_them(source: str, expected: list[tuple[str, int]]) -> None:
    assert list(unlimited(ast.parse(source))) == expected


def test_every_product_of_numpy_is_computed_on_one_thread() -> None:
    found = []
    for room in ("edge_nusa", "device", "export"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            spared = next((functions for place, functions in TORCH.items() if name.startswith(place)), set())
            found += [
                f"{name}:{line}"
                for function, line in unlimited(ast.parse(path.read_text()))
                if not spared & {"*", function}
            ]
    assert found == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinity")
def test_threads_0_is_what_this_process_may_use() -> None:
    first = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{first}}})\n"
        "from edge_nusa import threads; from edge_nusa.model import sessions\n"
        "from edge_nusa.model.bundle import Bundle; from pathlib import Path\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        f"session = sessions.open_session(Bundle.open(Path({str(MICRO)!r})), 'image_trunk')\n"
        "import time; time.sleep(0.5)\n"  # the system takes a moment to count an ended thread no more
        "print(threads.available(), session.session.get_session_options().intra_op_num_threads, "
        "len(os.listdir('/proc/self/task')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "0"]


def test_a_number_given_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "available", lambda: 3)
    bundle = Bundle.open(MICRO)
    opened = [
        sessions.open_session(bundle, "text_trunk", count).session.get_session_options().intra_op_num_threads
        for count in (0, 1, 2)
    ]
    assert opened == [3, 1, 2]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores without control groups, whose files are under the path given."""
    monkeypatch.setattr(threads, "PROC", tmp_path / "proc")
    monkeypatch.setattr(threads, "SYS", tmp_path / "sys")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_any_file_every_processor_is_a_core(machine: Path) -> None:
    assert threads.available() == 8


def test_two_hardware_threads_of_one_core_count_once(machine: Path) -> None:
    for number in range(8):
        write(
            machine / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list",
            f"{number % 4},{number % 4 + 4}\n",
        )
    assert threads.available() == 4


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/", {"cpu.max": "max 100000\n"}, 8),
        ("0::/", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/", {"cpu.max": "nonsense\n"}, 8),
        (
            "0::/a.slice/b.service",
            {
                "cpu.max": "max 100000\n",
                "a.slice/cpu.max": "300000 100000\n",
                "a.slice/b.service/cpu.max": "500000 100000\n",
            },
            3,
        ),
        (
            "0::/a.slice/b.service",
            {"a.slice/b.service/cpu.max": "100000 100000\n", "a.slice/cpu.max": "300000 100000\n"},
            1,
        ),
        (
            "4:memory:/\n3:cpu,cpuacct:/docker/x",
            {"cpu/docker/x/cpu.cfs_quota_us": "250000\n", "cpu/docker/x/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        ("3:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("3:cpuset:/", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_the_least_share_of_the_control_groups_rounded_up_is_the_bound(
    machine: Path, group: str, files: dict[str, str], expected: int
) -> None:
    write(machine / "proc/self/cgroup", group + "\n")
    for name, text in files.items():
        write(machine / "sys/fs/cgroup" / name, text)
    assert threads.available() == expected


@pytest.mark.parametrize(("count", "expected"), [(6, 6), (None, 1)])
def test_a_system_without_affinity_gives_the_machines_cores(
    monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert threads.available() == expected


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)
def test_a_container_that_refuses_thread_affinity_gives_no_red_line(tmp_path: Path) -> None:
    (tmp_path / "refuses.c").write_text(REFUSES)
    library = tmp_path / "refuses.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "refuses.c"], check=True)
    ours = (
        "from edge_nusa import threads; from edge_nusa.model import sessions\n"
        "from edge_nusa.model.bundle import Bundle; from pathlib import Path\n"
        f"bundle = Bundle.open(Path({str(MICRO)!r}))\n"
    )
    ours += (
        "sessions.available = lambda: 4\nsessions.open_session(bundle, 'image_trunk', "
        "0)\nsessions.open_session(bundle, 'text_trunk', 2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ours], env=environment({"LD_PRELOAD": str(library)}), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.kernels
def test_what_numpy_computes_does_not_depend_on_the_environment_or_on_what_was_imported_first() -> None:
    code = (
        "import hashlib, numpy as np\nfrom edge_nusa.model import null_space\n"
        "from edge_nusa.knowledge.head import Head\n"
        "random = np.random.default_rng(0)\nrows = random.integers(-2000, 2000, (400, 600))\n"
        "solved = Head.empty(600).added(rows, np.arange(400) % 4, 4).solve()\n"
        "parts = [solved.whitening, solved.means, solved.whitened(rows), *null_space.split(random.normal(size=(300, "
        "300)), 64).__dict__.values()]\n"
        "print(hashlib.sha256(b''.join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())"
    )
    first = ("import edge_nusa.device\n", "import numpy\n")
    variables = (
        {"OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
        {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"},
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", words + code], env=environment(one), capture_output=True, text=True, check=True
        ).stdout
        for words in first
        for one in variables
    ]
    assert len(set(found)) == 1 and found[0].strip()
