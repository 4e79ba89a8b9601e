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


def loaded_after(*arguments: str | Path, env: Mapping[str, str] | None = None) -> set[str]:
    """The top-level modules in sys.modules after a command ended well in a fresh interpreter."""
    script = (
        "import sys\nfrom edge_nusa.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    words = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(words, env=environment(env), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("LOADED ", 1)[1].split())
