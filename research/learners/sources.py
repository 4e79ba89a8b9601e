"""Where the code of a learner comes from: the SHA-256 of its source files, so that no two versions are mixed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_nusa.files.file_record import file_sha256
from edge_nusa.research.learners.entry import Provenance

MOST_FILES = 500
"""Of a package whose sources are hashed together; of a larger one the module's own file is."""


def provenance_of(maker: Callable[..., Any], version: str) -> Provenance:
    """Of a class or function. version: what its entry point's package says, or ""."""
    module = str(getattr(maker, "__module__", ""))
    top = module.partition(".")[0]
    files = _files(module, top)
    return Provenance(
        module=module,
        name=str(getattr(maker, "__name__", "")),
        version=version or _version(module, top),
        files=len(files),
        sha256=_sha256(files) if files else _of_text(maker),
    )


def _files(module: str, top: str) -> dict[str, Path]:
    """Name -> file: every source of the package that the module is in, or the module's own file alone."""
    if module == "__main__":
        return {}
    own = getattr(sys.modules.get(module), "__file__", None)
    folders = list(getattr(sys.modules.get(top), "__path__", ()))
    found = {
        str(path.relative_to(folder)): path
        for folder in folders
        for path in sorted(Path(folder).rglob("*.py"))
        if path.is_file()
    }
    if 0 < len(found) <= MOST_FILES:
        return found
    return {Path(own).name: Path(own)} if own else {}


def _sha256(files: dict[str, Path]) -> str:
    """Of one file its own, so that `sha256sum` shows it; of several that of their names and digests, a line each."""
    digests = {name: file_sha256(path) for name, path in sorted(files.items())}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()).hexdigest()


def _of_text(maker: Callable[..., Any]) -> str:
    """Of a notebook's own class, as it was typed; "" where that is not known."""
    try:
        return hashlib.sha256(inspect.getsource(maker).encode()).hexdigest()
    except (OSError, TypeError):
        return ""


def _version(module: str, top: str) -> str:
    names = importlib.metadata.packages_distributions().get(top, [])
    said = getattr(sys.modules.get(module), "__version__", getattr(sys.modules.get(top), "__version__", ""))
    return importlib.metadata.version(names[0]) if len(names) == 1 else str(said)
