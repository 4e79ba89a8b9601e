"""Makes the weights of `lite` from packages: `python -m edge_nusa.research.lite --work DIR --out FILE`; resumable.

1. image tower (image_tower.py)  2. names and their places (names.py)  3. phrases and targets (phrases.py, targets.py,
lessons.py)  4. byte pairs  5. text tower (train_text.py)  6. one checkpoint in open_clip's names (finish.py). --work
keeps what was computed, so a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from edge_nusa.export.lite import configuration
from edge_nusa.research.lite import finish, image_tower, lessons, names, phrases, train_text

STEPS = 4000


def main() -> None:
    """Run every step that is still to do."""
    parser = argparse.ArgumentParser(description="Train the text tower of `lite` and write one checkpoint.")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is computed on the way")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint, a .safetensors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    tower = image_tower.published()
    directions, projection = image_tower.directions_of(tower.classes, configuration.EMBED_DIM)
    imagenet = names.known_names(names.imagenet_classes(), directions)
    known = names.with_likenesses(imagenet, names.likenesses())
    found = phrases.collect(imagenet.texts)
    if not configuration.BPE.exists():
        lessons.write_byte_pairs(imagenet.texts, found, configuration.BPE)
    rows = lessons.embedded(known, phrases.labelled(found, known.texts), arguments.work / "embedded.npz")
    torch.manual_seed(0)
    model = configuration.build()
    image_tower.load(model, tower, projection)
    train_text.begin(model, lessons.token_meanings())
    average = train_text.train(model, lessons.lesson(known, rows, projection), arguments.steps, arguments.work)
    finish.write(average, arguments.out)


if __name__ == "__main__":
    main()
