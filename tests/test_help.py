"""How the command line explains itself: help that fits its terminal, and the right name for a wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from conftest import ROOT, environment, run_cli
from processes import loaded_after

from edge_nusa import __version__
from edge_nusa.cli import help, synonyms
from edge_nusa.cli.app import app
from edge_nusa.cli.later import program

sys.path.insert(0, str(ROOT / "tools"))
import commands as command_pages  # noqa: E402 - a folder of scripts, not a package

COMMANDS = {command.words: command for command in command_pages.commands()}
GROUPS = ("", "sync", "hub")
MANY = 8
"""Options above which a command has them in groups."""


def shown(*words: str) -> list[str]:
    """The lines of a help text on a terminal of 80 columns."""
    done = run_cli(*words, "--help", env={"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("words", [*GROUPS, *COMMANDS])
def test_no_line_of_a_help_text_is_longer_than_80_columns_or_cut(words: str) -> None:
    lines = shown(*words.split())
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")] == []


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_command_does_is_said_whole_in_the_list_of_commands(group: str) -> None:
    text = "\n".join(shown(*group.split()))
    for words, command in COMMANDS.items():
        before, _, name = words.rpartition(" ")
        if before == group:
            first = re.match(r"[^.]+\.", command.sentence)
            assert first and re.search(rf"^  {name} +{re.escape(first[0])}$", text, re.MULTILINE), words


def test_every_command_of_the_help_is_under_what_it_is_for() -> None:
    lines = shown()
    assert f"{help.REST}:" not in lines
    titles = [line[:-1] for line in lines if re.fullmatch(r"[A-Z][^:]+:", line)]
    assert titles == [*help.SECTIONS, "Options"]


def group_names(lines: Sequence[str]) -> list[str]:
    return [line[:-1] for line in lines if re.fullmatch(r"[A-Z][^:]+:", line)]


@pytest.mark.parametrize("words", COMMANDS)
def test_many_options_are_in_groups_of_which_the_first_has_few(words: str) -> None:
    lines = shown(*words.split())
    names = group_names(lines)
    common = [name for name in names if name in (help.WHERE, help.BOARD, help.OUTPUT)]
    ending = [name for name in names if name.startswith("Example")]
    assert names[len(names) - len(common) - len(ending) :] == [*common, *ending] and len(ending) == 1
    if len(COMMANDS[words].parameters) > MANY and "Options" in names:
        begin = lines.index("Options:")
        first = [line for line in lines[begin : lines.index("", begin)] if re.match(r"  -", line)]
        assert 1 <= len(first) <= MANY


def test_an_argument_is_called_as_in_the_usage() -> None:
    assert any(line.startswith("  FILE ") for line in shown("mqtt")), "and not PATH, as an option's value is"


@pytest.mark.parametrize(
    ("takes", "says", "read"),
    [
        ("--steps <int range>", "Steps.  [1<=x<=100000]", ("--steps N", "Steps.  [1 to 100000]")),
        ("--steps INTEGER RANGE", r"Steps.  \[x>=1]", ("--steps N", "Steps.  [1 or more]")),
        ("--rate <float>", "", ("--rate N", "")),
        ("--every FLOAT RANGE", "[0.05<=x<=86400]", ("--every N", "[0.05 to 86400]")),
        ("--seed <int>", "[0<=x<=9223372036854775807]", ("--seed N", "[0 or more]")),
        ("--state <path>", "", ("--state PATH", "")),
        ("--label <str>", "", ("--label TEXT", "")),
        ("--format [human|json]", "", ("--format human|json", "")),
        ("--format <human|json>", "", ("--format human|json", "")),
        ("-q, --quiet", "No [notes].", ("-q, --quiet", "No [notes].")),
    ],
)
def test_what_typer_says_of_a_value_is_said_in_words_by_every_version_of_it(
    takes: str, says: str, read: tuple[str, str]
) -> None:
    assert help.words(takes, says) == read


@pytest.mark.parametrize("words", ["", "learn", "sync", "sync push"])
def test_help_and_a_command_is_that_commands_help(words: str) -> None:
    assert run_cli("help", *words.split()).stdout.splitlines()[1:] == shown(*words.split())[1:]


def test_a_group_alone_or_with_help_shows_its_help() -> None:
    assert run_cli("sync").stdout == run_cli("sync", "help").stdout == run_cli("sync", "--help").stdout
    assert run_cli().stdout == run_cli("help").stdout == run_cli("--help").stdout
    assert run_cli("sync", "help", "push").stdout == run_cli("sync", "push", "-h").stdout


def test_the_version_is_one_line() -> None:
    done = run_cli("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"edge-nusa {__version__}\n", "")


def test_the_package_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "edge_nusa", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, f"edge-nusa {__version__}\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train", "`edge-nusa learn`"),
        ("remove", "`edge-nusa forget`"),
        ("Delete", "`edge-nusa forget`"),
        ("list", "`edge-nusa labels`"),
        ("ls", "`edge-nusa labels`"),
        ("classify", "`edge-nusa predict`"),
        ("infer", "`edge-nusa predict`"),
        ("version", "`edge-nusa --version`"),
        ("lern", "`edge-nusa learn`"),
        ("sync psh", "`edge-nusa sync push`"),
        ("sync join", "`edge-nusa sync init`"),
        ("hub remove", "`edge-nusa hub revoke`"),
    ],
)
def test_a_word_that_is_no_command_is_answered_with_the_right_one(typed: str, meant: str) -> None:
    done = run_cli(*typed.split())
    before = "edge-nusa" if " " not in typed else f"edge-nusa {typed.split()[0]}"
    word = typed.split()[-1]
    line = f"edge-nusa: `{before}` has no command '{word}'; did you mean {meant}? `{before} --help` lists all\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_word_that_is_like_no_command_is_not_answered_with_one() -> None:
    line = "edge-nusa: `edge-nusa` has no command 'xyzzy'; `edge-nusa --help` lists them\n"
    assert run_cli("xyzzy").stderr == line


@pytest.mark.parametrize(
    ("typed", "names", "meant"),
    [
        ("serve", ("learn", "teach"), "`edge-nusa teach`"),
        ("serve", ("learn", "labels"), None),
        ("remove", ("demo", "learn"), None),  # their ratio is 0.6
        ("labls", ("demo", "labels"), "`edge-nusa labels`"),
    ],
)
def test_only_a_command_that_exists_and_is_near_enough_is_offered(
    typed: str, names: tuple[str, ...], meant: str | None
) -> None:
    text = str(synonyms.unknown(typed, "", names))
    assert (f"did you mean {meant}?" in text) if meant else ("did you mean" not in text)


def test_no_word_means_two_commands_or_is_one() -> None:
    for group, meant in synonyms.MEANT.items():
        typed = [word for words in meant.values() for word in words.split()]
        assert sorted(set(typed)) == sorted(typed)
        names = {words.removeprefix(f"{group} ") for words in COMMANDS if words.rpartition(" ")[0] == group}
        assert not names.intersection(typed)


def test_only_the_command_that_runs_is_built() -> None:
    built = program(app)
    assert list(built.commands) == [*dict.fromkeys(words.split()[0] for words in COMMANDS)]
    made = dict.values  # without making any
    assert {*made(built.commands)} == {None}
    built(["history", "--help"], standalone_mode=False)
    assert [one.name for one in made(built.commands) if one is not None] == ["history"]
    assert built.commands.get("nothing") is None and built.commands.get("nothing", 3) == 3
    assert [name for name, one in built.commands.items()] == [one.name for one in built.commands.values()]
    assert [*built.commands["sync"].commands] == [words[5:] for words in COMMANDS if words.startswith("sync ")]


def test_help_loads_nothing_to_check_values_with() -> None:
    for words in [("--help",), ("learn", "--help"), ("sync", "push", "--help")]:
        assert not loaded_after(*words) & {"pydantic", "rich"}, words
