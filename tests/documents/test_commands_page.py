"""docs/commands.md is what the command line says of itself, and what `--help` shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from edge_nusa.cli.commands import EXAMPLES

sys.path.insert(0, str(ROOT / "tools"))
import commands as command_pages  # noqa: E402 - a folder of scripts, not a package

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = {command.words: command for command in command_pages.commands()}


def help_of(*command: str) -> str:
    """The help text of a command, in one line."""
    result = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(result.stdout.split())


def test_the_page_is_current() -> None:
    assert command_pages.page() == PAGE, "run `make docs` and commit docs/commands.md"


def test_the_page_lists_every_command_of_the_help_and_no_other() -> None:
    listed = help_of()
    rows = re.findall(r"^\| \[`edge-nusa ([a-z]+)`\]\(#[a-z-]+\) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(EXAMPLES)
    for name, sentence in rows:
        assert f" {name} {sentence.split(' ')[0]}" in listed, name


def squeezed(text: str) -> str:
    """Without white space: `--help` breaks its lines at hyphens too."""
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("words", [name for name in COMMANDS if " " not in name or name in ("sync run", "hub merge")])
def test_the_page_says_of_a_command_what_its_help_says(words: str) -> None:
    text, command = help_of(*words.split()), COMMANDS[words]
    assert squeezed(command.sentence) in squeezed(text)
    for one in command.parameters:
        assert squeezed(one.help) in squeezed(text), one.name
        assert one.environment in text
        assert squeezed(f"default: {one.default}" if one.default else "") in squeezed(text), one.name
    shown = re.findall(r"(?<= )--[a-z][a-z-]+(?= )", text.partition("Options:")[2].partition("Example:")[0])
    own = {flag for one in command.parameters for flag in one.flags if flag.startswith("--")}
    assert own <= set(shown) <= own | {"--help"} | in_prose(command)


def in_prose(command: command_pages.Command) -> set[str]:
    """Options that the sentences of a command name."""
    return {match for one in command.parameters for match in re.findall(r"--[a-z][a-z-]+", one.help)}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_help_has_an_example_whose_options_exist(name: str) -> None:
    text = help_of(name)
    assert f"Example: {EXAMPLES[name]}" in text
    assert f"```sh\n{EXAMPLES[name]}\n```" in PAGE
    words = shlex.split(EXAMPLES[name])
    assert words[:2] == ["edge-nusa", name]
    own = [command for words_of, command in COMMANDS.items() if words_of.split()[0] == name]
    flags = {flag for command in own for one in command.parameters for flag in one.flags}
    assert flags.issuperset(word for word in words if word.startswith("--"))


def test_every_option_says_what_it_is_for() -> None:
    assert [
        f"{name} {one.name}" for name, command in COMMANDS.items() for one in command.parameters if not one.help
    ] == []
