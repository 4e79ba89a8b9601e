"""The published sets as torchvision keeps them, written as folders that `edge-nusa eval` reads: one for each class,
and classes.json.

    python -m edge_nusa.export.torchvision_sets cifar100 --root WHERE_TORCHVISION_KEEPS_IT --out DATA

A picture of the official training part is called train_..., one of the test part test_...; Caltech101, EuroSAT and
SUN397 have no official split, so their pictures keep their names and eval splits them by lot. Where a set has a
validation part of its own (DTD, Flowers102) it is left out; FGVC-Aircraft and Oxford-IIIT Pet publish train and val as
one list, trainval. Of Caltech101, BACKGROUND_Google (no class) and Faces_easy (the pictures of Faces, cropped) are left
out, as CoOp does. Names and templates are those that OpenAI published for CLIP, in the folder `published`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from edge_nusa.errors import EdgeNusaError, InputError, MissingPackageError
from edge_nusa.files import durable
from edge_nusa.pictures.pictures import printable

PUBLISHED = Path(__file__).parent / "published"
NAMES_FILE = "classes.json"
NOT_TAUGHT = ("Faces_easy",)
"""Of Caltech101; torchvision leaves out BACKGROUND_Google itself."""
UNPACK = "check --root, or unpack the data set again"


@dataclass(frozen=True)
class Source:
    """How torchvision is asked for a set. kind: its class; parts: of train and test, what its constructor takes;
    none where the set has no official split; keys: whether a class's number is its place among the published keys,
    or torchvision has its key as a name; loads: pictures out of files, which are kept as they are, or of pixels."""

    kind: str
    parts: Mapping[str, Mapping[str, Any]]
    keys: Literal["number", "name"]
    loads: Literal["files", "pixels"] = "files"


BOOLEAN: Mapping[str, Mapping[str, Any]] = {"train_": {"train": True}, "test_": {"train": False}}
SPLIT: Mapping[str, Mapping[str, Any]] = {"train_": {"split": "train"}, "test_": {"split": "test"}}
TRAINVAL: Mapping[str, Mapping[str, Any]] = {"train_": {"split": "trainval"}, "test_": {"split": "test"}}
WHOLE: Mapping[str, Mapping[str, Any]] = {"": {}}
SOURCES = {
    "aircraft": Source("FGVCAircraft", TRAINVAL, "name"),
    "caltech101": Source("Caltech101", WHOLE, "name"),
    "cifar10": Source("CIFAR10", BOOLEAN, "number", "pixels"),
    "cifar100": Source("CIFAR100", BOOLEAN, "number", "pixels"),
    "dtd": Source("DTD", SPLIT, "name"),
    "eurosat": Source("EuroSAT", WHOLE, "name"),
    "flowers102": Source("Flowers102", SPLIT, "number"),
    "food101": Source("Food101", SPLIT, "name"),
    "mnist": Source("MNIST", BOOLEAN, "number", "pixels"),
    "oxford_pet": Source("OxfordIIITPet", TRAINVAL, "number"),
    "stanford_cars": Source("StanfordCars", SPLIT, "number"),
    "sun397": Source("SUN397", WHOLE, "name"),
}
"""By the set's name for `edge-nusa eval`, which is that of its file in `published`."""


def write_set(name: str, root: Path, out: Path, is_downloaded: bool = False) -> Path:
    """Write the set `name` of SOURCES into the folder `out`/`name`, and its names and templates into
    `out`/classes.json.

    root: where torchvision keeps the set. Files are linked where the file system can, else copied; pixels become PNG.
    Returns the set's folder, which is there whole or not at all. Raises InputError where `root` has no whole set or the
    folder is there already, MissingPackageError without torchvision.
    """
    target, partial = out / name, out / f".{name}.partial"
    if target.exists():
        raise InputError(
            f"{printable(target)}: expected no such folder yet, found one; remove it or take another --out"
        )
    published = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    names = {folder_of(key, list(published["classes"])): label for key, label in published["classes"].items()}
    entries = _entries(out / NAMES_FILE)
    with durable.explained(f"write {printable(target)}"):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for prefix in SOURCES[name].parts:
            for key, file_name, picture in _pictures(name, prefix, root, list(published["classes"]), is_downloaded):
                _put(picture, partial / folder_of(key, list(published["classes"])) / f"{prefix}{file_name}")
        found = {folder: label for folder, label in names.items() if (partial / folder).is_dir()}
        entries[name] = {"templates": published["templates"], "classes": found}
        durable.replace_file(
            out / NAMES_FILE, json.dumps(entries, ensure_ascii=False, indent=1, allow_nan=False).encode()
        )
        partial.rename(target)
    return target


