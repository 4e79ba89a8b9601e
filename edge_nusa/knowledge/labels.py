"""What a class name may be, and when two class names are the same one.

A label is any printable text: "30 km/h", "AC/DC", "Paris, France", "../x". It is shown, stored as text and sent to the
text tower; it is never a path, a command or markup. Whoever writes it into a list or a sentence quotes it by `listed`
or `quoted`, into HTML by `html.escape`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from edge_nusa.errors import InputError

MAX_CHARACTERS = 100
SPACES = "\t\n\v\f\r"
"""The control characters that count as white space; every other one is refused."""


def normalise(label: str) -> str:
    """The label in NFC, each run of white space as one space, none at the ends.

    Raises InputError where nothing is left, for more than 100 characters, and for control, invisible, bidirectional,
    private or unassigned characters (Unicode categories Cc, Cf, Cs, Co, Cn).
    """
    forbidden = next((c for c in label if unicodedata.category(c)[0] == "C" and c not in SPACES), None)
    if forbidden is not None:
        raise _refused(label, f"letters, digits, signs and spaces, found the character U+{ord(forbidden):04X}")
    spaced = " ".join(label.split())
    # Counted before NFC too, which is quadratic on long runs of accents and shortens no text to less than a quarter.
    if len(spaced) > 4 * MAX_CHARACTERS:
        raise _refused(label, f"at most {MAX_CHARACTERS} characters, found {len(spaced)}")
    clean = unicodedata.normalize("NFC", spaced)
    if not clean:
        raise _refused(label, "a name, found nothing")
    if len(clean) > MAX_CHARACTERS:
        raise _refused(label, f"at most {MAX_CHARACTERS} characters, found {len(clean)}")
    return clean


def key(label: str) -> str:
    """What labels are compared by: two labels with the same key are the same label ("Cat" and "cat").

    Casefolded NFKC of the normalised label. For comparing only. Raises InputError as `normalise` does.
    """
    folded = unicodedata.normalize("NFKC", normalise(label)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def distinct(labels: Iterable[str]) -> list[str]:
    """The labels normalised, in order; of those with one key only the first is kept. Raises InputError as
    `normalise` does."""
    kept: dict[str, str] = {}
    for label in labels:
        kept.setdefault(key(label), normalise(label))
    return list(kept.values())


def split_list(text: str) -> list[str]:
    """The labels of a comma separated list, normalised, in order; of those with one key only the first is kept.

    No label in it can hold a comma. Raises InputError for an empty list or entry, and as `normalise` does.
    """
    if not text.strip():
        raise InputError(
            "the list of labels: expected names with commas between them, found nothing; write for example cat,dog"
        )
    return distinct(text.split(","))


def offered(listed: str | None, single: Iterable[str]) -> list[str]:
    """The labels of `--labels a,b,c` (None: not given), then those of every `--label`, each label once.

    Raises InputError as `split_list` and `normalise` do.
    """
    return distinct([*(split_list(listed) if listed is not None else []), *single])


def of_folder(name: str) -> str:
    """The label that a folder of a data set is named after: `_` is a space and `%2F` a "/", which no folder's name
    can hold.

    Every other "%" is itself. Raises InputError as `normalise` does.
    """
    return normalise(re.sub("%2F", "/", name.replace("_", " "), flags=re.IGNORECASE))


def listed(labels: Iterable[str]) -> str:
    """Labels for people, with commas between them; one that holds a comma or a double quote is quoted as in CSV.

    So that two labels never read as three: Paris, France -> "Paris, France"; 5" disk -> "5"" disk".
    """
    return ", ".join(in_list(label) for label in labels)


def in_list(label: str) -> str:
    """One entry of `listed`."""
    return '"' + label.replace('"', '""') + '"' if set(label) & set(',"') else label


def quoted(label: str) -> str:
    """A label inside a sentence: in single quotes, in double quotes where it holds a single one; no sign in it is
    changed."""
    mark = '"' if "'" in label and '"' not in label else "'"
    return f"{mark}{label}{mark}"


def _refused(label: str, problem: str) -> InputError:
    """The error for a label, which is shown escaped and cut to 60 characters."""
    shown = repr(label[:60])[1:-1][:60]
    return InputError(f"label '{shown}': expected {problem}; choose another name")
