"""What people type for a command that has another name here, and the error that tells them the right one."""

from __future__ import annotations

from collections.abc import Collection

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

ALIKE = 0.7
"""How alike two words are (difflib's ratio) where one may be meant by the other: below it, `remove` is like `demo`."""
MEANT = {
    "": {
        "learn": "add fit lesson train training tune",
        "predict": "ask answer classify detect infer inference query recognise recognize",
        "labels": "classes label list ls show",
        "forget": "delete del drop remove rm unlearn",
        "undo": "back revert rollback restore",
        "redo": "forward",
        "rename": "mv move relabel",
        "history": "generations log",
        "status": "info state stat",
        "doctor": "check diagnose health verify",
        "bench": "benchmark measure profile speed",
        "watch": "camera follow monitor stream",
        "teach": "app browser gui page server serve ui web",
        "report": "html plot summary",
        "config": "configure preferences set setting settings setup",
        "sync": "federate fleet join",
        "sync push": "push share upload",
        "hub enroll": "enrol enroll",
        "hub token": "invite token",
        "hub merge": "merge",
        "hub publish": "publish",
        "eval": "compare evaluate evaluation score",
        "export": "convert download",
        "demo": "example tutorial",
        "--version": "version",
        "--help": "man usage",
    },
    "sync": {
        "init": "add enrol enroll enter join login register start",
        "push": "send share upload",
        "pull": "download fetch get receive update",
        "run": "all both now",
        "status": "info state show",
        "leave": "exit logout quit remove stop",
        "set-store": "move store url",
    },
    "hub": {
        "init": "begin create make new start",
        "enroll": "add enrol register",
        "revoke": "ban delete disable kick remove rm",
        "merge": "aggregate average collect combine",
        "publish": "push release send sign",
        "undo": "back revert rollback",
        "rotate": "renew rekey",
        "set-store": "move store url",
        "check": "test verify",
        "status": "devices info list ls show state",
    },
}
"""Of the program ("") and of its groups: the right name, and other words for it."""


def unknown(typed: str, group: str, names: Collection[str]) -> UsageError:
    """The error for a word that is no command; group: "", or the group that it was typed after; names: the commands
    there."""
    before = f"edge-nusa {group}".rstrip()
    meant = " or ".join(f"`{before} {name}`" for name in _meant(typed, group, names))
    asked = f"did you mean {meant}? `{before} --help` lists all" if meant else f"`{before} --help` lists them"
    return UsageError(f"`{before}` has no command {shown(typed)}; {asked}")


def _meant(typed: str, group: str, names: Collection[str]) -> list[str]:
    from difflib import get_close_matches

    word = typed.casefold()
    exact = [name for name, words in MEANT.get(group, {}).items() if word in words.split()]
    exact = [name for name in exact if name.split()[0] in names or name.startswith("--")]
    return exact or get_close_matches(word, names, 2, ALIKE)
