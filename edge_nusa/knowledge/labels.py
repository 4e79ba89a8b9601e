"""What a class name may be, and when two class names are the same one.

A label is shown, stored as text and sent to the text tower; it is never a path, a command or markup.
"""

from __future__ import annotations

import unicodedata

from edge_nusa.errors import InputError

MAX_CHARACTERS = 100
SPACES = "\t\n\v\f\r"
"""The control characters that count as white space; every other one is refused."""


def normalise(label: str) -> str:
    """The label in NFC, each run of white space as one space, none at the ends.

    Raises InputError where nothing is left, for more than 100 characters, for control, invisible, bidirectional,
    private or unassigned characters (Unicode categories Cc, Cf, Cs, Co, Cn), for "/" and "\\", and for "." and "..".
    """
    forbidden = next((c for c in label if c in "/\\" or (unicodedata.category(c)[0] == "C" and c not in SPACES)), None)
    if forbidden is not None:
        raise _refused(label, f"letters, digits, signs and spaces, found the character U+{ord(forbidden):04X}")
    spaced = " ".join(label.split())
    # Counted before NFC too, which is quadratic on long runs of accents and shortens no text to less than a quarter.
    if len(spaced) > 4 * MAX_CHARACTERS:
        raise _refused(label, f"at most {MAX_CHARACTERS} characters, found {len(spaced)}")
    clean = unicodedata.normalize("NFC", spaced)
    if not clean or clean in (".", ".."):
        raise _refused(label, "a name, found nothing" if not clean else "a name, found a folder's sign")
    if len(clean) > MAX_CHARACTERS:
        raise _refused(label, f"at most {MAX_CHARACTERS} characters, found {len(clean)}")
    return clean


def key(label: str) -> str:
    """What labels are compared by: two labels with the same key are the same label ("Cat" and "cat").

    Casefolded NFKC of the normalised label. For comparing only: it may hold characters that no label may, such as the
    "/" that NFKC makes of U+2105. Raises InputError as `normalise` does.
    """
    folded = unicodedata.normalize("NFKC", normalise(label)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def split_list(text: str) -> list[str]:
    """The labels of a comma separated list, normalised, in order; of those with one key only the first is kept.

    Raises InputError for an empty list or entry, and as `normalise` does.
    """
    if not text.strip():
        raise InputError(
            "the list of labels: expected names with commas between them, found nothing; write for example cat,dog"
        )
    kept: dict[str, str] = {}
    for label in text.split(","):
        kept.setdefault(key(label), normalise(label))
    return list(kept.values())


def _refused(label: str, problem: str) -> InputError:
    """The error for a label, which is shown escaped and cut to 60 characters."""
    shown = repr(label[:60])[1:-1][:60]
    return InputError(f"label '{shown}': expected {problem}; choose another name")
