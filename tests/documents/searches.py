"""Searches through documents for what is not so: files, names, links, command lines and options."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import commands as command_pages  # noqa: E402 - a folder of scripts, not a package

ROOMS = ("edge_nusa", "device", "export", "research")
TOP = (*ROOMS, "tests", "docs", "tools")
ENDINGS = r"(?:py|md|sh|lock|service|timer|png|toml)"
A_FILE = re.compile(rf"(?<![\w./*-])(?:[\w.-]+/)*[\w-]+\.{ENDINGS}(?![\w/.]*[\w])")
A_FOLDER = re.compile(rf"(?<![\w./-])(?:{'|'.join(TOP)})(?:/[\w-]+)*/(?!\w)")
A_NAME = re.compile(r"\bedge_nusa(?:\.\w+)+")
GROUPS = {"edge_nusa.learners", "edge_nusa.trunks"}
"""Dotted names that are no modules: groups of entry points."""
NOT_OURS = {"growth.png", "systemd-time-wait-sync.service", "mine.py", "results.md"}
"""Files that a shown command writes, or that the system has."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_of(text: str) -> Iterator[str]:
    """Every piece of code: the lines of fenced blocks, and what stands between backticks in a line."""
    for number, block in enumerate(text.split("```")):
        if number % 2:
            yield from block.replace("\\\n", " ").splitlines()[1:]
        else:
            yield from re.findall(r"`([^`\n]+)`", block)


@cache
def tracked() -> frozenset[str]:
    """Every file of the source by its path below the root, without what a checkout ignores."""
    found = [path for top in TOP for path in (ROOT / top).rglob("*") if "__pycache__" not in path.parts]
    found += [*ROOT.glob("*.*"), *(ROOT / ".ci").glob("*")]
    return frozenset(name_of(path) for path in found if path.is_file())


def missing_files(text: str, folder: Path) -> list[str]:
    """Files and folders that a text names and that are not there; a bare file name may lie anywhere, and what the
    demonstration leaves is tests/test_readme.py's, what `hub flower` writes tests/fleet/test_flower_recipe.py's."""
    bare = {name.rsplit("/", 1)[-1] for name in tracked()}
    lost = []
    for piece in code_of(text):
        for match in A_FILE.findall(piece):
            is_there = (ROOT / match).exists() or (folder / match).exists() or ("/" not in match and match in bare)
            lost += [] if is_there or match in NOT_OURS or match.startswith(("demo-out/", "flower/")) else [match]
        lost += [match for match in A_FOLDER.findall(piece) if not (ROOT / match).is_dir()]
    return lost


def missing_names(text: str) -> list[str]:
    """Dotted names of ours that cannot be imported."""
    return [name for name in A_NAME.findall(text) if name not in GROUPS and not exists(name)]


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or lies in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:cut])
        if stem.is_dir() or stem.with_suffix(".py").exists():
            source = stem.with_suffix(".py") if not stem.is_dir() else stem / "__init__.py"
            return all(re.search(rf"^\s*(?:def |class )?{part}\b", text_of(source), re.M) for part in parts[cut:])
    return False


def anchors_of(text: str) -> set[str]:
    """The anchors of a document's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Links of a document to files or headings that are not there."""
    broken = []
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", text_of(path)):
        target, _, anchor = link.partition("#")
        file = (path.parent / target) if target else path
        if not file.exists() or (anchor and anchor not in anchors_of(text_of(file))):
            broken.append(link)
    return broken


@cache
def flags() -> dict[str, frozenset[str]]:
    """The options of every command of `edge-nusa`, by the command's words; those of a group are its commands'."""
    found: dict[str, set[str]] = {}
    for command in command_pages.commands():
        own = {"--help", "-h", *(flag for one in command.parameters for flag in one.flags)}
        found[command.words] = own
        found.setdefault(command.words.split()[0], set()).update(own)
    return {words: frozenset(own) for words, own in found.items()}


def calls(text: str) -> Iterator[list[str]]:
    """The words after `edge-nusa` of every command line in a text, up to where the shell ends it."""
    for piece in code_of(text):
        if "edge-nusa " not in piece or re.match(r"(pip|python -m pip|git|docker build|scp) ", piece):
            continue
        try:
            words = shlex.split(re.sub(r"[…<>]", "X", piece), comments=True)
        except ValueError:
            continue  # prose between backticks with an apostrophe
        starts = [i for i, word in enumerate(words) if word == "edge-nusa" or word.endswith("/edge-nusa")]
        for start in starts:
            rest = words[start + 1 :]
            yield rest[: next((i for i, word in enumerate(rest) if word in ("&&", ";", "|", "||", "edge-nusa")), None)]


def wrong_calls(text: str) -> list[str]:
    """Command lines of a text whose command or option does not exist."""
    wrong = []
    for words in calls(text):
        if not words or words[0].startswith("-") or words[0].isupper() or words[0] == "help":
            continue
        command = " ".join(words[:2]) if " ".join(words[:2]) in flags() else words[0]
        known = flags().get(command)
        options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        if known is None or not known.issuperset(options):
            wrong.append(" ".join(words))
    return wrong


def unknown_options(text: str) -> list[str]:
    """Options between backticks that neither `edge-nusa` nor a script of this repository has."""
    ours = frozenset().union(*flags().values())
    named = {match for piece in code_of(text) for match in re.findall(r"(?<![\w-])--[a-z][a-z-]+", piece)}
    return sorted(option for option in named - ours - OF_OTHERS - OF_COMPILERS if not in_scripts(option))


OF_OTHERS = {"--user", "--tail", "--index-url", "--extra-index-url", "--platform", "--rm", "--network", "--read-only",
             "--tmpfs", "--data-binary", "--install-completion", "--build-arg", "--force-reinstall",
             "--check", "--array", "--wait", "--wrap", "--cpus-per-task", "--nthreads", "--nworkers",
             "--trusted-entities"}  # fmt: skip
"""Options of systemctl, docker, pip, curl, make, sbatch, dask, Flower and `edge-nusa` that documents show."""
OF_COMPILERS = {"--calib-set-path", "--end-node-names", "--har-path", "--hw-arch", "--model-script",
                "--output-har-path", "--input", "--output", "--onnx", "--save", "--fp"}  # fmt: skip
"""Options of vendors' compilers for accelerators, as far as small letters go."""


@cache
def in_scripts(option: str) -> bool:
    """Whether a script of ours, or the code that parses for one, names the option."""
    sources = [
        name for name in tracked() if name.endswith((".py", ".sh", "Dockerfile")) and "test_documents" not in name
    ]
    return any(f'"{option}"' in text_of(ROOT / name) or f"{option})" in text_of(ROOT / name) for name in sources)
