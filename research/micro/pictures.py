"""The training pictures of `micro` in memory, and their augmentation as batched tensor operations."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge_nusa.export.micro import configuration


class Pictures(NamedTuple):
    """pixels (B, 3, 64, 64) uint8; labels (B,) int64 into `names`; names and WordNet offset of every class."""

    pixels: Tensor
    labels: Tensor
    names: list[str]
    offsets: list[int]


def read_zip(path: Path, classes_json: Path, size: int = 64) -> Pictures:
    """Decode every picture of the zip (members `<class>/<wnid>_<number>.JPEG`), centre-fitted to `size` pixels."""
    from PIL import Image, ImageOps

    wording = json.loads(classes_json.read_text())[path.stem]["classes"]
    pixels: list[np.ndarray] = []
    labels: list[int] = []
    with zipfile.ZipFile(path) as archive:
        members = sorted(m for m in archive.namelist() if m.endswith(".JPEG"))
        folders = sorted({m.split("/")[0] for m in members})
        offsets = {m.split("/")[0]: int(m.split("/")[1][1:9]) for m in members}
        for member in members:
            image = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
            pixels.append(np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)))
            labels.append(folders.index(member.split("/")[0]))
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, torch.tensor(labels), [wording[f] for f in folders], [offsets[f] for f in folders])


def split(pictures: Pictures, held_out: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the held-out pictures: the last `held_out` of each class in name order."""
    train: list[int] = []
    test: list[int] = []
    for label in range(len(pictures.names)):
        members = torch.nonzero(pictures.labels == label).flatten().tolist()
        train += members[:-held_out]
        test += members[-held_out:]
    return torch.tensor(train), torch.tensor(test)


def normalise(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 as the model takes it."""
    mean, std = torch.tensor(configuration.MEAN).view(1, 3, 1, 1), torch.tensor(configuration.STD).view(1, 3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def augment(pixels: Tensor, smallest_area: float) -> Tensor:
    """Random resized crop, mirror, brightness, contrast and saturation: (B, 3, H, W) uint8 -> float32 normalised."""
    batch = len(pixels)
    area = torch.empty(batch).uniform_(smallest_area, 1.0)
    ratio = torch.exp(torch.empty(batch).uniform_(-0.28, 0.28))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    mirror = torch.randint(0, 2, (batch,)) * 2.0 - 1
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width * mirror, height
    theta[:, 0, 2] = (1 - width) * torch.empty(batch).uniform_(-1, 1)
    theta[:, 1, 2] = (1 - height) * torch.empty(batch).uniform_(-1, 1)
    grid = functional.affine_grid(theta, [batch, 3, *pixels.shape[2:]], align_corners=False)
    image = functional.grid_sample(pixels.float() / 255, grid, padding_mode="reflection", align_corners=False)
    image = _jitter(image)
    mean, std = torch.tensor(configuration.MEAN).view(1, 3, 1, 1), torch.tensor(configuration.STD).view(1, 3, 1, 1)
    return (image - mean) / std


def _jitter(image: Tensor, strength: float = 0.3) -> Tensor:
    def factor() -> Tensor:
        return torch.empty(len(image), 1, 1, 1).uniform_(1 - strength, 1 + strength)

    image = image * factor()
    level = image.mean(dim=(1, 2, 3), keepdim=True)
    image = level + (image - level) * factor()
    grey = image.mean(dim=1, keepdim=True)
    return (grey + (image - grey) * factor()).clamp(0, 1)


def mix(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019) on one half of the calls, mixup (Zhang et al. 2018) on the other.

    images (B, 3, H, W) float32 and targets (B, classes) float32 distributions; both come back mixed.
    """
    order = torch.randperm(len(images))
    share = float(np.random.beta(1.0, 1.0))
    if np.random.rand() < 0.5:
        share = float(np.random.beta(0.4, 0.4))
        mixed = share * images + (1 - share) * images[order]
    else:
        height, width = images.shape[2:]
        side = (1 - share) ** 0.5
        top, left = np.random.randint(height), np.random.randint(width)
        rows = slice(max(0, top - int(side * height / 2)), min(height, top + int(side * height / 2)))
        columns = slice(max(0, left - int(side * width / 2)), min(width, left + int(side * width / 2)))
        mixed = images.clone()
        mixed[:, :, rows, columns] = images[order][:, :, rows, columns]
        share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return mixed, share * targets + (1 - share) * targets[order]
