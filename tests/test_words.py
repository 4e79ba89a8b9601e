"""One word for one thing in all that people read: pictures, which are set aside; the JSON keeps its names."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import commands as command_pages  # noqa: E402 - a folder of scripts, not a package

NOT_SAID = (
    (r"quarantin", "set aside"),
    (r"(?<!-)\bimages?\b(?! (tower|trunk|blocks?|tail|of Pillow|of the mode))(?!\|)", "pictures"),
    (r"\b(pictures?|files?)\b[^;]{0,20}\b(is|are|was|were) refused|refused (pictures?|files?)\b", "set aside"),
)
"""What people do not read, and what they read instead. An image tower is the field's word, `--images` an option."""
SOURCES = sorted(
    path
    for room in ("edge_nusa", "device")
    for path in (ROOT / room).rglob("*.py")
    if "__pycache__" not in path.parts and "install" not in path.parts
)


def faults(text: str) -> list[str]:
    """The words of a text that are not said, with what to say."""
    found = ((match[0], instead) for words, instead in NOT_SAID if (match := re.search(words, text, re.IGNORECASE)))
    return [f"{word!r} (say {instead}) in {text!r}" for word, instead in found]


def said(path: Path) -> Iterator[str]:
    """The texts of a source that may be shown: those of more than one word that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nobody = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in nobody:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_message_says_pictures_that_are_set_aside(path: Path) -> None:
    assert [fault for text in said(path) if " " in text for fault in faults(text)] == []


def test_a_help_text_says_pictures_that_are_set_aside() -> None:
    for command in command_pages.commands():
        texts = [command.sentence, *(one.help for one in command.parameters)]
        assert [fault for text in texts for fault in faults(text)] == [], command.words


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        ("no kept images", False),
        ("the image tower's blocks", True),
        ("an image that is cut", False),
        ("use --images DIR", True),
        ("3 pictures were quarantined", False),
        ("3 pictures are refused", False),
        ("refused files", False),
        ("refused by the judge; the pictures are the same", True),
        ("pictures were set aside", True),
    ],
)
def test_the_search_for_words_finds_them(text: str, is_said: bool) -> None:
    assert (faults(text) == []) == is_said