def folder_of(key: str, keys: list[str]) -> str:
    """The folder of a class: its key, numbers as long as the longest so that they sort, and no `/`."""
    return key.zfill(max(map(len, keys))) if all(each.isdigit() for each in keys) else key.replace("/", "_")


def _pictures(
    name: str, prefix: str, root: Path, keys: list[str], is_downloaded: bool
) -> Iterator[tuple[str, str, Path | Image.Image]]:
    """Class key, file name and file or pixels of each picture of one part."""
    source = SOURCES[name]
    dataset = _opened(name, prefix, root, is_downloaded)
    known = getattr(dataset, "categories", None) or dataset.classes
    for index in range(len(dataset)):
        picture, number = _item(source, dataset, index)
        key = keys[number] if source.keys == "number" and 0 <= number < len(keys) else str(known[number])
        if key in NOT_TAUGHT and name == "caltech101":
            continue
        if key not in keys:
            raise InputError(
                f"{printable(root)}: expected the {len(keys)} published classes of {name}, found {printable(key)!r}; "
                "check which data set this is"
            )
        yield key, f"{index:05}.png" if isinstance(picture, Image.Image) else picture.name, picture


def _opened(name: str, prefix: str, root: Path, is_downloaded: bool) -> Any:
    """torchvision's own data set. Raises InputError for what it says is not there or not whole."""
    try:
        from torchvision import datasets  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError(
            'the published sets need torchvision; install it with `pip install "edge-nusa[export]"`'
        ) from error
    source = SOURCES[name]
    options = dict(source.parts[prefix])
    if source.loads == "files" and source.kind not in ("Caltech101", "OxfordIIITPet"):
        options["loader"] = Path
    try:
        return getattr(datasets, source.kind)(str(root), download=is_downloaded, **options)
    except (RuntimeError, OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        found = " ".join(str(error).split())[:200]
        raise InputError(
            f"{printable(root)}: expected {name} as torchvision keeps it, found {found}; {UNPACK}, or add --download"
        ) from error


def _item(source: Source, dataset: Any, index: int) -> tuple[Path | Image.Image, int]:
    """File or pixels of a picture, and its class's number. The two sets that take no loader still tell their files."""
    if source.kind == "OxfordIIITPet":
        return Path(dataset._images[index]), int(dataset._labels[index])
    picture, number = dataset[index]
    if source.kind == "Caltech101":
        with picture:
            return Path(picture.filename), int(number)
    return picture, int(number)


def _put(picture: Path | Image.Image, file: Path) -> None:
    """The picture as this file: a link to it, a copy, or a PNG of its pixels. Raises InputError where a set's list
    names no file."""
    file.parent.mkdir(exist_ok=True)
    if isinstance(picture, Image.Image):
        picture.save(file)
        return
    if not picture.is_file():
        raise InputError(f"{printable(picture)}: expected the picture that the set's lists name, found none; {UNPACK}")
    try:
        os.link(picture.resolve(), file)
    except OSError:
        shutil.copyfile(picture, file)


def _entries(file: Path) -> dict[str, Any]:
    """What classes.json says of the sets beside this one. Raises InputError for another content."""
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("another value than an object")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{printable(file)}: expected an object with an entry for each set, found {error}; correct the file or "
            "remove it"
        ) from error
    return found


def main(words: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m edge_nusa.export.torchvision_sets",
        description="Write published sets as folders for `edge-nusa eval`.",
    )
    parser.add_argument("sets", nargs="+", choices=sorted(SOURCES), metavar="SET", help=", ".join(sorted(SOURCES)))
    parser.add_argument("--root", type=Path, required=True, help="where torchvision keeps the sets")
    parser.add_argument("--out", type=Path, required=True, help="the folder of data sets for `edge-nusa eval --data`")
    parser.add_argument("--download", action="store_true", help="let torchvision fetch what is missing")
    arguments = parser.parse_args(words)
    try:
        for name in dict.fromkeys(arguments.sets):
            sys.stdout.write(f"{write_set(name, arguments.root, arguments.out, arguments.download)}\n")
    except EdgeNusaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
