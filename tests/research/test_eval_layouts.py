"""The eleven MTIL sets in torchvision's layouts: tiny copies in the real formats, their official splits, and broken
ones."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.research.data.datasets import DataSet, find_sets, open_picture
from edge_nusa.research.data.layouts import LAYOUTS, PUBLISHED
from edge_nusa.research.protocol.orders import ORDER_I

SIZES = {"aircraft": 100, "caltech101": 100, "cifar100": 100, "dtd": 47, "eurosat": 10, "flowers102": 102}
SIZES |= {"food101": 101, "mnist": 10, "oxford_pet": 37, "stanford_cars": 196, "sun397": 397}
Splits = dict[str, tuple[set[str], set[str]]]


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def one(root: Path, name: str) -> DataSet:
    (dataset,) = find_sets(root, [name])
    return dataset


def splits(dataset: DataSet) -> Splits:
    """By label, the names of the pictures to train on and of those to test on."""
    found: Splits = {label: (set(), set()) for label in dataset.labels}
    for picture, label, is_test in zip(dataset.pictures, dataset.classes, dataset.is_test, strict=True):
        assert isinstance(picture, Path) and picture.exists()
        found[dataset.labels[label]][int(is_test)].add(picture.name)
    return found


def aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    put(data / "images", "0000001.jpg", "0000002.jpg", "0000003.jpg", "0000004.jpg")
    write(data / "images_variant_trainval.txt", "0000001 F-16A/B\n0000002 BAE 146-200\n")
    write(data / "images_variant_test.txt", "0000003 BAE 146-200\n0000004 F-16A/B\n")


def caltech101(root: Path) -> None:
    categories = root / "caltech101" / "101_ObjectCategories"
    for name in ("BACKGROUND_Google", "Faces", "Faces_easy", "yin_yang"):
        put(categories / name, *[f"image_{index:04}.jpg" for index in range(5)])


def dtd(root: Path) -> None:
    data = root / "dtd" / "dtd"
    names = {"train": ("a", "b"), "val": ("c",), "test": ("d",)}
    for part, pictures in names.items():
        lines = [f"{key}/{key}_{name}.jpg" for key in ("polka-dotted", "banded") for name in pictures]
        write(data / "labels" / f"{part}1.txt", "\n".join(lines) + "\n")
        write(data / "labels" / f"{part}2.txt", "not/read.jpg\n")
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
    put(pet / "images", *[f"{key}_{index}.jpg" for key in ("shiba_inu", "Abyssinian") for index in (1, 2)])
    write(pet / "annotations" / "trainval.txt", "Abyssinian_1 1 1 1\nshiba_inu_1 32 2 24\n")
    write(pet / "annotations" / "test.txt", "Abyssinian_2 1 1 1\nshiba_inu_2 32 2 24\n")


def car_records(*rows: tuple[str, int]) -> dict[str, np.ndarray]:
    """A MATLAB struct array as the devkit has it: boxes, class, file name."""
    records = np.zeros((1, len(rows)), [("bbox_x1", object), ("class", object), ("fname", object)])
    for index, (name, number) in enumerate(rows):
        records[0, index] = (1, np.uint8(number), name)
    return {"annotations": records}


def stanford_cars(root: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    cars = root / "stanford_cars"
    put(cars / "devkit")
    put(cars / "cars_train", "00001.jpg", "00002.jpg")
    put(cars / "cars_test", "00001.jpg", "00002.jpg")
    savemat(cars / "devkit" / "cars_train_annos.mat", car_records(("00001.jpg", 196), ("00002.jpg", 1)))
    savemat(cars / "cars_test_annos_withlabels.mat", car_records(("00001.jpg", 1), ("00002.jpg", 196)))


def sun397(root: Path) -> None:
    write(root / "SUN397" / "ClassName.txt", "/a/apse/indoor\n/y/yard\n")
    for key in ("a/apse/indoor", "y/yard"):
        put(root / "SUN397" / key, *[f"sun_{index}.jpg" for index in range(5)])


OFFICIAL: Mapping[str, tuple[Callable[[Path], None], Splits]] = {
    "aircraft": (
        aircraft,
        {"BAE 146-200": ({"0000002.jpg"}, {"0000003.jpg"}), "F-16A/B": ({"0000001.jpg"}, {"0000004.jpg"})},
    ),
    "dtd": (dtd, {key: ({f"{key}_a.jpg", f"{key}_b.jpg"}, {f"{key}_d.jpg"}) for key in ("banded", "polka-dotted")}),
    "flowers102": (
        flowers102,
        {
            "pink primrose": ({"image_00004.jpg"}, {"image_00006.jpg"}),
            "passion flower": ({"image_00001.jpg"}, {"image_00003.jpg"}),
        },
    ),
    "food101": (food101, {"apple pie": ({"1.jpg"}, {"2.jpg"}), "waffles": ({"1.jpg"}, {"2.jpg"})}),
    "oxford_pet": (
        oxford_pet,
        {
            "Abyssinian": ({"Abyssinian_1.jpg"}, {"Abyssinian_2.jpg"}),
            "shiba inu": ({"shiba_inu_1.jpg"}, {"shiba_inu_2.jpg"}),
        },
    ),
    "stanford_cars": (
        stanford_cars,
        {
            "AM General Hummer SUV 2000": ({"00002.jpg"}, {"00001.jpg"}),
            "smart fortwo Convertible 2012": ({"00001.jpg"}, {"00002.jpg"}),
        },
    ),
}
BY_LOT: Mapping[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "caltech101": (caltech101, ("off-center face", "yin and yang symbol")),
    "eurosat": (eurosat, ("annual crop land", "lake or sea")),
    "sun397": (sun397, ("apse indoor", "yard")),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_set_with_an_official_split_keeps_it(name: str, tmp_path: Path) -> None:
    make, expected = OFFICIAL[name]
    make(tmp_path)
    assert [dataset.name for dataset in find_sets(tmp_path, None)] == [name]
    dataset = one(tmp_path, name)
    assert dataset.labels == tuple(expected)
    assert splits(dataset) == expected


def test_pictures_of_cars_are_of_the_folder_of_their_part(tmp_path: Path) -> None:
    stanford_cars(tmp_path)
    dataset = one(tmp_path, "stanford_cars")
    assert [picture.parent.name for picture in dataset.pictures if isinstance(picture, Path)] == ["cars_train"] * 2 + [
        "cars_test"
    ] * 2


@pytest.mark.parametrize("name", BY_LOT)
def test_a_set_without_an_official_split_is_split_by_lot(name: str, tmp_path: Path) -> None:
    make, labels = BY_LOT[name]
    make(tmp_path)
    dataset = one(tmp_path, name)
    assert dataset.labels == labels
    assert [(len(train), len(test)) for train, test in splits(dataset).values()] == [(3, 2), (3, 2)]


def python2_pickle(content: Mapping[str, object]) -> bytes:
    """The bytes that Python 2's cPickle wrote for CIFAR, protocol 2: short strings, small numbers, and one array of
    uint8 in a long string."""

    def word(text: str) -> bytes:
        return b"U" + bytes([len(text)]) + text.encode() + b"q\x01"

    def value(given: object) -> bytes:
        if isinstance(given, str):
            return word(given)
        if isinstance(given, list):
            return (
                b"]q\x02("
                + b"".join(word(entry) if isinstance(entry, str) else b"K" + bytes([entry]) for entry in given)
                + b"e"
            )
        assert isinstance(given, np.ndarray)
        empty = b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R"
        shape = b"M" + struct.pack("<H", given.shape[0]) + b"M" + struct.pack("<H", given.shape[1]) + b"\x86"
        dtype = b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        data = given.tobytes()
        return empty + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"

    return b"\x80\x02}q\x00(" + b"".join(word(key) + value(entry) for key, entry in content.items()) + b"u."


def cifar_content(count: int, start: int = 0) -> dict[str, object]:
    pixels = np.random.default_rng(start).integers(0, 256, (count, 3072), np.uint8)
    names = [f"bus_s_{index:06}.png" for index in range(count)]
    coarse = [9] * count
    return {
        "filenames": names,
        "batch_label": "training batch 1 of 1",
        "fine_labels": [99, 0] * (count // 2),
        "coarse_labels": coarse,
        "data": pixels,
    }


def cifar100(root: Path) -> dict[str, dict[str, object]]:
    (root / "cifar-100-python").mkdir(exist_ok=True)
    contents = {"train": cifar_content(4), "test": cifar_content(2, 1)}
    for part, content in contents.items():
        (root / "cifar-100-python" / part).write_bytes(python2_pickle(content))
    return contents


def test_the_tests_own_pickle_is_one_that_pickle_reads() -> None:
    content = cifar_content(4)
    loaded = pickle.loads(python2_pickle(content), encoding="latin1")  # noqa: S301 - made one line above
    assert np.array_equal(loaded.pop("data"), content.pop("data"))
    assert loaded == content


def check_cifar(root: Path, contents: Mapping[str, Mapping[str, object]]) -> None:
    dataset = one(root, "cifar100")
    assert dataset.labels == ("apple", "worm")
    assert dataset.classes.tolist() == [1, 0, 1, 0, 1, 0]
    assert dataset.is_test.tolist() == [False] * 4 + [True] * 2
    expected = np.concatenate([np.asarray(content["data"]) for content in contents.values()]).reshape(6, 3, 32, 32)
    for picture, planes in zip(dataset.pictures, expected, strict=True):
        assert np.array_equal(np.asarray(open_picture(picture)), np.moveaxis(planes, 0, 2))


def test_cifar100_is_read_from_python_2s_pickles(tmp_path: Path) -> None:
    check_cifar(tmp_path, cifar100(tmp_path))


@pytest.mark.parametrize("protocol", [3, 4])
def test_cifar100_is_read_from_pickles_saved_again(protocol: int, tmp_path: Path) -> None:
    contents = cifar100(tmp_path)
    for part, content in contents.items():
        again = {
            key.encode(): value.tobytes() if isinstance(value, np.ndarray) else value for key, value in content.items()
        }
        (tmp_path / "cifar-100-python" / part).write_bytes(pickle.dumps(again, protocol))
    check_cifar(tmp_path, contents)


def test_cifar100_finds_its_keys_in_any_order(tmp_path: Path) -> None:
    contents = cifar100(tmp_path)
    for part, content in contents.items():
        backwards = dict(reversed(content.items()))
        (tmp_path / "cifar-100-python" / part).write_bytes(python2_pickle(backwards))
    check_cifar(tmp_path, contents)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    contents = cifar100(tmp_path)
    proof = tmp_path / "proof"
    program = f"cos\nmkdir\n(S'{proof}'\ntR0".encode()
    file = tmp_path / "cifar-100-python" / "train"
    file.write_bytes(file.read_bytes().replace(b"\x80\x02}", b"\x80\x02" + program + b"}", 1))
    check_cifar(tmp_path, contents)
    assert not proof.exists()
    pickle.loads(file.read_bytes()[:-1] + b"0N.", encoding="latin1")  # noqa: S301 - the proof that it would have been run
    assert proof.exists()


def test_cifar100_stays_in_its_file(tmp_path: Path) -> None:
    cifar100(tmp_path)
    picture = one(tmp_path, "cifar100").pictures[0]
    base: object = picture
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    assert type(base).__name__ == "mmap"


CUT = python2_pickle(cifar_content(4))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no opcode of a pickle before byte 0"),
        (b"\xff\xff", "no opcode of a pickle before byte 1"),
        (CUT[:3000], "no opcode"),
        (CUT[:60], "no opcode"),
        (b"\x80\x02T\xfb\xff\xff\xff.", "a string of -5 bytes"),
        (b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "into an offset-sized integer"),
        (pickle.dumps({}, 2), "'data' is not in list"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8)}), "'fine_labels' is not in list"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0]}), "1 labels for 6144 bytes"),
        (python2_pickle({"data": "short", "fine_labels": []}), "0 labels for 0 bytes"),
        (
            python2_pickle({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 100]}),
            "a label from 0 to 99.*up to 100",
        ),
    ],
    ids=[
        "empty",
        "another file",
        "cut in the pixels",
        "cut in a word",
        "negative length",
        "length past any",
        "no pixels",
        "no labels",
        "one label",
        "no array",
        "label 100",
    ],
)
def test_a_broken_cifar100_is_refused(content: bytes, text: str, tmp_path: Path) -> None:
    cifar100(tmp_path)
    (tmp_path / "cifar-100-python" / "test").write_bytes(content)
    with pytest.raises(InputError, match=f"cifar-100-python/test: expected.*({text})"):
        one(tmp_path, "cifar100")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(root: Path, pack: Callable[[bytes], bytes] = bytes, ending: str = "") -> np.ndarray:
    """Four pictures to train and three to test on, 28 pixels a side; returns all seven."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
    for part, images, labels in (("train", pixels[:4], [3, 0, 3, 9]), ("t10k", pixels[4:], [9, 0, 3])):
        (raw / f"{part}-images-idx3-ubyte{ending}").write_bytes(pack(idx(images)))
        (raw / f"{part}-labels-idx1-ubyte{ending}").write_bytes(pack(idx(np.array(labels, np.uint8))))
    return pixels


