"""The demonstration's real pictures, cut from photographs and scans that installed packages carry; nothing is
downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nusa.errors import MissingPackageError

TEXTURES = {"brick wall": "brick.png", "lawn grass": "grass.png", "gravel": "gravel.png"}
"""Label -> scikit-image's photograph of 512 x 512 pixels (CC0, see its data/README.txt)."""
OTHERS = {
    "cat": ("chelsea.png", (20, 60, 300, 420)),
    "coffee cup": ("coffee.png", (40, 130, 340, 480)),
    "rocket": ("rocket.jpg", (0, 200, 427, 480)),
}
"""Things that are never taught: label -> photograph and its crop (top, left, bottom, right)."""
SIDE = 128
DIGITS_EACH = 24


@dataclass(frozen=True)
class DemoPictures:
    """Folders: taught[label] and asked[label] hold disjoint crops of each taught label; others[label] what is never
    taught."""

    taught: dict[str, Path]
    asked: dict[str, Path]
    others: dict[str, Path]


def write_pictures(folder: Path) -> DemoPictures:
    """Write all crops as PNG under `folder`. Raises MissingPackageError without the extra `demo`."""
    try:
        import skimage
        import sklearn  # noqa: F401 - checked here so that the message comes before any work
    except ImportError as error:
        raise MissingPackageError(
            f'the demonstration needs {error.name}; install it with `pip install "edge-nusa[learn,demo]"`'
        ) from error
    data = Path(skimage.__file__).parent / "data"
    pictures = DemoPictures({}, {}, {})
    for label, name in TEXTURES.items():
        _texture(data / name, label, folder, pictures)
    for label, (name, (top, left, bottom, right)) in OTHERS.items():
        pictures.others[label] = _save(
            _read(data / name)[top:bottom, left:right], folder / "others" / label / "0.png"
        ).parent
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
            kind = "taught" if index % 2 == 0 else "asked"
            path = _save(grey, folder / kind / f"digit {digit}" / f"{index}.png")
            (pictures.taught if kind == "taught" else pictures.asked)[f"digit {digit}"] = path.parent
    return pictures


def _texture(source: Path, label: str, folder: Path, pictures: DemoPictures) -> None:
    """Sixteen disjoint crops: eight are taught, eight are asked, in a chequered pattern."""
    image = _read(source)
    for row in range(0, image.shape[0] - SIDE + 1, SIDE):
        for column in range(0, image.shape[1] - SIDE + 1, SIDE):
            kind = "taught" if (row + column) // SIDE % 2 == 0 else "asked"
            path = _save(image[row : row + SIDE, column : column + SIDE], folder / kind / label / f"{row}-{column}.png")
            (pictures.taught if kind == "taught" else pictures.asked)[label] = path.parent


def _read(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _save(pixels: np.ndarray, path: Path) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
