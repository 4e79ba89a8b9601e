"""Reads nouns, glosses and hypernyms from WordNet 3.0's own files (Debian's package `wordnet-base`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_FOLDER = Path("/usr/share/wordnet")
CONCRETE = {
    5: "animal",
    6: "artifact",
    8: "body",
    13: "food",
    15: "location",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
    23: "quantity",
    25: "shape",
    27: "substance",
}
"""WordNet's lexicographer file numbers whose nouns name things that a camera can see (lexnames(5WN))."""
NEVER_PICTURED = (
    "racial slur",
    "ethnic slur",
    "derogatory",
    "offensive",
    "obscene",
    "vulgar",
    "disparaging",
    "taboo",
    "slang",
)
"""A noun whose gloss says one of these is left out: the list ends up in a product."""

LEFT_OUT = {
    "ass",
    "arse",
    "cock",
    "dick",
    "tit",
    "bum",
    "rectum",
    "anus",
    "scrotum",
    "vagina",
    "penis",
    "clitoris",
    "dildo",
    "bitch",
    "shit",
    "turd",
    "crap",
    "dickie",
    "dyke",
    "trump",
    "felt",
    "works",
    "ways",
    "mine",
    "die",
}
"""Words whose common use is not the thing that WordNet's first meaning names, or not fit for a product."""
SPACE_COST = 0.8
"""What a space takes off a lemma's Zipf frequency: wordfreq guesses a phrase from its words, too high."""


@dataclass(frozen=True, kw_only=True)
class Synset:
    """One meaning: its lemmas (spaces, not underscores), gloss, lexicographer file and first hypernym's offset."""

    offset: int
    lemmas: tuple[str, ...]
    gloss: str
    lexicographer_file: int
    hypernym: int | None


def read_synsets(folder: Path = DEFAULT_FOLDER) -> dict[int, Synset]:
    """Every noun synset of WordNet, by its offset (the number in an ImageNet wnid, `n01629819` -> 1629819)."""
    synsets: dict[int, Synset] = {}
    for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        lemmas = tuple(fields[4 + 2 * i].replace("_", " ") for i in range(count))
        synsets[int(fields[0])] = Synset(
            offset=int(fields[0]),
            lemmas=lemmas,
            gloss=gloss.strip(),
            lexicographer_file=int(fields[1]),
            hypernym=_first_hypernym(fields, 4 + 2 * count),
        )
    return synsets


def _first_hypernym(fields: list[str], start: int) -> int | None:
    pointers = [fields[start + 1 + 4 * i : start + 5 + 4 * i] for i in range(int(fields[start]))]
    return next((int(offset) for symbol, offset, *_ in pointers if symbol in ("@", "@i")), None)


def first_meanings(folder: Path = DEFAULT_FOLDER) -> dict[str, int]:
    """Offset of the most frequent meaning of every noun lemma (index.noun orders meanings by frequency)."""
    meanings: dict[str, int] = {}
    for line in (folder / "index.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        fields = line.split()
        meanings[fields[0].replace("_", " ")] = int(fields[-int(fields[2])])
    return meanings


def ancestors(synset: Synset, synsets: dict[int, Synset]) -> list[Synset]:
    """The chain of first hypernyms, nearest first, up to `entity`."""
    chain: list[Synset] = []
    while synset.hypernym is not None:
        synset = synsets[synset.hypernym]
        chain.append(synset)
    return chain


def pictured_nouns(count: int, folder: Path = DEFAULT_FOLDER) -> list[tuple[str, Synset]]:
    """The `count` most frequent nouns whose first meaning can be seen, most frequent first.

    Frequencies come from the package `wordfreq` (CC BY-SA data, used to choose, not copied).
    """
    from wordfreq import zipf_frequency

    synsets, meanings = read_synsets(folder), first_meanings(folder)
    found: list[tuple[float, str, Synset]] = []
    for lemma, offset in meanings.items():
        synset = synsets[offset]
        is_plain = lemma.replace(" ", "").isalpha() and len(lemma) > 2 and len(lemma.split()) <= 3
        is_proper = lemma not in synset.lemmas
        if (
            synset.lexicographer_file in CONCRETE
            and is_plain
            and not is_proper
            and not any(w in synset.gloss for w in NEVER_PICTURED)
        ):
            found.append((zipf_frequency(lemma, "en") - SPACE_COST * lemma.count(" "), lemma, synset))
    found.sort(key=lambda row: (-row[0], row[1]))
    return [(lemma, synset) for _, lemma, synset in found[:count]]


THINGS = {5, 6, 8, 13, 17, 20}
"""Lexicographer files of animals, artifacts, body parts, food, natural objects and plants."""


def common_things(count: int, folder: Path = DEFAULT_FOLDER) -> list[str]:
    """Single words for things, most frequent first: what an exported bundle's vocabulary is made of (export/nouns.txt).

    A word that is also an adjective or adverb, or that has the same meaning as an earlier one, is left out, as are the
    most frequent words of all, which mean too much.
    """
    from wordfreq import zipf_frequency

    other: set[str] = set()
    for part in ("adj", "adv"):
        lines = (folder / f"index.{part}").read_text(encoding="latin-1").splitlines()
        other |= {line.split()[0] for line in lines if not line.startswith("  ")}
    found: dict[int, str] = {}
    for noun, synset in pictured_nouns(30_000, folder):
        is_thing = synset.lexicographer_file in THINGS and noun.islower() and " " not in noun
        if is_thing and noun not in other and noun not in LEFT_OUT and zipf_frequency(noun, "en") < 5.3:
            found.setdefault(synset.offset, noun)
    return list(found.values())[:count]
