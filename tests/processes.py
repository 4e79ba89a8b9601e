"""The command line in a fresh process that is hindered: parts of it replaced, its output refused, its numbers
bounded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from conftest import command, environment

from edge_nusa.errors import EXIT_CODES

WORKSHOP = ("torch", "open_clip", "onnx", "onnxscript", "torchvision", "matplotlib", "sklearn", "skimage")
"""Packages that only a workstation has; nothing that a board runs to ask loads them."""

ENGINES = ("flwr", "dask", "distributed", "joblib", "grpc", "ray", "prometheus_client")
"""What connects machines; no command of a lone board so much as looks for one, installed or not."""


def run_patched(
    patch: str, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `edge-nusa` after the Python of `patch` in the same process."""
    program = f"{patch}\nfrom edge_nusa.cli.main import run\nrun()"
    words = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(words, env=environment(env), capture_output=True, text=True, timeout=300)


def run_shell(
    redirection: str, *arguments: str | Path, cwd: Path | None = None, first: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs `edge-nusa` under bash with a redirection behind it, after the words `first`; the exit code is
    edge-nusa's own."""
    line = f'{first}"$@" {redirection}; exit ${{PIPESTATUS[0]}}'
    words = ["bash", "-c", line, "bash", *command(*arguments)]
    return subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr of a process that ended with this documented code."""
    assert done.returncode == code, done.stderr
    assert code in EXIT_CODES
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("edge-nusa: ") and done.stderr.endswith("\n") and done.stderr.count("\n") == 1, (
        done.stderr
    )
    return done.stderr[:-1]


def loaded_after(*arguments: str | Path, env: Mapping[str, str] | None = None, first: str = "") -> set[str]:
    """The modules of ours and the top-level ones of others in sys.modules after a command ended well in a fresh
    interpreter. Fails where it looked for one of ENGINES. first: Python that runs before it."""
    script = (
        "import sys\nasked = set()\n"
        "class Noted:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n        asked.add(name)\n"
        f"sys.meta_path.insert(0, Noted)\n{first}\nfrom edge_nusa.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"assert not asked & {set(ENGINES)!r}, asked & {set(ENGINES)!r}\n"
        "print('LOADED', *{n if n.startswith('edge_nusa.') else n.split('.')[0] for n in sys.modules})\n"
    )
    words = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(words, env=environment(env), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("LOADED ", 1)[1].split())