@pytest.mark.parametrize(("pack", "ending"), [(bytes, ""), (gzip.compress, ".gz")])
def test_mnist_is_read_unpacked_and_packed(pack: Callable[[bytes], bytes], ending: str, tmp_path: Path) -> None:
    pixels = mnist(tmp_path, pack, ending)
    dataset = one(tmp_path, "mnist")
    assert dataset.labels == ("0", "3", "9")
    assert dataset.templates == ('a photo of the number: "{}".',)
    assert dataset.classes.tolist() == [1, 0, 1, 2, 2, 0, 1]
    assert dataset.is_test.tolist() == [False] * 4 + [True] * 3
    for picture, expected in zip(dataset.pictures, pixels, strict=True):
        assert np.array_equal(np.asarray(open_picture(picture)), np.stack([expected] * 3, axis=2))


HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 28, 28)


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("t10k-images-idx3-ubyte", b"", "unpack requires"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 28, 28), np.uint8))[:-1], "mmap length"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 28), np.uint8)) * 9, r"it starts with \[0, 0, 8, 2\]"),
        ("t10k-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((3, 28, 28), np.uint8))[:-1]), "cannot reshape"),
        ("t10k-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((3, 28, 28), np.uint8)))[:-9], "end-of-stream"),
        ("t10k-images-idx3-ubyte.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 40, "decompressing"),
        ("t10k-images-idx3-ubyte.gz", b"plain", "Not a gzipped file"),
        ("t10k-images-idx3-ubyte.gz", gzip.compress(HUGE), "more than 268435456"),
        (
            "t10k-labels-idx1-ubyte",
            idx(np.array([1, 2], np.uint8)),
            "a label from 0 to 9 for each picture, found 3 pictures and 2 labels",
        ),
        ("t10k-labels-idx1-ubyte", idx(np.array([1, 2, 10], np.uint8)), "up to 10"),
    ],
    ids=[
        "empty",
        "cut",
        "two axes",
        "packed and cut",
        "cut packed",
        "damaged",
        "not packed",
        "too large",
        "too few labels",
        "a label too high",
    ],
)
def test_a_broken_mnist_is_refused(file: str, content: bytes, text: str, tmp_path: Path) -> None:
    mnist(tmp_path)
    if file.endswith(".gz"):
        (tmp_path / "MNIST" / "raw" / file.removesuffix(".gz")).unlink()
    (tmp_path / "MNIST" / "raw" / file).write_bytes(content)
    with pytest.raises(InputError, match=f"MNIST/raw/t10k.*({text})"):
        one(tmp_path, "mnist")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
        ("cifar100", "cifar-100-python/test"),
        ("dtd", "dtd/dtd/labels/train1.txt"),
        ("flowers102", "flowers-102/setid.mat"),
        ("food101", "food-101/meta/test.json"),
        ("mnist", "MNIST/raw/train-labels-idx1-ubyte"),
        ("oxford_pet", "oxford-iiit-pet/annotations/test.txt"),
        ("stanford_cars", "stanford_cars/cars_test_annos_withlabels.mat"),
    ],
)
def test_a_missing_list_is_named(name: str, file: str, tmp_path: Path) -> None:
    make: Callable[[Path], object] = {
        **{key: pair[0] for key, pair in OFFICIAL.items()},
        "cifar100": cifar100,
        "mnist": mnist,
    }[name]
    make(tmp_path)
    os.remove(tmp_path / file)
    with pytest.raises(InputError, match=f"{file}.*: expected .*unpack the data set again"):
        one(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt", "expected 2 parts in each line, found '7'"),
        ("dtd", "dtd/dtd/labels/test1.txt", "expected 2 parts in each line"),
        ("oxford_pet", "oxford-iiit-pet/annotations/test.txt", "expected 4 parts in each line"),
        ("food101", "food-101/meta/test.json", "expected an object of lists of pictures"),
        ("flowers102", "flowers-102/setid.mat", "expected a MATLAB file with 'trnid'"),
        ("stanford_cars", "stanford_cars/cars_test_annos_withlabels.mat", "expected a MATLAB file with 'annotations'"),
    ],
)
def test_a_list_of_another_form_is_refused(name: str, file: str, text: str, tmp_path: Path) -> None:
    OFFICIAL[name][0](tmp_path)
    (tmp_path / file).write_text("7\n")
    with pytest.raises(InputError, match=text):
        one(tmp_path, name)


