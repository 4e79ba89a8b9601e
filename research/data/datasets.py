"""The data sets below one root: folders `<set>/<class>/<picture>`; nothing is decoded.

`classes.json` beside the sets gives a set its names: {"<set>": {"template": "a photo of a {}.", "classes": {"<folder>":
"<name>"}}}, or `templates`, a list of them. A set is split by its folders train and test (or val), else by the prefixes
train_ and test_ of its files' names (val_ and the folder val beside test are left out of both), else by lot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.pictures.pictures import find_pictures, printable
from edge_nusa.research.data.sets import (
    DataSet,
    Example,
    Picture,
    assembled,
    content_digest,
    few,
    folders,
    limit_test,
    open_picture,
    split_by_lot,
    take_shots,
)

__all__ = [
    "DEFAULT_TEMPLATE",
    "DataSet",
    "Picture",
    "content_digest",
    "find_sets",
    "limit_test",
    "named",
    "names_of",
    "open_picture",
    "set_names",
    "take_shots",
]

NAMINGS = ("own", "meaningless", "swapped")
FIRST_PART = 4711
DEFAULT_TEMPLATE = "a photo of a {}."
NAMES_FILE, LARGEST_NAMES_BYTES = "classes.json", 16 << 20
TRAIN, VALIDATION, TEST = "train", "val", "test"


def find_sets(root: Path, names: Sequence[str] | None) -> list[DataSet]:
    """The named sets below `root` in this order, or all by name where `names` is None. Loose files are no sets.

    Raises InputError where `root` holds no set, or none of that name, and for a set that is not whole.
    """
    present = set_names(root)
    wanted = present if names is None else list(dict.fromkeys(names))
    strange = [name for name in wanted if name not in present]
    if strange or not present:
        raise InputError(
            f"{printable(root)}: expected sets out of {few(present)}, found {few(strange)}; check the names and the "
            "folder"
        )
    entries = names_of(root)
    return [_read(root / name, entries.get(name)) for name in wanted]


def set_names(root: Path) -> list[str]:
    """The names of the sets below `root`, sorted. Raises InputError where it is no folder, or one set by itself."""
    if not root.is_dir():
        raise InputError(
            f"{printable(root)}: expected a folder with a sub-folder for each data set, found none; check the path"
        )
    within = folders(root)
    names = sorted(folder.name for folder in within if folders(folder))
    is_split = TRAIN in names and len(names) > 1 and {TRAIN, VALIDATION, TEST}.issuperset(names)
    if is_split or (within and not names):
        what = f"the parts {few(names)}" if is_split else f"class folders such as {printable(within[0].name)}"
        raise InputError(
            f"{printable(root)}: expected a folder with a sub-folder for each data set, found one set with {what}; "
            "give the folder above it"
        )
    return names


def named(dataset: DataSet, naming: str) -> DataSet:
    """The set as its labels are put into prompts: `own` names; `meaningless` ones ("part 4711", which tell CLIP
    nothing); or `swapped` (each class under the name of the next, which contradicts what CLIP knows). Raises
    UsageError for another word."""
    if naming not in NAMINGS:
        raise UsageError(f"--naming: expected one of {', '.join(NAMINGS)}, got {naming!r}")
    labels = dataset.labels
    if naming == "meaningless":
        labels = tuple(f"part {FIRST_PART + 101 * index}" for index in range(len(labels)))
    if naming == "swapped":
        labels = (*labels[1:], labels[0])
    return replace(dataset, labels=labels)


def names_of(root: Path) -> dict[str, Any]:
    """What `classes.json` in `root` says, nothing where there is none. Raises InputError for another content."""
    file = root / NAMES_FILE
    if not file.exists():
        return {}
    try:
        data = durable.read_at_most(file, LARGEST_NAMES_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{printable(file)}: expected a readable file, found {error.strerror}; correct the file or remove it"
        ) from error
    origin = Origin(printable(file), "correct the file or remove it", InputError)
    return dict(parse(data, origin, LARGEST_NAMES_BYTES).fields)


def _read(folder: Path, entry: Any) -> DataSet:
    """The set in `folder`. entry: its part of classes.json, None where it has none. Raises InputError as `find_sets`
    does."""
    pictures = _by_folders(folder) or _by_class(folder)
    found = dict.fromkeys(key for key, _, _ in pictures)
    if entry is None:
        return assembled(
            folder.name, folder, {key: key.replace("_", " ") for key in found}, [DEFAULT_TEMPLATE], pictures
        )
    names, templates = _names(folder, entry)
    missing = [key for key in names if key not in found]
    strange = [key for key in found if key not in names]
    if missing or strange:
        wrong = f"missing {few(missing)}, and not named {few(strange)}"
        raise InputError(
            f"{printable(folder)}: expected the class folders that {NAMES_FILE} names, each with pictures, found "
            f"{wrong}; make the two agree"
        )
    return assembled(folder.name, folder, names, templates, pictures)


def _names(folder: Path, entry: Any) -> tuple[Mapping[str, str], Sequence[str]]:
    """Names by class folder, sorted, and templates, out of one entry of classes.json. Raises InputError for another
    form."""
    entry = entry if isinstance(entry, dict) else {}
    names = entry.get("classes")
    templates = entry.get("templates", [entry["template"]] if "template" in entry else None)
    is_whole = (
        isinstance(names, dict)
        and isinstance(templates, list)
        and templates
        and all(isinstance(text, str) for text in [*names.values(), *templates])
    )
    if not is_whole or not all(name.strip() for name in names.values()):
        form = '{"template": "a photo of a {}.", "classes": {"folder": "name"}}'
        raise InputError(
            f"{printable(folder.parent / NAMES_FILE)}: expected for {printable(folder.name)!r} an entry like {form}, "
            "found another; correct it"
        )
    return dict(sorted(names.items())), templates


def _by_folders(folder: Path) -> list[Example]:
    """The pictures of <set>/train/<class> and <set>/test/<class>; none where the set is not laid out so.

    Raises InputError for a further folder beside them.
    """
    parts = {part.name: part for part in folders(folder)}
    test = TEST if TEST in parts else VALIDATION
    if not (TRAIN in parts and test in parts and (folders(parts[TRAIN]) or folders(parts[test]))):
        return []
    strange = sorted(set(parts) - {TRAIN, VALIDATION, TEST})
    if strange:
        raise InputError(
            f"{printable(folder)}: expected only the folders train, val and test beside each other, found "
            f"{few(strange)}; move them elsewhere"
        )
    return [
        Example(part.name, picture, name == test)
        for name in (TRAIN, test)
        for part in folders(parts[name])
        for picture in find_pictures(part)[0]
    ]


def _by_class(folder: Path) -> list[Example]:
    """The pictures of <set>/<class>, split by prefix where a class's names show that they have it, else by lot."""
    pictures = {part.name: find_pictures(part)[0] for part in folders(folder)}
    if any(_is_prefixed(files) for files in pictures.values()):
        return [example for key, files in pictures.items() for example in _by_prefix(key, files)]
    return [example for key, files in pictures.items() for example in split_by_lot(key, files)]


def _prefix(picture: Path) -> str | None:
    return next((word for word in (TRAIN, VALIDATION, TEST) if picture.name.startswith(f"{word}_")), None)


def _is_prefixed(pictures: Sequence[Path]) -> bool:
    """Whether each name starts with train_, val_ or test_, and both train_ and test_ occur."""
    words = {_prefix(picture) for picture in pictures}
    return None not in words and {TRAIN, TEST} <= words


def _by_prefix(key: str, pictures: Sequence[Path]) -> list[Example]:
    """The pictures of one class, those of val_ left out. Raises InputError for a name without a prefix."""
    bare = next((picture for picture in pictures if _prefix(picture) is None), None)
    if bare is not None:
        raise InputError(
            f"{printable(bare)}: expected a name with train_, val_ or test_ before it, as in the set's other classes; "
            "rename it"
        )
    return [Example(key, picture, _prefix(picture) == TEST) for picture in pictures if _prefix(picture) != VALIDATION]
