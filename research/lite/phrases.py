"""What the text tower of `lite` is taught to read: names, common nouns, pairs of words and glosses of WordNet."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge_nusa.research.words import wordnet

NOUNS, PAIRS, DESCRIBED, GLOSSES = 25_000, 8_000, 16_000, 14_000
"""Common nouns; pairs of two nouns; nouns with an adjective before them; first clauses of glosses."""
HELD_OUT = 1000
"""Common nouns that no training phrase names: they say what an unseen word means to the tower."""
EVERYDAY = Path(__file__).parent / "everyday.txt"
"""Spellings that WordNet lacks, one a line: people's labels for pets, clothes, kitchens, streets and signs."""
OFTEN = "one two three red blue green yellow white black brown grey pink orange purple old new big small young wooden"
OFTEN += (
    " broken ripe rotten dirty clean empty full open closed wet dry wild fresh cut sliced whole plastic metal paper"
)
OFTEN += " glass stone leather baby toy drawn painted striped spotted round square long short tall tiny large fluffy"
LONGEST_GLOSS = 60
"""Characters of a gloss that is read; a longer one is a definition for a dictionary, not a description of a picture."""


class Phrases(NamedTuple):
    """names: what a label may be, most important first; texts: longer phrases; held_out: nouns kept from both."""

    names: list[str]
    texts: list[str]
    held_out: list[str]


def plural(noun: str) -> str:
    """The regular plural of a noun's last word; a word that already ends in s stays."""
    if noun.endswith("s") and not noun.endswith("ss"):
        return noun
    if re.search(r"(ss|x|z|ch|sh|tato|mato|mango|hero|buffalo|mosquito|volcano|domino)$", noun):
        return noun + "es"
    if re.search(r"(kni|wi|li|lea|loa|wol|cal|hal|shel|scar)fe?$", noun):
        return re.sub(r"fe?$", "ves", noun)
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


def spellings(name: str) -> list[str]:
    """The name as people write labels: itself, its plural, without brackets, joined by hyphens or underscores, with an
    apostrophe less. Capitals need no spelling of their own: the tokenizer lowers them."""
    plain = re.sub(r"\s*\([^)]*\)", "", name).strip()
    found = [name, plain, plural(plain), plain.replace("-", " "), plain.replace("'", "")]
    if " " in plain:
        found += [plain.replace(" ", "-"), plain.replace(" ", "_")]
    return list(dict.fromkeys(spelling for spelling in found if spelling))


def everyday() -> list[str]:
    """The hand-written list."""
    return EVERYDAY.read_text(encoding="utf-8").split("\n")[:-1]


def common_adjectives(count: int, folder: Path = wordnet.DEFAULT_FOLDER) -> list[str]:
    """The most frequent adjectives of WordNet after those of OFTEN."""
    from wordfreq import zipf_frequency

    lines = (folder / "index.adj").read_text(encoding="latin-1").splitlines()
    words = {line.split()[0] for line in lines if not line.startswith("  ")}
    plain = sorted(word for word in words if word.isalpha() and len(word) > 2)
    plain.sort(key=lambda word: -zipf_frequency(word, "en"))
    return list(dict.fromkeys([*OFTEN.split(), *plain]))[:count]


def first_clauses(folder: Path = wordnet.DEFAULT_FOLDER) -> list[str]:
    """Short first clauses of the glosses of everything that can be seen."""
    found: dict[str, None] = {}
    for synset in wordnet.read_synsets(folder).values():
        clause = synset.gloss.split(";")[0].strip()
        is_shown = synset.lexicographer_file in wordnet.CONCRETE and '"' not in clause
        if is_shown and 10 < len(clause) <= LONGEST_GLOSS and not any(w in clause for w in wordnet.NEVER_PICTURED):
            found[clause] = None
    return list(found)


def pairs(nouns: list[str], adjectives: list[str], generator: random.Random) -> Iterator[str]:
    """Two words a phrase: an adjective and a noun, or two nouns; the frequent ones more often."""

    def often(words: list[str]) -> str:
        return words[int(len(words) * generator.random() ** 2)]

    for _ in range(DESCRIBED):
        yield f"{often(adjectives)} {often(nouns)}"
    for number in range(PAIRS):
        first, second = often(nouns), often(nouns)
        yield (f"{first} {second}", f"{first} and {second}", f"{first} on a {second}", f"{first} in a {second}")[
            number % 4
        ]


def collect(known: list[str], seed: int = 0) -> Phrases:
    """All phrases. `known`: the names that have a place; none of these is held out."""
    generator = random.Random(seed)
    common = [noun for noun, _ in wordnet.pictured_nouns(NOUNS)]
    fixed = {name.lower() for name in [*known, *everyday()]}
    free = [noun for noun in common if noun.lower() not in fixed]
    held_out = set(generator.sample(free, HELD_OUT))
    hidden = held_out | {plural(noun) for noun in held_out}
    taught = [noun for noun in common if noun not in hidden]
    clauses = first_clauses()
    generator.shuffle(clauses)
    texts = [*pairs(taught[:6000], common_adjectives(400), generator), *clauses[:GLOSSES]]
    names = dict.fromkeys([*known, *everyday(), *taught])
    return Phrases(list(names), list(dict.fromkeys(texts)), sorted(held_out))


def labelled(found: Phrases, labels: list[str]) -> Phrases:
    """The phrases with `labels` (and the everyday list) before all other names; none of them stays held out."""
    first = dict.fromkeys([*labels, *everyday()])
    lowered = {name.lower() for name in first}
    held_out = [noun for noun in found.held_out if noun.lower() not in lowered]
    return Phrases(list(first | dict.fromkeys(found.names)), found.texts, held_out)
