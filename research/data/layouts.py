"""The eleven sets of the MTIL benchmark as torchvision leaves them on disk, with the split that each one publishes.

Only the official training part is taught: where a set has a validation part of its own (DTD, Flowers102), that part is
left out;
FGVC-Aircraft and Oxford-IIIT Pet publish train and val as one list, trainval. Caltech101, EuroSAT and SUN397 have no
official split
and are split by lot. Of Caltech101, BACKGROUND_Google (no class) and Faces_easy (the pictures of Faces, cropped) are
left out, as CoOp does.
The class names and templates are those that OpenAI published for CLIP, in the folder `published`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.pictures import find_pictures, printable
from edge_nusa.research.data.layouts_raw import read_cifar100, read_flowers, read_mnist, read_stanford_cars
from edge_nusa.research.data.sets import DataSet, Example, assembled, folders, split_by_lot

PUBLISHED = Path(__file__).parent / "published"
NOT_TAUGHT = ("BACKGROUND_Google", "Faces_easy")


@dataclass(frozen=True)
class Layout:
    """folder: its name below the root; sign: what inside shows that it is this layout; read: (folder, class keys in
    order) to examples."""

    folder: str
    sign: str
    read: Callable[[Path, list[str]], list[Example]]


def present_layouts(root: Path) -> dict[str, Path]:
    """The folder of each set that lies below `root` in torchvision's layout, by the set's name."""
    return {
        name: root / layout.folder for name, layout in LAYOUTS.items() if (root / layout.folder / layout.sign).exists()
    }


def read_layout(name: str, folder: Path) -> DataSet:
    """The set `name` of LAYOUTS out of its folder. Raises InputError where it is not whole; MissingPackageError
    without scipy, for two sets."""
    published = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    names = published["classes"]
    examples = LAYOUTS[name].read(folder, list(names))
    absent = [
        example.picture for example in examples if isinstance(example.picture, Path) and not example.picture.exists()
    ]
    if absent:
        raise InputError(
            f"{printable(absent[0])}: expected the picture that the set's lists name, found {len(absent)} such "
            "missing; unpack the data set again"
        )
    return assembled(name, folder, names, published["templates"], examples)


def _lines(file: Path) -> list[str]:
    """The file's lines that are not blank. Raises InputError where it cannot be read."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{printable(file)}: expected a list of the data set as text, found {error}; unpack the data set again"
        ) from error


def _fields(file: Path, count: int, separator: str | None = None) -> list[list[str]]:
    """Each line's `count` parts. Raises InputError where a line has another number."""
    rows = [line.split(separator, count - 1) for line in _lines(file)]
    odd = next((row for row in rows if len(row) != count), None)
    if odd is not None:
        raise InputError(
            f"{printable(file)}: expected {count} parts in each line, found {printable(' '.join(odd))!r}; unpack the "
            "data set again"
        )
    return rows


def _aircraft(folder: Path, _: list[str]) -> list[Example]:
    """images_variant_<part>.txt: lines of "<picture> <variant>"."""
    data = folder / "data"
    return [
        Example(variant, data / "images" / f"{number}.jpg", part == "test")
        for part in ("trainval", "test")
        for number, variant in _fields(data / f"images_variant_{part}.txt", 2)
    ]


def _caltech101(folder: Path, _: list[str]) -> list[Example]:
    """101_ObjectCategories/<class>."""
    return _by_lot(folder / "101_ObjectCategories")


def _dtd(folder: Path, _: list[str]) -> list[Example]:
    """labels/<part>1.txt, the first of ten partitions: lines of "<class>/<file>"."""
    data = folder / "dtd"
    return [
        Example(key, data / "images" / key / file, part == "test")
        for part in ("train", "test")
        for key, file in _fields(data / "labels" / f"{part}1.txt", 2, "/")
    ]


def _eurosat(folder: Path, _: list[str]) -> list[Example]:
    """2750/<class>."""
    return _by_lot(folder / "2750")


def _food101(folder: Path, _: list[str]) -> list[Example]:
    """meta/<part>.json: {"<class>": ["<class>/<picture>", ...]}."""
    examples = []
    for part in ("train", "test"):
        file = folder / "meta" / f"{part}.json"
        try:
            content = json.loads("\n".join(_lines(file)))
            examples += [
                Example(key, folder / "images" / f"{picture}.jpg", part == "test")
                for key, pictures in content.items()
                for picture in pictures
            ]
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(
                f"{printable(file)}: expected an object of lists of pictures by class, found {error}; unpack the data "
                "set again"
            ) from error
    return examples


def _oxford_pet(folder: Path, _: list[str]) -> list[Example]:
    """annotations/<part>.txt: lines of "<breed>_<number> <class> <species> <breed number>"."""
    return [
        Example(row[0].rpartition("_")[0], folder / "images" / f"{row[0]}.jpg", part == "test")
        for part in ("trainval", "test")
        for row in _fields(folder / "annotations" / f"{part}.txt", 4)
    ]


def _sun397(folder: Path, _: list[str]) -> list[Example]:
    """ClassName.txt: lines of "/<letter>/<class>", each the path of a class's pictures."""
    keys = [line.lstrip("/").partition("/") for line in _lines(folder / "ClassName.txt")]
    return [
        example for letter, _, key in keys for example in split_by_lot(key, find_pictures(folder / letter / key)[0])
    ]


def _by_lot(folder: Path) -> list[Example]:
    """The pictures of the class folders, each class split by lot, but for those of NOT_TAUGHT."""
    return [
        example
        for part in folders(folder)
        if part.name not in NOT_TAUGHT
        for example in split_by_lot(part.name, find_pictures(part)[0])
    ]


LAYOUTS = {
    "aircraft": Layout("fgvc-aircraft-2013b", "data", _aircraft),
    "caltech101": Layout("caltech101", "101_ObjectCategories", _caltech101),
    "cifar100": Layout("cifar-100-python", "train", read_cifar100),
    "dtd": Layout("dtd", "dtd/labels", _dtd),
    "eurosat": Layout("eurosat", "2750", _eurosat),
    "flowers102": Layout("flowers-102", "imagelabels.mat", read_flowers),
    "food101": Layout("food-101", "meta", _food101),
    "mnist": Layout("MNIST", "raw", read_mnist),
    "oxford_pet": Layout("oxford-iiit-pet", "annotations", _oxford_pet),
    "stanford_cars": Layout("stanford_cars", "devkit", read_stanford_cars),
    "sun397": Layout("SUN397", "ClassName.txt", _sun397),
}
"""By the set's name, which is that of its file in `published`."""
