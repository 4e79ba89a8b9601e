"""Prints the lowest version of each package that pyproject.toml allows, as pins for pip (make lower-bounds).

python tools/lower_bounds.py learn sync         # the base install's and those of these extras
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def pinned(requirement: Requirement) -> str:
    """The requirement at its lowest version. Raises ValueError where it names none."""
    lowest = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
    if not lowest:
        raise ValueError(f"{requirement}: expected a lower bound (>=), found none; give one in pyproject.toml")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={max(lowest)}"


def pins(extras: list[str], project: Path = PROJECT) -> list[str]:
    """A pin for each requirement of the base install and of these extras."""
    declared = tomllib.loads(project.read_text())["project"]
    optional = declared["optional-dependencies"]
    lines = [*declared["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [pinned(Requirement(line)) for line in lines]


if __name__ == "__main__":
    print("\n".join(pins(sys.argv[1:])))
