"""Byte pairs of a text tower, trained on a corpus."""

from __future__ import annotations

import gzip
from pathlib import Path


def train_merges(corpus: list[str], vocab_size: int, path: Path) -> None:
    """Byte-pair merges of the corpus in the gzipped text format that open_clip's SimpleTokenizer reads."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((line.lower() for line in corpus), trainer)
    tokenizer.model.save(str(path.parent))
    merges = (path.parent / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    kept = merges[: vocab_size - 512 - 2]
    path.write_bytes(gzip.compress(("#version: 0.2\n" + "\n".join(kept)).encode(), mtime=0))
