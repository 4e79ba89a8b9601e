"""README and command line say the same: commands, examples, exit codes, and no gap left to fill."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_nusa.cli.commands import EXAMPLES
from edge_nusa.errors import EXIT_CODES, EdgeNusaError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def help_of(*command: str) -> str:
    """The help text of a command, in one line."""
    result = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", *command, "--help"], capture_output=True, text=True, check=True
    )
    return " ".join(result.stdout.split())


def command_rows() -> dict[str, str]:
    """The README's command table: name -> what it does."""
    return dict(re.findall(r"^\| `edge-nusa ([a-z]+)` \| (.+) \|$", README, re.MULTILINE))


def test_the_readme_lists_every_command_with_the_words_of_its_help() -> None:
    listed = help_of()
    assert set(command_rows()) == set(EXAMPLES)
    for name, sentence in command_rows().items():
        assert f" {name} " in listed
        assert sentence in help_of(name), name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_help_has_an_example_whose_options_exist(name: str) -> None:
    text = help_of(name)
    assert f"Example: {EXAMPLES[name]}" in text
    words = shlex.split(EXAMPLES[name])
    assert words[:2] == ["edge-nusa", name]
    for option in (word for word in words if word.startswith("--")):
        assert f"{option} " in text


def test_the_readme_lists_every_exit_code_and_every_error_has_one() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code): meaning for code, meaning in rows.items()} == EXIT_CODES
    for kind in EdgeNusaError.__subclasses__():
        assert kind.exit_code in EXIT_CODES


def test_nothing_in_the_documents_is_left_to_fill_in() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"@[A-Z]+@|TODO|FIXME|TBD", text), name
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / target).exists(), f"{name} links {target}"


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert re.search(rf"^make {target} ", README, re.MULTILINE)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("exec make test")
