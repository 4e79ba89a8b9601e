"""Makes the model `micro` from nothing: `python -m edge_nusa.research.micro --data DIR --work DIR`; resumable, about
two hours.

1. targets (targets.py)  2. text tower (train_text.py)  3. image tower (train_image.py)  4. both (train_joint.py)  5.
bundle (finish.py).
--data holds tin_pretrain.zip and classes.json; --work keeps checkpoints, so a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from edge_nusa.export.embedded import MICRO
from edge_nusa.export.micro import configuration
from edge_nusa.research.micro import finish, pictures, targets, train_image, train_joint, train_text
from edge_nusa.research.words import byte_pairs

NOUNS = 18_000
TEXT_STEPS = 4000


def prepared_targets(data: pictures.Pictures, work: Path) -> dict[str, np.ndarray]:
    """names, gloss_sentences, targets (N, D), glosses (N, D) of the word list, computed once into targets.npz."""
    path = work / "targets.npz"
    if not path.exists():
        nouns = targets.target_nouns(NOUNS, dict(zip(data.names, data.offsets, strict=True)))
        found = targets.principal_targets(nouns, configuration.EMBED_DIM)
        names, sentences = np.array([n.name for n in nouns]), np.array([n.gloss_sentence for n in nouns])
        np.savez(path, targets=found.nouns, glosses=found.glosses, gloss_sentences=sentences, names=names)
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def main() -> None:
    """Run every step that is still to do."""
    parser = argparse.ArgumentParser(description="Train the model `micro` and write its bundle.")
    parser.add_argument("--data", type=Path, required=True, help="folder with tin_pretrain.zip and classes.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--out", type=Path, default=MICRO, help="where the bundle goes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only",
        choices=["text", "image", "joint", "finish"],
        help="one step, so that text and image can run side by side",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    data = pictures.read_zip(arguments.data / "tin_pretrain.zip", arguments.data / "classes.json")
    words = prepared_targets(data, arguments.work)
    merges = arguments.work / "micro_bpe.txt.gz"
    if arguments.only in (None, "text", "joint"):
        names, sentences = words["names"].tolist(), words["gloss_sentences"].tolist()
        if not merges.exists():
            prompts = [t.format(n) for n in names for t in ("a photo of a {}.", "{}")]
            byte_pairs.train_merges(
                [*prompts, *sentences, *names * 4, *list("0123456789") * 50], configuration.TEXT["vocab_size"], merges
            )
        texts = train_text.sentences(names, sentences, words["targets"], words["glosses"], merges)
    if arguments.only in (None, "text"):
        torch.manual_seed(0)
        train_text.train(configuration.build(), texts, TEXT_STEPS, arguments.work)
    if arguments.only in (None, "image"):
        train_image.Trainer(data, words["targets"][: len(data.names)], arguments.work, train_image.Schedule()).run()
    if arguments.only in (None, "joint"):
        train_joint.train(finish.two_towers(arguments.work), data, texts, merges, arguments.work)
    if arguments.only in (None, "finish"):
        finish.finish(data, arguments.work, arguments.out)


if __name__ == "__main__":
    main()
