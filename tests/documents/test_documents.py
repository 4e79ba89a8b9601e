"""What the documents say is so: files, names, links, command lines, versions and figures are those of the source."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from conftest import MICRO, ROOT
from searches import (
    ROOMS,
    broken_links,
    code_of,
    exists,
    missing_files,
    missing_names,
    name_of,
    text_of,
    unknown_options,
    wrong_calls,
)

from edge_nusa.knowledge import stored
from edge_nusa.knowledge.recipes import DEVICE, PAPER
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync import packed, round_file

ARCHITECTURE = text_of(ROOT / "ARCHITECTURE.md")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "research" / "rivals" / "README.md"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
class TestEveryDocument:
    """Each kind of statement that can be held, over each document."""

    def test_names_only_files_that_exist(self, path: Path) -> None:
        assert missing_files(text_of(path), path.parent) == []

    def test_names_only_modules_and_functions_that_exist(self, path: Path) -> None:
        assert missing_names(text_of(path)) == []

    def test_links_to_files_and_headings_that_exist(self, path: Path) -> None:
        assert broken_links(path) == []

    def test_shows_only_commands_and_options_that_exist(self, path: Path) -> None:
        assert wrong_calls(text_of(path)) == []
        assert unknown_options(text_of(path)) == []

    def test_runs_only_modules_and_make_targets_that_exist(self, path: Path) -> None:
        makefile = text_of(ROOT / "Makefile")
        for piece in code_of(text_of(path)):
            for module in re.findall(r"python -m (edge_nusa[\w.]*)", piece):
                assert exists(module), module
            for target in re.findall(r"^make ([a-z-]+)", piece):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

    def test_leaves_nothing_to_fill_in(self, path: Path) -> None:
        assert not re.search(r"@[A-Z]+@|TODO|FIXME|TBD", text_of(path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see `device/gone.py`", ["device/gone.py"]),
        ("see `gone.py`", ["gone.py"]),
        ("see `device/learning/`, `judge.py`", []),
        ("see `device/gone/`", ["device/gone/"]),
        ("a state's `manifest.json`", []),
        ("not code: device/gone.py", []),
        ("```sh\npytest tests/gone.py\n```", ["tests/gone.py"]),
    ],
)
def test_the_search_for_files_finds_those_that_are_gone(text: str, found: list[str]) -> None:
    assert missing_files(text, ROOT) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`edge-nusa learn --images a --label b`", []),
        ("`edge-nusa learn --picture a`", ["learn --picture a"]),
        ("`edge-nusa train`", ["train"]),
        ("`edge-nusa hub merge --rule mean`", []),
        ("`edge-nusa hub merge --mirror x`", ["hub merge --mirror x"]),
        ("```sh\nedge-nusa undo  # --gone\n```", []),
        ("```sh\nedge-nusa undo && edge-nusa labels --gone\n```", ["labels --gone"]),
        ("```sh\nedge-nusa learn --images a \\\n  --gone\n```", ["learn --images a --gone"]),
    ],
)
def test_the_search_for_command_lines_finds_those_that_would_be_refused(text: str, found: list[str]) -> None:
    assert wrong_calls(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`edge_nusa.model.bundle.Bundle`", []),
        ("`edge_nusa.device.learning.judge`", []),
        ("`edge_nusa.model.bundle.Gone`", ["edge_nusa.model.bundle.Gone"]),
        ("`edge_nusa.gone`", ["edge_nusa.gone"]),
    ],
)
def test_the_search_for_names_finds_those_that_are_gone(text: str, found: list[str]) -> None:
    assert missing_names(text) == found


def test_the_search_for_options_finds_those_that_nothing_has() -> None:
    assert unknown_options("`--recipe paper`, `--opponents lora`, `--gone`") == ["--gone"]


def constant(name: str) -> object:
    """The value of a dotted name of ours."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def numbers_of(document: str, column: int) -> dict[str, float]:
    """Of each table row that ends with a name of ours: the number in a column, by that name."""
    rows = re.findall(r"^\|(.+)\| `(edge_nusa[\w.]+)` \|$", text_of(ROOT / document), re.MULTILINE)
    return {name: float(row.split("|")[column]) for row, name in rows}


def test_the_table_of_formats_has_the_version_of_every_format_of_the_source() -> None:
    said = numbers_of("ARCHITECTURE.md", 1)
    assert {name: constant(name) for name in said} == said
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    counted = [
        path for path in set(map(Path.resolve, sources)) if re.search(r"^FORMAT_VERSION = ", text_of(path), re.M)
    ]
    assert len(said) == len(counted) >= 9


def test_the_table_of_numbers_that_decide_has_the_values_of_the_source() -> None:
    said = numbers_of("docs/decisions.md", 1)
    assert len(said) >= 16
    assert {name: constant(name) for name in said} == said


