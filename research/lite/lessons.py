"""Everything that the text tower of `lite` is taught from, computed once: names, phrases, their targets, byte pairs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from edge_nusa.export.lite import configuration
from edge_nusa.research.lite import names, phrases, targets
from edge_nusa.research.lite.train_text import RARER, TEMPLATES, Lesson
from edge_nusa.research.words import byte_pairs
from edge_nusa.research.words.sentences import embed_sentences

SILENT = {"a", "an", "the", "of", "photo", "picture", "close", "-", "up", "blurry", ".", ",", "'", "this", "is"}
"""Words of the templates, which say nothing of what is seen: their tokens begin as nothing."""


class Embedded(NamedTuple):
    """Phrases and the sentence encoder's embeddings: known (N, E) as prompts; names (M, E) with the held-out nouns
    last, the mean of prompt and bare name; texts (T, E) as they are. All float32 of unit norm."""

    phrases: phrases.Phrases
    known: np.ndarray
    names: np.ndarray
    texts: np.ndarray


def prompted(texts: list[str]) -> np.ndarray:
    """(B, E): what the encoder says of a name in the first template."""
    return embed_sentences([TEMPLATES[1].format(text) for text in texts])


def asked(texts: list[str]) -> np.ndarray:
    """(B, E): the mean of what the encoder says of a name bare and in the first template."""
    return targets.unit(prompted(texts) + embed_sentences(texts))


def fingerprint(known: names.Names, found: phrases.Phrases) -> str:
    """SHA-256 of every text in its order."""
    texts = [*known.texts, *found.names, *found.held_out, *found.texts]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def embedded(known: names.Names, found: phrases.Phrases, path: Path) -> Embedded:
    """Every phrase through the sentence encoder, once into `path`; again where the phrases are others than there."""
    mark = fingerprint(known, found)
    if path.exists():
        with np.load(path) as archive:
            if str(archive["mark"]) == mark:
                return Embedded(found, archive["known"], archive["names"], archive["texts"])
    rows = Embedded(found, prompted(known.texts), asked(found.names + found.held_out), embed_sentences(found.texts))
    np.savez(path, mark=np.array(mark), known=rows.known, names=rows.names, texts=rows.texts)
    return rows


def write_byte_pairs(known: list[str], found: phrases.Phrases, path: Path) -> None:
    """Byte pairs in which the names are whole words first."""
    frames = [template.format("") for template in (*TEMPLATES, *RARER)] * 100 + list("0123456789") * 100
    common = found.names[: len(found.names) // 3]
    corpus = [*phrases.everyday() * 60, *known * 15, *common * 5, *found.names, *found.texts[::4], *frames]
    with TemporaryDirectory() as folder:
        beside = Path(folder) / path.name
        byte_pairs.train_merges(corpus, configuration.TEXT["vocab_size"], beside)
        shutil.copyfile(beside, path)


def lesson(known: names.Names, rows: Embedded, projection: np.ndarray) -> Lesson:
    """The groups of texts with their targets in the embedding's D directions (D, F)."""
    places = targets.unit(known.places @ projection.T)
    goals = [targets.targets(part, rows.known, places) for part in (rows.names[: len(rows.phrases.names)], rows.texts)]
    number = {name: i for i, name in enumerate(rows.phrases.names)}
    weighty = list(dict.fromkeys([*known.texts, *phrases.everyday()]))
    common = {*names.likenesses(), *phrases.everyday()}
    twice = [name for name in weighty if name in common]  # what people write most
    first = [(text, number[name]) for name in [*weighty, *twice] for text in phrases.spellings(name)]
    others = rows.phrases.names[len(weighty) :]
    second = [(text, number[name]) for name in others for text in (name, phrases.plural(name))]
    third = [(text, len(number) + i) for i, text in enumerate(rows.phrases.texts)]
    groups = [([text for text, _ in part], np.array([row for _, row in part])) for part in (first, second, third)]
    different = np.unique(np.round(places, 6), axis=0)
    return Lesson(groups, torch.from_numpy(np.concatenate(goals)), torch.from_numpy(different))


def token_meanings(seed: int = 0) -> np.ndarray:
    """(vocabulary, width) float32: the first principal components of the encoder's view of each token's own text.

    Marks of beginning and end and the words of the templates are nothing.
    """
    tokenizer = configuration.tokenizer()
    texts = [tokenizer.decode([i]).strip() for i in range(tokenizer.vocab_size)]
    embeddings = embed_sentences([text or "." for text in texts])
    embeddings = embeddings - embeddings.mean(axis=0)
    width = configuration.TEXT["width"]
    found = embeddings @ np.linalg.svd(embeddings, full_matrices=False)[2][:width].T
    found *= 0.3 / found.std()
    is_silent = np.array([text in SILENT or text.startswith("<") for text in texts])
    found[is_silent] = np.random.default_rng(seed).normal(size=(int(is_silent.sum()), width)) * 1e-3
    return np.asarray(found, dtype=np.float32)
