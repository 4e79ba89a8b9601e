"""The published sets from torchvision to folders that `edge-nusa eval` reads: tiny copies in torchvision's own
formats."""

from __future__ import annotations

import json
import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.export import torchvision_sets
from edge_nusa.export.torchvision_sets import PUBLISHED, SOURCES, folder_of, write_set
from edge_nusa.research.data.datasets import DataSet, find_sets, open_picture
from edge_nusa.research.protocol.orders import ORDER_I

SIZES = {
    "aircraft": 100,
    "caltech101": 100,
    "cifar10": 10,
    "cifar100": 100,
    "dtd": 47,
    "eurosat": 10,
    "flowers102": 102,
}
SIZES |= {"food101": 101, "mnist": 10, "oxford_pet": 37, "stanford_cars": 196, "sun397": 397}
Splits = dict[str, tuple[set[str], set[str]]]


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (2, 2)).save(folder / name, "JPEG")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def splits(dataset: DataSet) -> Splits:
    """By label, the names of the pictures to train on and of those to test on."""
    found: Splits = {label: (set(), set()) for label in dataset.labels}
    for picture, label, is_test in zip(dataset.pictures, dataset.classes, dataset.is_test, strict=True):
        assert isinstance(picture, Path) and picture.exists()
        found[dataset.labels[label]][int(is_test)].add(picture.name)
    return found


def aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    put(data / "images", "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    write(data / "variants.txt", "BAE 146-200\nF-16A/B\n")
    write(data / "images_variant_trainval.txt", "1 F-16A/B\n2 BAE 146-200\n")
    write(data / "images_variant_test.txt", "3 BAE 146-200\n4 F-16A/B\n")


def caltech101(root: Path) -> None:
    categories = root / "caltech101" / "101_ObjectCategories"
    for name in ("BACKGROUND_Google", "Faces", "Faces_easy", "yin_yang"):
        put(categories / name, *[f"image_{index:04}.jpg" for index in range(1, 6)])


def dtd(root: Path) -> None:
    data = root / "dtd" / "dtd"
    for part, pictures in {"train": ("a", "b"), "val": ("c",), "test": ("d",)}.items():
        lines = [f"{key}/{key}_{name}.jpg" for key in ("polka-dotted", "banded") for name in pictures]
        write(data / "labels" / f"{part}1.txt", "\n".join(lines) + "\n")
        for line in lines:
            put((data / "images" / line).parent, Path(line).name)


def eurosat(root: Path) -> None:
    for name in ("AnnualCrop", "SeaLake"):
        put(root / "eurosat" / "2750" / name, *[f"{name}_{index}.jpg" for index in range(5)])


def flowers102(root: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    put(root / "flowers-102" / "jpg", *[f"image_{index:05}.jpg" for index in range(1, 7)])
    savemat(root / "flowers-102" / "imagelabels.mat", {"labels": np.array([[77, 77, 77, 1, 1, 1]], np.uint8)})
    savemat(
        root / "flowers-102" / "setid.mat",
        {"trnid": np.array([[1, 4]]), "valid": np.array([[2, 5]]), "tstid": np.array([[3, 6]])},
    )


def food101(root: Path) -> None:
    for part, number in (("train", 1), ("test", 2)):
        write(
            root / "food-101" / "meta" / f"{part}.json",
            json.dumps({key: [f"{key}/{number}"] for key in ("waffles", "apple_pie")}),
        )
        for key in ("waffles", "apple_pie"):
            put(root / "food-101" / "images" / key, f"{number}.jpg")


def oxford_pet(root: Path) -> None:
    pet = root / "oxford-iiit-pet"
    put(pet / "images", *[f"{key}_{index}.jpg" for key in ("american_bulldog", "Abyssinian") for index in (1, 2)])
    write(pet / "annotations" / "trainval.txt", "Abyssinian_1 1 1 1\namerican_bulldog_1 2 2 1\n")
    write(pet / "annotations" / "test.txt", "Abyssinian_2 1 1 1\namerican_bulldog_2 2 2 1\n")


def car_records(*rows: tuple[str, int]) -> dict[str, np.ndarray]:
    """A MATLAB struct array as the devkit has it: boxes, class, file name."""
    records = np.zeros((1, len(rows)), [("bbox_x1", object), ("class", object), ("fname", object)])
    for index, (name, number) in enumerate(rows):
        records[0, index] = (1, np.uint8(number), name)
    return {"annotations": records}


def stanford_cars(root: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    cars = root / "stanford_cars"
    (cars / "devkit").mkdir(parents=True)
    for part in ("cars_train", "cars_test"):
        put(cars / part, "00001.jpg", "00002.jpg")
    names = np.array([f"car {number}" for number in range(1, 197)], object)
    savemat(cars / "devkit" / "cars_meta.mat", {"class_names": names.reshape(1, -1)})
    savemat(cars / "devkit" / "cars_train_annos.mat", car_records(("00001.jpg", 196), ("00002.jpg", 1)))
    savemat(cars / "cars_test_annos_withlabels.mat", car_records(("00001.jpg", 1), ("00002.jpg", 196)))


def sun397(root: Path) -> None:
    write(root / "SUN397" / "ClassName.txt", "/a/apse/indoor\n/y/yard\n")
    for key in ("a/apse/indoor", "y/yard"):
        put(root / "SUN397" / key, *[f"sun_{index}.jpg" for index in range(5)])


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3072), np.uint8)


def cifar100(root: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir()
    for part, count in (("train", 4), ("test", 2)):
        (folder / part).write_bytes(pickle.dumps({"data": pixels(count), "fine_labels": [99, 0] * (count // 2)}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(published("cifar100"))}))


def cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps({"data": pixels(2), "labels": [9, 0]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(published("cifar10"))}))


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(root: Path) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, labels in (("train", [3, 0, 3, 0]), ("t10k", [0, 3])):
        images = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))


def pair(train: str, test: str) -> tuple[set[str], set[str]]:
    return {f"train_{name}" for name in train.split()}, {f"test_{name}" for name in test.split()}


OFFICIAL: Mapping[str, tuple[Callable[[Path], None], Splits]] = {
    "aircraft": (aircraft, {"BAE 146-200": pair("2.jpg", "3.jpg"), "F-16A/B": pair("1.jpg", "4.jpg")}),
    "cifar10": (
        cifar10,
        {
            "airplane": pair("00001.png 00003.png 00005.png 00007.png 00009.png", "00001.png"),
            "truck": pair("00000.png 00002.png 00004.png 00006.png 00008.png", "00000.png"),
        },
    ),
    "cifar100": (
        cifar100,
        {"apple": pair("00001.png 00003.png", "00001.png"), "worm": pair("00000.png 00002.png", "00000.png")},
    ),
    "dtd": (dtd, {key: pair(f"{key}_a.jpg {key}_b.jpg", f"{key}_d.jpg") for key in ("banded", "polka-dotted")}),
    "flowers102": (
        flowers102,
        {
            "pink primrose": pair("image_00004.jpg", "image_00006.jpg"),
            "passion flower": pair("image_00001.jpg", "image_00003.jpg"),
        },
    ),
    "food101": (food101, {"apple pie": pair("1.jpg", "2.jpg"), "waffles": pair("1.jpg", "2.jpg")}),
    "mnist": (mnist, {"0": pair("00001.png 00003.png", "00000.png"), "3": pair("00000.png 00002.png", "00001.png")}),
    "oxford_pet": (
        oxford_pet,
        {
            "Abyssinian": pair("Abyssinian_1.jpg", "Abyssinian_2.jpg"),
            "american bulldog": pair("american_bulldog_1.jpg", "american_bulldog_2.jpg"),
        },
    ),
    "stanford_cars": (
        stanford_cars,
        {
            "AM General Hummer SUV 2000": pair("00002.jpg", "00001.jpg"),
            "smart fortwo Convertible 2012": pair("00001.jpg", "00002.jpg"),
        },
    ),
}
BY_LOT: Mapping[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "caltech101": (caltech101, ("off-center face", "yin and yang symbol")),
    "eurosat": (eurosat, ("annual crop land", "lake or sea")),
    "sun397": (sun397, ("apse indoor", "yard")),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision keeps its sets; it takes files of another content than the published one for whole."""
    for module in ("cifar", "flowers102"):
        try:
            monkeypatch.setattr(
                f"torchvision.datasets.{module}.check_integrity", lambda file, md5=None: Path(file).is_file()
            )
        except ImportError:
            pytest.skip("needs torchvision: run it in the workstation's environment")
    folder = tmp_path / "torchvision"
    folder.mkdir()
    return folder


def converted(name: str, root: Path, out: Path) -> DataSet:
    """The set as eval finds it once it is written."""
    assert write_set(name, root, out) == out / name
    (dataset,) = find_sets(out, [name])
    return dataset


@pytest.mark.export
@pytest.mark.parametrize("name", OFFICIAL)
def test_a_set_with_an_official_split_keeps_it(name: str, root: Path, tmp_path: Path) -> None:
    make, expected = OFFICIAL[name]
    make(root)
    dataset = converted(name, root, tmp_path / "out")
    assert dataset.labels == tuple(expected)
    assert splits(dataset) == expected
    assert list(dataset.templates) == json.loads((PUBLISHED / f"{name}.json").read_text())["templates"]


@pytest.mark.export
@pytest.mark.parametrize("name", BY_LOT)
def test_a_set_without_an_official_split_is_split_by_lot(name: str, root: Path, tmp_path: Path) -> None:
    make, labels = BY_LOT[name]
    make(root)
    dataset = converted(name, root, tmp_path / "out")
    assert dataset.labels == labels
    assert [(len(train), len(test)) for train, test in splits(dataset).values()] == [(3, 2), (3, 2)]


@pytest.mark.export
def test_pixels_come_back_exactly_and_files_are_not_copied_where_they_can_be_linked(root: Path, tmp_path: Path) -> None:
    cifar100(root)
    dtd(root)
    worms = converted("cifar100", root, tmp_path / "out").pictures[3:]
    expected = np.moveaxis(pixels(4).reshape(4, 3, 32, 32), 1, 3)
    assert [Path(str(worm)).name for worm in worms] == ["test_00000.png", "train_00000.png", "train_00002.png"]
    for worm, planes in zip(worms[1:], expected[::2], strict=True):
        assert np.array_equal(np.asarray(open_picture(worm)), planes)
    first = converted("dtd", root, tmp_path / "out").pictures[0]
    assert isinstance(first, Path) and first.samefile(root / "dtd" / "dtd" / "images" / "banded" / "banded_d.jpg")


@pytest.mark.export
def test_files_are_copied_where_they_cannot_be_linked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    food101(root)
    picture = converted("food101", root, tmp_path / "out").pictures[0]
    assert (
        isinstance(picture, Path)
        and picture.read_bytes() == (root / "food-101" / "images" / "apple_pie" / "2.jpg").read_bytes()
    )


@pytest.mark.export
def test_the_command_writes_several_sets_side_by_side(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mnist(root)
    eurosat(root)
    out = tmp_path / "out"
    words = ["mnist", "eurosat", "--root", str(root), "--out", str(out)]
    assert torchvision_sets.main(words) == 0
    assert capsys.readouterr().out == f"{out / 'mnist'}\n{out / 'eurosat'}\n"
    assert [dataset.name for dataset in find_sets(out, None)] == ["eurosat", "mnist"]
    assert torchvision_sets.main(words) == 1
    assert (
        capsys.readouterr().err
        == f"{out / 'mnist'}: expected no such folder yet, found one; remove it or take another --out\n"
    )


@pytest.mark.export
@pytest.mark.parametrize(
    ("make", "name", "gone", "text"),
    [
        (
            cifar100,
            "cifar100",
            "cifar-100-python/test",
            "expected cifar100 as torchvision keeps it, found .*not found or corrupted",
        ),
        (
            mnist,
            "mnist",
            "MNIST/raw/t10k-labels-idx1-ubyte",
            "expected mnist as torchvision keeps it, found .*or add --download",
        ),
        (dtd, "dtd", "dtd/dtd/labels/test1.txt", "expected dtd as torchvision keeps it, found .*test1.txt"),
        (
            stanford_cars,
            "stanford_cars",
            "stanford_cars/devkit/cars_meta.mat",
            "expected stanford_cars as torchvision keeps it",
        ),
        (
            aircraft,
            "aircraft",
            "fgvc-aircraft-2013b/data/images/3.jpg",
            "3.jpg: expected the picture that the set's lists name, found none",
        ),
    ],
)
def test_a_set_that_is_not_whole_is_refused_and_written_once_it_is(
    make: Callable[[Path], None], name: str, gone: str, text: str, root: Path, tmp_path: Path
) -> None:
    make(root)
    content = (root / gone).read_bytes()
    (root / gone).unlink()
    with pytest.raises(InputError, match=text):
        write_set(name, root, tmp_path / "out")
    assert not (tmp_path / "out" / name).exists()
    (root / gone).write_bytes(content)
    assert len(converted(name, root, tmp_path / "out").labels) == 2


@pytest.mark.export
def test_a_class_that_is_not_published_and_a_broken_classes_json_are_refused(root: Path, tmp_path: Path) -> None:
    eurosat(root)
    put(root / "eurosat" / "2750" / "Moon", "1.jpg")
    with pytest.raises(
        InputError, match="expected the 10 published classes of eurosat, found 'Moon'; check which data set this is"
    ):
        write_set("eurosat", root, tmp_path / "out")
    (tmp_path / "out" / "classes.json").write_text("[]")
    with pytest.raises(
        InputError, match="classes.json: expected an object with an entry for each set, found another value"
    ):
        write_set("eurosat", root, tmp_path / "out")


def test_without_torchvision_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingPackageError, match=r'pip install "edge-nusa\[export\]"'):
        write_set("mnist", tmp_path, tmp_path / "out")


def published(name: str) -> dict[str, str]:
    """Key to label of a set's classes."""
    return dict(json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))["classes"])


def test_every_set_of_the_orders_has_a_source_and_its_published_names() -> None:
    assert sorted(SOURCES) == sorted(SIZES) == sorted([*ORDER_I, "cifar10"])
    assert sorted(path.stem for path in PUBLISHED.glob("*.json")) == sorted(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_published_names_are_whole_have_folders_of_their_own_and_name_their_source(name: str) -> None:
    content = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    labels, keys = list(content["classes"].values()), list(content["classes"])
    assert len(labels) == len(set(labels)) == len({folder_of(key, keys) for key in keys}) == SIZES[name]
    assert not any("/" in folder_of(key, keys) for key in keys)
    assert all(label == " ".join(label.split()) for label in labels)
    assert content["templates"] and all(template.count("{}") == 1 for template in content["templates"])
    assert ("CLIP" in content["source"], content["licence"]) == (True, "MIT, Copyright (c) 2021 OpenAI")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "flowers102", "mnist", "stanford_cars"])
def test_folders_of_numbered_classes_sort_as_their_numbers(name: str) -> None:
    keys = list(published(name))
    assert sorted(folder_of(key, keys) for key in keys) == [folder_of(key, keys) for key in keys]


@pytest.mark.parametrize(
    ("name", "index", "key", "label"),
    [
        ("cifar10", 9, "truck", "truck"),
        ("cifar100", 99, "worm", "worm"),
        ("cifar100", 1, "aquarium_fish", "aquarium fish"),
        ("eurosat", 9, "SeaLake", "lake or sea"),
        ("flowers102", 101, "102", "blackberry lily"),
        ("stanford_cars", 195, "196", "smart fortwo Convertible 2012"),
        ("stanford_cars", 5, "6", "Acura Integra Type R 2001"),
        ("oxford_pet", 36, "yorkshire_terrier", "yorkshire terrier"),
        ("sun397", 8, "apartment_building/outdoor", "apartment building outdoor"),
        ("sun397", 396, "youth_hostel", "youth hostel"),
    ],
)
def test_published_names_keep_the_official_numbers(name: str, index: int, key: str, label: str) -> None:
    assert list(published(name).items())[index] == (key, label)
