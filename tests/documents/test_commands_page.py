"""docs/commands.md is what the command line says of itself, and what `--help` shows."""

from __future__ import annotations

import re
import sys

import pytest
from conftest import ROOT, run_cli
from searches import wrong_calls

from edge_nusa.cli.commands import EXAMPLES, PARTS

sys.path.insert(0, str(ROOT / "tools"))
import commands as command_pages  # noqa: E402 - a folder of scripts, not a package

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = {command.words: command for command in command_pages.commands()}


def help_of(*command: str) -> str:
    """The help text of a command, in one line."""
    return " ".join(run_cli(*command, "--help").stdout.split())


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
    shown = re.findall(r"(?<= )--[a-z][a-z-]+(?= )", text.partition("Example")[0])
    own = {flag for one in command.parameters for flag in one.flags if flag.startswith("--")}
    assert own <= set(shown) <= own | {"--help"} | in_prose(command)


def in_prose(command: command_pages.Command) -> set[str]:
    """Options that the sentences of a command name."""
    prose = " ".join([command.sentence, *(one.help for one in command.parameters)])
    return set(re.findall(r"--[a-z][a-z-]+", prose))


@pytest.mark.parametrize("name", [*EXAMPLES, *PARTS])
def test_every_help_has_examples_whose_options_exist(name: str) -> None:
    examples = {**EXAMPLES, **PARTS}[name]
    lines = run_cli(*name.split(), "--help").stdout.splitlines()
    assert [line.strip() for line in lines[-len(examples.splitlines()) :]] == examples.splitlines()
    assert f"```sh\n{examples}\n```" in PAGE
    for example in examples.splitlines():
        assert f"edge-nusa {name}" in example and len(example) <= 78
        assert wrong_calls(f"`{example}`") == []


def test_every_command_of_a_group_has_an_example() -> None:
    assert {words for words in COMMANDS if " " in words} == set(PARTS)


def test_every_option_says_what_it_is_for() -> None:
    assert [
        f"{name} {one.name}" for name, command in COMMANDS.items() for one in command.parameters if not one.help
    ] == []
