"""How much of a picture comes back out of its features: decoders are trained on public pictures and tried on others.

python research/rivals/inversion.py --bundle DIR --train ZIP --data DIR --out DIR [--cache DIR] [--pictures 9000]
    [--seconds 300]

The attacker holds the bundle and public pictures (of ZIP, which has folders of labels, and of four of DATA's sets).
CACHE: what `edge-nusa eval` keeps of the same trunk; what is there is not computed. From the head's whole features of
(a) one picture and (b) the mean of four pictures of one label, which is what a fleet that shares in groups shows, it
makes 32 x 32 pixels by ridge regression on a Gaussian kernel, and by a convolutional decoder that goes on from there.
For each it prints the correlation at 8 x 8 pixels with the right picture and with others of its label, and how often
the right one is the nearest of all that were tried. OUT gets a grid of originals above reconstructions; pictures of the
sets are not for others' eyes.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from edge_nusa.files.node import FileBytes, Node
from edge_nusa.knowledge import head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.pictures.pictures import decode, find_pictures

SIDE, COARSE, GROUP, A_LABEL = 32, 8, 4, 8
"""Pixels a side that are made, and at which they are compared; pictures of a group, and of each label that is tried."""
RIDGE, KERNEL = 0.1, 5000
"""Of the regression, and pictures that it takes in."""
KNOWN = ("tin_objects", "tin_vehicles", "tin_food", "trashnet")
TRIED = ("caltech101", "flowers5", "pacs_photo", "grocery")


class Seen(NamedTuple):
    """B pictures: features (B, F) float32, pixels (B, 3, SIDE, SIDE) float32 from 0 to 1, labels (B,)."""

    features: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray

    def mean_of_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """(features (G, F) of the means of GROUP pictures of a label, their rows (G, GROUP))."""
        rows = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]
        groups = np.array([part for own in rows for part in own[: len(own) // GROUP * GROUP].reshape(-1, GROUP)])
        return self.features[groups].mean(1), groups


Pictures = list[tuple[str, FileBytes]]
"""Labels with files."""


class Looker:
    """Pictures through the trunk on one thread, or out of a cache."""

    def __init__(self, bundle: Bundle, cache: Path | None) -> None:
        self.bundle = bundle
        self.known: dict[str, np.ndarray] = {}
        self.session = sessions.open_session(bundle, "image_trunk", 1)
        for digests in cache.glob("*/0-blocks/*/part-*/digests.txt") if cache else ():
            names = digests.read_text().split()
            taps = np.fromfile(digests.with_name("taps"), "<f4").reshape(-1, bundle.manifest.image.taps)
            self.known |= dict(zip(names, taps, strict=False))

    def __call__(self, pictures: Pictures) -> Seen:
        """Every picture with its features."""
        taps, small = [], []
        for _, file in pictures:
            image = decode(file)
            small.append(_small(image))
            found = self.known.get(file.sha256)
            if found is None:
                asked = pixels(image, self.bundle.manifest.preprocessing)[None]
                found = self.session.run(None, {"pixels": asked})[1][0]
            taps.append(found)
        features = head.features(np.stack(taps)).astype(np.float32)
        return Seen(features, np.stack(small), np.array([label for label, _ in pictures]))


def _small(image: Image.Image) -> np.ndarray:
    """The middle square as (3, SIDE, SIDE)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(cut, np.float32).transpose(2, 0, 1) / 255


def from_zip(path: Path, count: int, known: Container[str]) -> Pictures:
    """So many pictures, those first whose features are known."""
    with zipfile.ZipFile(path) as packed:
        names = [name for name in packed.namelist() if not name.endswith("/")]
        found = [(name.split("/")[0], _file(Path(name), packed.read(name))) for name in names]
    return sorted(found, key=lambda pair: pair[1].sha256 not in known)[:count]


def from_sets(folder: Path, names: Sequence[str], each: int) -> Pictures:
    """So many pictures of each label of these sets."""
    labels = [label for name in names for label in sorted((folder / name).iterdir()) if label.is_dir()]
    return [
        (f"{label.parent.name}/{label.name}", _file(path, path.read_bytes()))
        for label in labels
        for path in find_pictures(label)[0][:each]
    ]


def _file(path: Path, data: bytes) -> FileBytes:
    return FileBytes(path, data, Node(0, 0, 0, 0, 0))


