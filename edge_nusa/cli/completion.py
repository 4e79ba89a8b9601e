"""What a shell offers at TAB: labels that were taught, recipes, suites and models, by reading as little as tells them.

Nothing here may fail, print or load a runtime: a TAB is answered at once, or with nothing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import typer

from edge_nusa.errors import EdgeNusaError

RECIPES = (("device", "the head, then the text tower in the null space"), ("paper", "as published"))
SUITES = (
    ("mtil", "data sets in sequence"),
    ("cil", "one growing label space"),
    ("orders", "mtil in ten orders"),
)
MOST = 200
"""Labels and models that are offered at once; more are no help."""
LARGEST_BYTES = 1 << 20
"""Of a list of labels that is read at a TAB."""


class Offer(str):
    """A word as a shell takes it: typer leaves out what does not begin as typed, which is not quoted yet."""

    def startswith(self, *_: object) -> bool:
        """It was looked at already."""
        return True


def labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The labels of the state that the command would use."""
    return offers(_taught(ctx), incomplete)


def label_list(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same behind what stands of a list a,b,c already."""
    return in_list([name for name in _taught(ctx) if "," not in name], incomplete)


def recipes() -> list[tuple[str, str]]:
    """The recipes, with what each is."""
    return list(RECIPES)


def suites() -> list[tuple[str, str]]:
    """What `eval` runs, with what each is."""
    return [*SUITES, ("collect", "the results of runs that are there")]


def models(incomplete: str) -> list[str]:
    """The models that `export` takes."""
    from edge_nusa.export import listing

    with suppress(EdgeNusaError, OSError):
        return offers([str(row["model"]) for row in listing.models() if row["supported"]], incomplete)
    return []


def offers(names: Iterable[str], incomplete: str) -> list[str]:
    """Of the names those that begin as typed, whatever the case, as the shell takes them."""
    typed = incomplete.casefold()
    found = [name for name in names if name.casefold().startswith(typed)][:MOST]
    return [Offer(_quoted(name)) for name in found]


def in_list(names: Iterable[str], incomplete: str) -> list[str]:
    """The same for the last word of a,b,c; none that stands there already."""
    before, comma, last = incomplete.rpartition(",")
    left = [name for name in names if name not in before.split(",")]
    return offers([f"{before}{comma}{name}" for name in left if name.casefold().startswith(last.casefold())], "")


def _quoted(name: str) -> str:
    """zsh and fish quote by themselves; bash wants it done, but inside of quotes that a person began."""
    words, place = os.environ.get("COMP_WORDS"), os.environ.get("COMP_CWORD", "")
    if words is None or shlex.quote(name) == name:
        return name
    if place.isdigit() and words.split("\n")[int(place) :][:1] and words.split("\n")[int(place)][:1] in ("'", '"'):
        return name
    return "".join(c if c.isalnum() or c in "-_./,:+@%" or not c.isascii() else f"\\{c}" for c in name)


def _taught(ctx: typer.Context) -> list[str]:
    from edge_nusa.files.json_bytes import parse
    from edge_nusa.files.json_record import Origin
    from edge_nusa.state.reader import StateReader

    with suppress(EdgeNusaError, OSError):
        folder = _state(ctx)
        found = StateReader(folder, None).snapshot_of_any_format(["labels.json"])
        if found is not None and "labels.json" in found[1]:
            content = parse(found[1]["labels.json"], Origin(str(folder), ""), LARGEST_BYTES)
            return [label.text("name") for label in content.records("labels")]
    return []


def _state(ctx: typer.Context) -> Path:
    """The state that the command would use."""
    from edge_nusa.settings.shared import chosen_folder

    asked = ctx.params.get("state") or chosen_folder("state")
    if asked:
        return Path(asked)
    from edge_nusa.device.opened import default_state_of  # which knows bundles, and so loads numpy
    from edge_nusa.model.bundle import embedded_bundle

    return default_state_of(Path(ctx.params.get("bundle") or chosen_folder("bundle") or embedded_bundle()))
