"""Learners of one's own: `package.module:Class`, entry points of the group "edge_nusa.learners", or a class itself.

Whatever is called with (bundle, options) and gives a learner may stand there. Its module is imported, which runs its
code: nothing but what a person names is.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files.foreign import shown, why
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.checked import Checked
from edge_nusa.research.learners.described import GROUP
from edge_nusa.research.learners.entry import Entry, Options
from edge_nusa.research.learners.learners import Learner
from edge_nusa.research.learners.sources import provenance_of

FORM = "package.module:Class"
Maker = Callable[..., Any]


def entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Name -> entry point of the group, of installed packages; those with a colon in their name cannot be asked for
    and are left out."""
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP) if is_name(point.name)}


def is_name(text: str) -> bool:
    """Whether an entry point may be called so: letters, digits, - and _, which a file's name can hold."""
    return bool(text) and all(character.isalnum() or character in "-_" for character in text)


def name_of(maker: Maker) -> str:
    """`module:Class` of a class or function."""
    return f"{getattr(maker, '__module__', '')}:{getattr(maker, '__name__', '')}"


def entry_of(asked: str | Maker) -> Entry:
    """The entry of a learner that is not built in. Raises UsageError for a name of another form, InputError where its
    module cannot be imported, or has no such class."""
    if not isinstance(asked, str):
        return _entry(name_of(asked), asked, "")
    point = entry_points().get(asked)
    if point is not None:
        dist = point.dist
        return _entry(asked, _loaded(asked, point.module, point.attr), "" if dist is None else dist.version)
    module, _, attribute = asked.partition(":")
    parts = [*module.split("."), attribute]
    if not all(part.isidentifier() for part in parts) or module.endswith(".py"):
        raise UsageError(
            f"--learners {shown(asked)}: expected {FORM} with dots for folders and without .py; write mine:Mine for "
            "the class Mine in mine.py"
        )
    return _entry(asked, _loaded(asked, module, attribute), "")


def _loaded(asked: str, module: str, attribute: str) -> Maker:
    """What the module calls so. The current folder is looked into last, after all that is installed."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module raises while it is imported
        raise InputError(
            f"--learners {asked}: expected a module that can be imported, found {_kind(error)}; run the command in the "
            "folder of that module, or install it, or put its folder into PYTHONPATH"
        ) from error
    target: Any = found
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if callable(target):
        return target
    top = module.partition(".")[0]
    classes = [name for name, value in vars(found).items() if inspect.isclass(value)]
    there = [name for name in classes if vars(found)[name].__module__.partition(".")[0] == top]
    raise InputError(
        f"--learners {asked}: expected a class {attribute} in {module}, found "
        f"{', '.join(there[:8]) or 'no class'}; correct the name"
    )


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__}: {why(error)}"


def _entry(name: str, maker: Maker, version: str) -> Entry:
    def make(bundle: Bundle, options: Options) -> Learner:
        return Checked(name, maker, bundle, options)

    lines = (inspect.getdoc(maker) or "").strip().splitlines()
    return Entry(
        says=lines[0] if lines else "a learner without a docstring",
        needs_tokens=bool(getattr(maker, "needs_tokens", False)),
        make=make,
        provenance=provenance_of(maker, version),
    )


def check_picklable(makers: Sequence[str | Maker]) -> None:
    """Raises UsageError for a class that another process cannot import by its name, such as a notebook's own."""
    for maker in makers:
        if not isinstance(maker, str):
            module = sys.modules.get(maker.__module__)
            if maker.__module__ == "__main__" or getattr(module, maker.__name__, None) is not maker:
                raise UsageError(
                    f"learners: {name_of(maker)} cannot be imported by other processes; put it into a module of its "
                    "own, or take jobs=1"
                )
