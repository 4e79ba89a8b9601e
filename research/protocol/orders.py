"""The orders in which the sets are learned: the two of the MTIL benchmark, the one given, random ones, or one from a
file."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_nusa.errors import UsageError
from edge_nusa.files import durable
from edge_nusa.pictures.pictures import printable

ORDER_I = (
    "aircraft",
    "caltech101",
    "cifar100",
    "dtd",
    "eurosat",
    "flowers102",
    "food101",
    "mnist",
    "oxford_pet",
    "stanford_cars",
    "sun397",
)
"""Alphabetical; both orders are those of Zheng et al., "Preventing Zero-Shot Transfer Degradation in Continual
Learning of Vision-Language Models" (2023)."""
ORDER_II = (
    "stanford_cars",
    "food101",
    "mnist",
    "oxford_pet",
    "flowers102",
    "sun397",
    "aircraft",
    "caltech101",
    "dtd",
    "eurosat",
    "cifar100",
)
PUBLISHED = {"I": ORDER_I, "II": ORDER_II}
ORDER_SEED = 0
MOST_ORDERS = 1000
LARGEST_BYTES = 1 << 20
"""Of a file of an order."""
FORMS = "I, II, given, random:N or the path of a text file with a set's name in each line"
Order = tuple[str, tuple[str, ...]]


def orders_of(names: Sequence[str], word: str) -> list[Order]:
    """(order_name, order) of each order that `--order word` asks for, of the sets `names`.

    `I`, `II`: the published order of those sets that are present; `given`: as in `names`; `random:N`: N distinct ones,
    the same for ever, named random:0 and so on, all there are where there are fewer; else a file, one order named after
    it. Raises UsageError for any other word, for sets that an order does not know or lacks, and where `names` is empty
    or names a set twice.
    """
    if not names or len(set(names)) != len(names):
        raise UsageError(
            f"--order: expected at least one set and each once, found {', '.join(names) or 'none'}; check the list of "
            "sets"
        )
    if word in PUBLISHED:
        return [(word, _published(names, word))]
    if word == "given":
        return [(word, tuple(names))]
    if match := re.fullmatch(r"random:([0-9]{1,9})", word):
        return _random(names, int(match[1]))
    return [_from_file(names, Path(word))]


def _published(names: Sequence[str], word: str) -> tuple[str, ...]:
    """The published order without the sets that are absent. Raises UsageError where a set is present that it does
    not know."""
    order = PUBLISHED[word]
    unknown = [name for name in names if name not in order]
    if unknown:
        missing = ", ".join(name for name in order if name not in names) or "none"
        raise UsageError(
            f"--order {word}: expected only sets of {', '.join(order)}; found {', '.join(unknown)} (missing: "
            f"{missing}); leave them out or use another order"
        )
    return tuple(name for name in order if name in names)


def _random(names: Sequence[str], count: int) -> list[Order]:
    """`count` distinct orders, or all there are; they depend on which sets there are, not on their order in `names`."""
    if not 1 <= count <= MOST_ORDERS:
        raise UsageError(f"--order random:N: expected N from 1 to {MOST_ORDERS}, found {count}; choose another number")
    is_all = len(names) < 10 and math.factorial(len(names)) <= count
    orders = itertools.permutations(sorted(names)) if is_all else itertools.islice(_drawn(names), count)
    return [(f"random:{index}", order) for index, order in enumerate(orders)]


def _drawn(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Distinct orders without end, each by the SHA-256 of its number and the names, which no version of Python
    changes."""
    seen = set()
    for number in itertools.count():
        ranks = {
            name: hashlib.sha256(f"{ORDER_SEED}/{number}/{name}".encode(errors="surrogateescape")).digest()
            for name in names
        }
        order = tuple(sorted(names, key=ranks.__getitem__))
        if order not in seen:
            seen.add(order)
            yield order


def _from_file(names: Sequence[str], file: Path) -> Order:
    """The order that a text file gives, named after it. Raises UsageError where it is none of exactly these sets."""
    if not file.is_file():
        raise UsageError(f"--order: expected {FORMS}; found {printable(file)}; choose one of these")
    try:
        text = durable.read_named(file, LARGEST_BYTES).decode()
        order = tuple(line.strip() for line in text.splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--order {printable(file)}: expected a readable text file, found {error}; check the file"
        ) from error
    if sorted(order) != sorted(names):
        missing = ", ".join(Counter(names) - Counter(order)) or "none"
        unknown = ", ".join(printable(name) for name in Counter(order) - Counter(names)) or "none"
        raise UsageError(
            f"--order {printable(file)}: expected each set in a line once, found missing: {missing}; unknown or twice: "
            f"{unknown}; correct the file"
        )
    return file.stem, order


def class_order(count: int, order_name: str) -> np.ndarray:
    """(count,) int64: the order in which a `cil` run meets the classes; `given` is the set's own, any other name
    draws one."""
    if order_name == "given":
        return np.arange(count)
    ranked = sorted(range(count), key=lambda index: hashlib.sha256(f"{order_name} {index}".encode()).hexdigest())
    return np.array(ranked, np.int64)
