"""What a prompt template may be: the one rule of `learn --template`, of the state, and of updates and rounds."""

from __future__ import annotations

from edge_nusa.files.json_record import Record

MAX_CHARACTERS = 200
RULE = f"a printable text of at most {MAX_CHARACTERS} characters with one {{}} for the label"
"""Printable is what Python calls so: no tab, no line's end, no escape, and no space but the common one."""


def is_template(text: object) -> bool:
    """Whether `text` keeps to RULE; what is taught with it can be kept, sent and taken by every other device."""
    return isinstance(text, str) and text.count("{}") == 1 and len(text) <= MAX_CHARACTERS and text.isprintable()


def read(record: Record, name: str = "template") -> str | None:
    """A record's template, None for the bundle's own. Raises the record's error for a text that is none."""
    found = record.text_or_none(name)
    if found is not None and not is_template(found):
        raise record.origin.refused(name, RULE, found)
    return found