class Kernel:
    """Ridge regression on a Gaussian kernel of standardised features, to pixels."""

    def __init__(self, seen: Seen) -> None:
        self.middle, self.spread = seen.features.mean(0), seen.features.std(0) + 1e-3
        self.known, self.mean = self._scaled(seen.features[:KERNEL]), seen.pixels.mean(0)
        distances = self._distances(self.known[:500])
        self.width = float(np.median(distances))
        near = np.exp(-self._distances(self.known) / self.width)
        near[np.diag_indices_from(near)] += RIDGE
        self.weights = np.linalg.solve(near, (seen.pixels[:KERNEL] - self.mean).reshape(len(near), -1))

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return (features - self.middle) / self.spread

    def _distances(self, rows: np.ndarray) -> np.ndarray:
        return np.maximum((rows**2).sum(1)[:, None] + (self.known**2).sum(1) - 2 * rows @ self.known.T, 0)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(B, 3, SIDE, SIDE)."""
        near = np.exp(-self._distances(self._scaled(features)) / self.width)
        return (near @ self.weights).reshape(-1, 3, SIDE, SIDE) + self.mean


class Convolutional:
    """A decoder of convolutions from standardised features, added to what the kernel makes."""

    def __init__(self, seen: Seen, kernel: Kernel, seconds: float) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.kernel = kernel
        layers: list[torch.nn.Module] = [torch.nn.Linear(seen.features.shape[1], 128 * 16), torch.nn.GELU()]
        layers.append(torch.nn.Unflatten(1, (128, 4, 4)))
        for wide, narrow in ((128, 96), (96, 64), (64, 32)):
            layers += [torch.nn.Upsample(scale_factor=2), torch.nn.Conv2d(wide, narrow, 3, padding=1), torch.nn.GELU()]
        self.net = torch.nn.Sequential(*layers, torch.nn.Conv2d(32, 3, 3, padding=1))
        steps = torch.optim.Adam(self.net.parameters(), 1e-3)
        asked, wanted = torch.tensor(kernel._scaled(seen.features)), torch.tensor(seen.pixels - kernel.mean)
        random, ends, self.steps = np.random.default_rng(0), time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            rows = random.integers(0, len(asked), 64)
            loss = torch.nn.functional.mse_loss(
                self.net(asked[rows] + 0.1 * torch.randn(64, asked.shape[1])), wanted[rows]
            )
            steps.zero_grad()
            loss.backward()
            steps.step()
            self.steps += 1

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(B, 3, SIDE, SIDE)."""
        with torch.no_grad():
            made = self.net(torch.tensor(self.kernel._scaled(features))).numpy() + self.kernel.mean
        return np.asarray((made + self.kernel(features)) / 2)


def coarse(made: np.ndarray) -> np.ndarray:
    """(B, 3 * COARSE**2), each of mean 0 and norm 1."""
    step = SIDE // COARSE
    flat = made.reshape(len(made), 3, COARSE, step, COARSE, step).mean((3, 5)).reshape(len(made), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9))


def told(name: str, made: np.ndarray, seen: Seen, right: np.ndarray) -> None:
    """Print how like the right pictures (B, R) and others of their label the made ones are."""
    alike = coarse(made) @ coarse(seen.pixels).T
    own = np.take_along_axis(alike, right, 1)
    same = (seen.labels[None] == seen.labels[right[:, 0]][:, None]) & ~np.any(
        np.arange(len(seen.labels))[None, :, None] == right[:, None, :], 2
    )
    nearest = np.mean([alike[i].argmax() in right[i] for i in range(len(made))])
    tenth = np.mean([(alike[i] > own[i].max()).sum() < 10 for i in range(len(made))])
    others = (alike * same).sum(1) / np.maximum(same.sum(1), 1)
    chance = 100 * right.shape[1] / len(seen.labels)
    print(
        f"{name}: correlation {own.mean():.2f} (best {own.max(1).mean():.2f}), its label's others {others.mean():.2f}; "
        f"nearest of {len(seen.labels)} {100 * nearest:.1f} %, among ten {100 * tenth:.1f} % "
        f"(chance {chance:.1f}, {10 * chance:.1f})",
        flush=True,
    )


def grid(path: Path, rows: list[np.ndarray]) -> None:
    """Rows of pictures (B, 3, SIDE, SIDE) below each other, four times as large."""
    joined = np.concatenate([np.concatenate(list(np.clip(row, 0, 1)), axis=2) for row in rows], axis=1)
    image = Image.fromarray((255 * joined.transpose(1, 2, 0)).astype(np.uint8))
    image.resize((image.width * 3, image.height * 3), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--bundle", "--train", "--data", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=9000)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    asked = parser.parse_args()
    look = Looker(Bundle.open(asked.bundle), asked.cache)
    tried = look(from_sets(asked.data, TRIED, A_LABEL))
    print(f"{len(tried.labels)} pictures of {len(set(tried.labels))} labels to be found", flush=True)
    own = [*from_zip(asked.train, asked.pictures, look.known), *from_sets(asked.data, KNOWN, 200)]
    known = look([own[i] for i in np.random.default_rng(0).permutation(len(own))[: asked.pictures]])
    print(f"{len(known.labels)} pictures known", flush=True)
    kernel = Kernel(known)
    means, groups = tried.mean_of_groups()
    single = np.arange(len(tried.labels))[:, None]
    shown = np.linspace(0, len(single) - 1, 16).astype(int)
    told("mean picture", np.repeat(known.pixels.mean(0, keepdims=True), len(single), 0), tried, single)
    told("one picture, kernel", kernel(tried.features), tried, single)
    told("mean of four, kernel", kernel(means), tried, groups)
    decoder = Convolutional(known, kernel, asked.seconds)
    print(f"{decoder.steps} steps", flush=True)
    told("one picture, both", decoder(tried.features), tried, single)
    told("mean of four, both", decoder(means), tried, groups)
    asked.out.mkdir(parents=True, exist_ok=True)
    grid(asked.out / "one.png", [tried.pixels[shown], kernel(tried.features[shown]), decoder(tried.features[shown])])
    few = np.linspace(0, len(groups) - 1, 16).astype(int)
    grid(asked.out / "four.png", [*(tried.pixels[groups[few, i]] for i in range(GROUP)), decoder(means[few])])


if __name__ == "__main__":
    main()
