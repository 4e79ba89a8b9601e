"""What `lite` can do, measured: zero-shot accuracy by set beside the sentence encoder asked directly, what unseen nouns
mean to it, and which logit scale makes its softmax honest.

`python -m edge_nusa.research.lite.figures --checkpoint FILE --data DIR --work DIR` prints them; DIR of data has a
folder per set, in it a folder per class, and classes.json. --work is the one of the training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from edge_nusa.errors import InputError
from edge_nusa.export.lite import configuration
from edge_nusa.model.preprocessing import Preprocessing, pixels
from edge_nusa.pictures.pictures import decode, find_pictures
from edge_nusa.research.lite import image_tower, lessons, names, phrases, targets, train_text

SETS = (
    *("caltech101", "cifar10", "grocery", "trashnet", "flowers5", "pacs_photo", "pacs_sketch", "rsscn7"),
    *("sign_digits", "mnist", "medical_mnist"),
)
"""The sets that are not of Tiny-ImageNet, whose pictures the image tower was trained on."""
CALIBRATION = ("cifar10", "caltech101", "trashnet")
A_CLASS = 60


class Asked(NamedTuple):
    """images (B, D) float32 of unit norm, labels (B,) int64, names of the classes."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]


def preprocessing() -> Preprocessing:
    """The board's own preprocessing with the numbers of `lite`."""
    return Preprocessing(**configuration.PREPROCESSING)


@torch.no_grad()
def asked_set(model: Any, data: Path, name: str) -> Asked:
    """The first pictures of every class in a seeded order, embedded."""
    wording = json.loads((data / "classes.json").read_text())[name]["classes"]
    rows: list[np.ndarray] = []
    labels: list[int] = []
    for number, folder in enumerate(sorted(wording)):
        files = sorted(find_pictures(data / name / folder)[0])
        np.random.default_rng(0).shuffle(files)
        for path in files[:A_CLASS]:
            try:
                picture = pixels(decode(path), preprocessing())
            except InputError:
                continue
            rows.append(model.encode_image(torch.from_numpy(picture)[None]).numpy()[0])
            labels.append(number)
    return Asked(targets.unit(np.stack(rows)), np.array(labels), [wording[folder] for folder in sorted(wording)])


def accuracy(asked: Asked, anchors: np.ndarray) -> float:
    """Percent of the pictures whose nearest anchor (C, D) is their own."""
    return 100 * float(((asked.images @ anchors.T).argmax(axis=1) == asked.labels).mean())


@torch.no_grad()
def student(model: Any, texts: list[str], template: str = train_text.TEMPLATES[1]) -> np.ndarray:
    """(B, D) anchors of the text tower."""
    tokens = configuration.tokenizer()([template.format(text) for text in texts])
    return train_text.encode(model, tokens).numpy()


def ranks(found: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """(B, D) twice -> (B,): the place of each row's own goal among all goals by cosine, 1 is the best."""
    cosines = found @ goals.T
    return np.asarray((cosines > np.diag(cosines)[:, None]).sum(axis=1) + 1)


def surprise(sets: list[tuple[Asked, np.ndarray]], scale: float) -> float:
    """Mean over the sets of the cross-entropy of softmax(scale * cosines), in nats."""
    losses = []
    for asked, anchors in sets:
        logits = torch.from_numpy(scale * asked.images @ anchors.T)
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(asked.labels))))
    return float(np.mean(losses))


def opened(checkpoint: Path) -> Any:
    """open_clip's model with the weights of a checkpoint."""
    from safetensors.torch import load_file

    model = configuration.build()
    model.load_state_dict(load_file(str(checkpoint)))
    return model


def main() -> None:
    """Print a line a set, then the means, the held-out nouns and the scale."""
    parser = argparse.ArgumentParser(description="Measure the weights of `lite`.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = opened(arguments.checkpoint)
    directions, projection = image_tower.directions_of(image_tower.published().classes, configuration.EMBED_DIM)
    imagenet = names.known_names(names.imagenet_classes(), directions)
    known = names.with_likenesses(imagenet, names.likenesses())
    found = phrases.labelled(phrases.collect(imagenet.texts), known.texts)
    rows = lessons.embedded(known, found, arguments.work / "embedded.npz")
    places = targets.unit(known.places @ projection.T)
    shown, table = [], []
    for name in SETS:
        asked = asked_set(model, arguments.data, name)
        direct = targets.targets(lessons.asked(asked.names), rows.known, places)
        anchors = student(model, asked.names)
        table.append((accuracy(asked, direct), accuracy(asked, anchors)))
        print(f"{name}: encoder asked directly {table[-1][0]:.1f} %, lite {table[-1][1]:.1f} %", flush=True)
        shown += [(asked, anchors)] if name in CALIBRATION else []
    print("mean: encoder {:.1f} %, lite {:.1f} %".format(*np.mean(table, axis=0)))
    goals = targets.targets(rows.names[len(rows.phrases.names) :], rows.known, places)
    places_of = ranks(student(model, rows.phrases.held_out), goals)
    print(
        f"{len(goals)} unseen nouns: rank of the own target: median {np.median(places_of):.0f}, "
        f"mean {places_of.mean():.0f}"
    )
    losses = {scale: surprise(shown, scale) for scale in range(4, 41)}
    print("best logit scale on {}: {}".format(", ".join(CALIBRATION), min(losses, key=lambda scale: losses[scale])))


if __name__ == "__main__":
    main()
