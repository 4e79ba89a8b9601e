"""Draws the house: writes the picture and the table of rooms into ARCHITECTURE.md from what the source imports.

`make docs`; with --check it only says whether they are current. Imports are grimp's, which import-linter brings; those
inside functions and under TYPE_CHECKING count too. An arrow of the picture is left out where others lead the same way.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- rooms: made by `make docs` -->\n", "<!-- rooms end -->\n"
PACKAGE = "edge_nusa"
DIVIDED = ("sync", "device", "research")
"""Rooms of several subjects, each of which has a row of its own."""


def room_of(module: str) -> str:
    """`device` for edge_nusa.device.learning.judge; `errors` for edge_nusa.errors."""
    return module.split(".")[1]


def subject_of(module: str) -> str:
    """`device/learning` for edge_nusa.device.learning.judge, `device` for a file of the room itself."""
    parts = module.split(".")
    room = parts[1]
    is_folder = len(parts) > 2 and (ROOT / PACKAGE / room / parts[2]).is_dir()
    return f"{room}/{parts[2]}" if room in DIVIDED and is_folder else room


def imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    """Every (importer, imported) pair of modules of the package, the package's own file aside."""
    for module in sorted(graph.modules - {PACKAGE}):
        for other in sorted(graph.find_modules_directly_imported_by(module) - {PACKAGE}):
            yield module, other


def arrows(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """room -> rooms that it imports."""
    found: dict[str, set[str]] = {room_of(module): set() for module in graph.modules - {PACKAGE}}
    for module, other in imports(graph):
        if room_of(module) != room_of(other):
            found[room_of(module)].add(room_of(other))
    return found


def reached(found: dict[str, set[str]], start: str) -> set[str]:
    """All rooms that lie behind one, by any way."""
    behind: set[str] = set()
    waiting = set(found[start])
    while waiting:
        room = waiting.pop()
        behind.add(room)
        waiting |= found[room] - behind
    return behind


def picture(found: dict[str, set[str]]) -> str:
    """A mermaid graph: an arrow where nothing else that the room imports leads there too."""
    lines = ["```mermaid", "graph TD"]
    for room in sorted(found, key=lambda each: (-len(reached(found, each)), each)):
        needed = {
            other for other in found[room] if not any(other in reached(found, third) for third in found[room] - {other})
        }
        lines += [f"  {room} --> {other}" for other in sorted(needed)] or [f"  {room}"]
    return "\n".join([*lines, "```"])


def table(graph: grimp.ImportGraph, found: dict[str, set[str]]) -> str:
    """A row a room or subject, from the top down: what its first line says, and what it imports."""
    subjects: dict[str, set[str]] = {}
    for module in graph.modules - {PACKAGE}:
        subjects.setdefault(subject_of(module), set())
    for module, other in imports(graph):
        one, two = subject_of(module), subject_of(other)
        if one != two:
            subjects[one].add(two if room_of(module) == room_of(other) else room_of(other))
    order = sorted(subjects, key=lambda each: (-len(reached(found, each.split("/")[0])), each))
    rows = ["| room | what it is | imports |", "|---|---|---|"]
    for subject in order:
        rows.append(f"| `{subject}` | {first_line(subject)} | {', '.join(sorted(subjects[subject]))} |")
    return "\n".join(rows)


def source(module: str) -> Path:
    """The file of a module."""
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def first_line(subject: str) -> str:
    """The first sentence of a room's docstring."""
    text = ast.get_docstring(ast.parse(source(f"{PACKAGE}.{subject.replace('/', '.')}").read_text(encoding="utf-8")))
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")


def drawn(text: str) -> str:
    """ARCHITECTURE.md with the picture and the table of today's source between the two marks."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found = arrows(graph)
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    count = sum(len(others) for others in found.values())
    said = f"{len(found)} rooms, {count} arrows, of which the picture leaves out those that others imply."
    return f"{before}{BEGIN}{picture(found)}\n\n{said}\n\n{table(graph, found)}\n{END}{after}"


def main() -> int:
    """Write the rooms, or with --check compare them; 1 where they are out of date."""
    text = TARGET.read_text(encoding="utf-8")
    if drawn(text) == text:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stderr.write(f"{TARGET.name}: its rooms are out of date: run `make docs` and commit it\n")
        return 1
    TARGET.write_text(drawn(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
