"""The demonstration's real pictures, cut from photographs and scans that installed packages carry; nothing is
downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nusa.errors import MissingPackageError
from edge_nusa.pictures.pictures import decode

TEXTURES = {"brick wall": "brick.png", "lawn grass": "grass.png", "gravel": "gravel.png"}
"""Label -> scikit-image's photograph of 512 x 512 pixels (CC0, see its data/README.txt)."""
OTHERS = {
    "cat": ("chelsea.png", (20, 60, 300, 420)),
    "coffee cup": ("coffee.png", (40, 130, 340, 480)),
    "rocket": ("rocket.jpg", (0, 200, 427, 480)),
}
"""Things that are never taught: label -> photograph and its crop (top, left, bottom, right)."""
MORE_OTHERS = {
    "motorcycle": ("motorcycle_left.png", (30, 120, 480, 741)),
    "temple": ("china.jpg", (0, 20, 400, 420)),
    "flower": ("flower.jpg", (30, 130, 400, 500)),
}
"""More of them; those that scikit-image lacks are scikit-learn's."""
SIDE = 128
SKY, SKY_SIDE = ("galaxies", "hubble_deep_field.jpg"), 200
"""Label and photograph of many small galaxies, 872 x 1000 pixels, and the side of its crops."""
COINS, COIN_SIDE = ("ancient coin", "coins.png"), 56
COIN_ROWS = {50: (44, 97, 154, 215, 275, 334), 124: (44, 102, 153, 205, 270, 336)}
COIN_ROWS |= {195: (43, 101, 154, 212, 273, 347), 263: (45, 113, 172, 244, 300, 356)}
"""A photograph of 24 different coins, the side of a coin's picture, and the middles: row -> columns."""
DIGITS_EACH = 24


@dataclass(frozen=True)
class DemoPictures:
    """Folders: taught[label] and asked[label] hold different pictures of each taught label; others[label] what is
    never taught."""

    taught: dict[str, Path]
    asked: dict[str, Path]
    others: dict[str, Path]


def write_pictures(folder: Path) -> DemoPictures:
    """Three grounds and three things that are never taught, as PNG under `folder`. Raises MissingPackageError without
    the extra `demo`."""
    data, _ = _packages()
    pictures = DemoPictures({}, {}, {})
    for label, name in TEXTURES.items():
        _crops(_read(data / name), SIDE, label, folder, pictures)
    _write_others(OTHERS, (data,), folder, pictures)
    return pictures


def write_rare(folder: Path) -> DemoPictures:
    """Two things that no list of common nouns has, and three more that are never taught; as `write_pictures`."""
    data, more = _packages()
    pictures = DemoPictures({}, {}, {})
    label, name = COINS
    image, half = np.pad(_read(data / name), ((0, COIN_SIDE), (0, COIN_SIDE), (0, 0)), mode="edge"), COIN_SIDE // 2
    for row, (middle, columns) in enumerate(COIN_ROWS.items()):
        for column, across in enumerate(columns):
            coin = image[middle - half : middle + half, across - half : across + half]
            _shared_out(coin, row, column, label, folder, pictures)
    _crops(_read(data / SKY[1]), SKY_SIDE, SKY[0], folder, pictures)
    _write_others(MORE_OTHERS, (data, more), folder, pictures)
    return pictures


def write_digits(folder: Path, digits: tuple[int, ...]) -> DemoPictures:
    """scikit-learn's scanned handwritten digits (8 x 8 grey, enlarged by 8): half of them taught, half asked."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    pictures = DemoPictures({}, {}, {})
    for digit in digits:
        chosen = scans.images[scans.target == digit][: 2 * DIGITS_EACH]
        for index, scan in enumerate(chosen):
            grey = np.kron(255 - np.round(scan * 15.9), np.ones((8, 8))).astype(np.uint8)
            _shared_out(grey, index, 0, f"digit {digit}", folder, pictures)
    return pictures


def _packages() -> tuple[Path, Path]:
    """The folders of photographs in scikit-image and scikit-learn. Raises MissingPackageError."""
    try:
        import skimage
        import sklearn
    except ImportError as error:
        raise MissingPackageError(
            f'the demonstration needs {error.name}; install it with `pip install "edge-nusa[learn,demo]"`'
        ) from error
    return Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"


def _crops(image: np.ndarray, side: int, label: str, folder: Path, pictures: DemoPictures) -> None:
    """Sixteen disjoint crops of a photograph, in a chequered pattern: eight are taught, eight are asked."""
    for row in range(4):
        for column in range(4):
            crop = image[row * side : (row + 1) * side, column * side : (column + 1) * side]
            _shared_out(crop, row, column, label, folder, pictures)


def _shared_out(pixels: np.ndarray, row: int, column: int, label: str, folder: Path, pictures: DemoPictures) -> None:
    """Save a picture among those taught or, at odd places, among those asked."""
    kind = "taught" if (row + column) % 2 == 0 else "asked"
    path = _save(pixels, folder / kind / label / f"{row}-{column}.png")
    (pictures.taught if kind == "taught" else pictures.asked)[label] = path.parent


def _write_others(
    things: dict[str, tuple[str, tuple[int, int, int, int]]],
    places: tuple[Path, ...],
    folder: Path,
    pictures: DemoPictures,
) -> None:
    for label, (name, (top, left, bottom, right)) in things.items():
        source = next(place / name for place in places if (place / name).is_file())
        crop = _read(source)[top:bottom, left:right]
        pictures.others[label] = _save(crop, folder / "others" / label / "0.png").parent


def _read(path: Path) -> np.ndarray:
    return np.asarray(decode(path))


def _save(pixels: np.ndarray, path: Path) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
