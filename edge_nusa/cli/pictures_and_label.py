"""What the words after `learn` mean: pictures and their label.

Every word is a picture, a folder or a pattern; where no --label is given, the last one is the label, which no file or
folder may be called: what could be either is asked about.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from edge_nusa.cli import named
from edge_nusa.errors import UsageError

EXAMPLE = 'edge-nusa learn mugs/ "my mug"'
MOST_LOOKED_AT = 1000
"""Entries of a folder that are looked at to see whether it is one of folders."""


def told(
    words: Sequence[str], images: Sequence[str], label: str | None, dataset: Path | None
) -> tuple[list[Path], str] | Path:
    """The files and folders of the pictures, and the label; or the folder of a data set.

    words: what stands after `learn`; images: of --images, where no label can be. Raises UsageError where that is not
    clear, InputError for a pattern that matches nothing.
    """
    if dataset is not None:
        if words or images or label is not None:
            raise UsageError("learn: expected either pictures and their label, or --dataset DIR alone, found both")
        return dataset
    if label is None and words:
        _check_label(words, images)
        words, label = words[:-1], words[-1]
    places = [*images, *words]
    if label is None and len(places) == 1 and os.path.lexists(places[0]):
        raise UsageError(_no_label(Path(places[0])))
    if not places or label is None:
        found = f"{_quoted(label)} alone" if label else "no label" if places else "neither"
        raise UsageError(
            f"learn: expected pictures and their label, or --dataset DIR, found {found}; such as: {EXAMPLE}"
        )
    return [path for place in places for path in named.matches(place)], label


def _check_label(words: Sequence[str], images: Sequence[str]) -> None:
    """Raises UsageError where the last word may be no label."""
    last = words[-1]
    if os.path.lexists(last):
        raise UsageError(_no_label(Path(last)) if len(words) + len(images) == 1 else _either([*images, *words]))
    if _is_like_a_path(last):
        raise UsageError(
            f"learn: expected a label as the last word, found {_quoted(last)}, which looks like a path and is none; "
            f"check it, or give the label by --label NAME"
        )


def _either(words: Sequence[str]) -> str:
    """Why the last word, which is there as a file or folder, is no label yet."""
    last, kind = words[-1], "a folder" if Path(words[-1]).is_dir() else "a file"
    others = " ".join(map(_quoted, words[:-1])) if len(words) < 4 else f"{_quoted(words[0])} ..."
    return (
        f"learn: expected a label, found {_quoted(last)} as the last word, which is {kind} here; if it is the label: "
        f"edge-nusa learn {others} --label {_quoted(last)}; if it holds pictures too, add --label NAME"
    )


def _no_label(place: Path) -> str:
    """Why pictures without a label are no lesson; folders in a folder are perhaps the labels."""
    word = _quoted(str(place))
    inner = _folders_of(place)
    if not inner:
        return f"learn: expected a label for {word}, found none; write it behind: edge-nusa learn {word} NAME"
    found = ", ".join(map(_quoted, inner[:3])) + (f" and {len(inner) - 3} more" if len(inner) > 3 else "")
    return (
        f"learn: expected a label for {word}, found none, and folders in it: {found}; did you mean --dataset {word}, "
        f"where each folder is a label? for one label: edge-nusa learn {word} NAME"
    )


def _folders_of(place: Path) -> list[str]:
    """The names of the folders in a folder without any picture beside them, in order."""
    from itertools import islice

    from edge_nusa.files.opening import listing
    from edge_nusa.pictures.names import is_bin, name_fault

    if not place.is_dir():
        return []
    with listing(place) as entries:
        shown = [entry for entry in islice(entries, MOST_LOOKED_AT) if not entry.name.startswith(".")]
    if any(entry.is_file() and name_fault(Path(entry.name)) is None for entry in shown):
        return []
    return sorted(entry.name for entry in shown if entry.is_dir() and not is_bin(entry.name))


def _is_like_a_path(word: str) -> bool:
    """Whether a word that no file is called was meant as one: it ends as a picture's name, or lies in a folder that is
    there."""
    from edge_nusa.pictures.names import SUFFIXES

    folder = os.path.dirname(word.rstrip("/"))
    return word.endswith("/") or Path(word).suffix.lower() in SUFFIXES or (folder != "" and os.path.isdir(folder))


def _quoted(word: str) -> str:
    from edge_nusa.pictures.names import printable

    return printable(shlex.quote(word))