def test_a_matlab_file_of_other_content_is_refused(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    flowers102(tmp_path)
    savemat(tmp_path / "flowers-102" / "setid.mat", {"trnid": np.array([1]), "tstid": np.array([7])})
    with pytest.raises(InputError, match="expected pictures from 1 to 6, found 7"):
        one(tmp_path, "flowers102")
    stanford_cars(tmp_path)
    savemat(tmp_path / "stanford_cars" / "cars_test_annos_withlabels.mat", {"annotations": np.array([1, 2])})
    with pytest.raises(InputError, match="expected records with fname and class, found none"):
        one(tmp_path, "stanford_cars")


def test_a_missing_picture_a_strange_class_and_a_class_without_test_are_refused(tmp_path: Path) -> None:
    aircraft(tmp_path)
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    os.remove(data / "images" / "0000003.jpg")
    with pytest.raises(
        InputError, match="0000003.jpg: expected the picture that the set's lists name, found 1 such missing"
    ):
        one(tmp_path, "aircraft")
    write(data / "images_variant_test.txt", "0000004 F-16A/B\n")
    with pytest.raises(InputError, match="class 'BAE 146-200'.*found 1 and 0"):
        one(tmp_path, "aircraft")
    write(data / "images_variant_test.txt", "0000004 Zeppelin\n")
    with pytest.raises(InputError, match="expected the classes 707-320, .*and 92 more, found Zeppelin"):
        one(tmp_path, "aircraft")


def test_without_scipy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flowers102(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingPackageError, match=r'pip install "edge-nusa\[eval\]"'):
        one(tmp_path, "flowers102")


def test_both_kinds_of_set_share_a_root_and_broken_ones_only_matter_when_asked_for(tmp_path: Path) -> None:
    mnist(tmp_path)
    eurosat(tmp_path)
    put(tmp_path / "caltech101" / "watch", "1.jpg", "2.jpg")
    put(tmp_path / "dtd" / "dtd" / "labels")
    assert [dataset.name for dataset in find_sets(tmp_path, ["mnist", "eurosat", "caltech101"])] == [
        "mnist",
        "eurosat",
        "caltech101",
    ]
    assert one(tmp_path, "caltech101").labels == ("watch",)
    with pytest.raises(InputError, match="train1.txt"):
        find_sets(tmp_path, None)


def test_one_set_in_two_folders_is_refused(tmp_path: Path) -> None:
    sun397(tmp_path)
    put(tmp_path / "sun397" / "yard", "1.jpg", "2.jpg")
    if len(os.listdir(tmp_path)) == 1:
        pytest.skip("the file system knows no difference between SUN397 and sun397")
    with pytest.raises(InputError, match="expected one folder of the set sun397, found SUN397 and sun397"):
        find_sets(tmp_path, None)


def test_every_set_of_the_orders_has_a_layout_and_its_published_names() -> None:
    assert sorted(LAYOUTS) == sorted(SIZES) == sorted(ORDER_I)
    assert sorted(path.stem for path in PUBLISHED.glob("*.json")) == sorted(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_published_names_are_whole_and_name_their_source(name: str) -> None:
    content = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    labels = list(content["classes"].values())
    assert len(labels) == len(set(labels)) == SIZES[name]
    assert all(label == " ".join(label.split()) for label in labels)
    assert content["templates"] and all(template.count("{}") == 1 for template in content["templates"])
    assert ("CLIP" in content["source"], content["licence"]) == (True, "MIT, Copyright (c) 2021 OpenAI")


@pytest.mark.parametrize(
    ("name", "index", "key", "label"),
    [
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
    assert list(json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))["classes"].items())[index] == (
        key,
        label,
    )