def test_each_of_the_twelve_questions_is_answered_in_at_most_two_files_that_have_the_names() -> None:
    part = text_of(ROOT / "CONTRIBUTING.md").partition("## Twelve questions\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+\?) \| (.+) \| (.+) \|$", part, re.MULTILINE)
    assert len(rows) == 12
    for question, files, names in rows:
        paths = [ROOT / name for name in re.findall(r"`([^`]+)`", files)]
        assert 1 <= len(paths) <= 2, question
        sources = "\n".join(map(text_of, paths))
        for name in re.findall(r"`([^`]+)`", names):
            assert re.search(rf"^\s*(?:def |class ){name}\b|^{name} = ", sources, re.MULTILINE), f"{question} {name}"


def test_the_header_of_a_round_has_the_fields_that_are_said_of_it() -> None:
    shapes = packed.UpdateShapes(Bundle.open(MICRO))
    header = json.loads(round_file.encode(round_file.nothing("fleet", shapes)).partition(b"\n")[0])
    [sentence] = re.findall(r"^The line of JSON of a round has these fields: (.+)$", ARCHITECTURE, re.MULTILINE)
    header |= {"renamed": []}  # of a fleet that has renamed a label
    assert set(re.findall(r"`(\w+)`", sentence)) == set(header)
    said = (round_file.__doc__ or "").partition("canonical JSON (")[2].partition(")")[0]
    assert set(re.findall(r"\w+", said)) - {
        "and",
        "the",
        "SHA",
        "256",
        "of",
        "what",
        "follows",
        "where",
        "there",
        "is",
        "any",
    } == set(header) - {"sha256"}


def test_the_table_of_a_states_files_has_those_that_a_generation_has() -> None:
    part = ARCHITECTURE.partition("### State")[2].partition("\n###")[0]
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", part, re.MULTILINE)) == set(stored.FILES)


def test_the_table_of_a_bundles_files_has_those_of_one_with_all() -> None:
    part = ARCHITECTURE.partition("### Bundle")[2].partition("\n###")[0]
    first = "\n".join(re.findall(r"^\| (.+?) \|", part, re.MULTILINE))
    assert set(re.findall(r"`(\w+\.\w+)`", first)) == {path.name for path in MICRO.iterdir()}


SCRIPTS = sorted(
    path for top in (*ROOMS, "tools") for path in (ROOT / top).rglob("*.*") if path.suffix in (".py", ".sh")
)


def test_the_source_names_only_documents_and_sections_that_exist() -> None:
    for path in SCRIPTS:
        text = text_of(path)
        for name in re.findall(r"(?<![\w/])(?:docs/\w+|ARCHITECTURE|CONTRIBUTING|SECURITY)\.md", text):
            assert (ROOT / name).exists(), f"{name_of(path)} names {name}"
        for section in re.findall(r"\(README, ([a-z ]+)\)", text):
            assert f"\n## {section.capitalize()}\n" in text_of(ROOT / "README.md"), f"{name_of(path)}: {section}"


@pytest.mark.parametrize("top", [*ROOMS, "tools"])
def test_the_source_names_only_modules_and_functions_that_exist(top: str) -> None:
    for path in (path for path in SCRIPTS if path.is_relative_to(ROOT / top)):
        named = " ".join(re.findall(r"`(edge_nusa(?:\.\w+)+)`", text_of(path)))
        assert missing_names(named) == [], name_of(path)


def test_the_recipes_are_described_with_their_numbers() -> None:
    text = text_of(ROOT / "docs" / "decisions.md")
    assert (
        f"AdamW at 3e-4, {PAPER.steps:,} steps, batch {PAPER.batch}, label smoothing {PAPER.label_smoothing}, "
        f"dropout {PAPER.dropout}"
    ) in text
    assert (
        f"trains {DEVICE.steps} steps of {DEVICE.batch} at 2e-2 (less where the rank is above {DEVICE.rate_rank})"
        in text
    )
    assert (PAPER.learning_rate, DEVICE.learning_rate) == (3e-4, 2e-2)
    assert (
        f"rate 2e-2, {DEVICE.recalled} old labels and {DEVICE.negatives} nouns a step, weight {DEVICE.staying:g}"
        in (text_of(ROOT / "docs" / "evidence.md"))
    )


def test_the_glossary_gives_a_word_one_meaning() -> None:
    words = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text_of(ROOT / "docs" / "glossary.md"), re.MULTILINE)
    entries = [word for entry in words if entry != "word" for word in entry.split(", ")]
    assert len(entries) > 90
    assert sorted(set(entries)) == sorted(entries)


def test_the_layers_of_the_document_are_those_of_the_contract() -> None:
    settings = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    [line] = re.findall(r"^(`cli` > .+)$", ARCHITECTURE, re.MULTILINE)
    layers = [re.findall(r"`(\w+)`", part) for part in line.split(" > ")]
    assert layers == [layer.split(" | ") for layer in settings["layers"]]
