"""What a power cut leaves: the changes of the disk in a command are written down once, and any beginning of them is
done again without what was not synced.

A file's bytes are safe once the file was synced, a name (made, renamed, linked, removed) once its folder was. What is
not safe may be there or not, and bytes may be there in part: `DAMAGES` are the ways in which a file that was not synced
is found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut at 0": lambda data: b"",
    "cut at 1": lambda data: data[:1],
    "cut at 512": lambda data: data[:512],
    "cut at half": lambda data: data[: len(data) // 2],
    "cut at n - 1": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
}
NAMES_LOST = "names lost"
MOMENTS = {"fsync", "rename", "link"}
"""A cut just before one of these loses the most."""
NAMES = ["mkdir", "unlink", "remove", "rmdir", "rename", "replace", "link", "symlink"]
SAME = {"replace": "rename", "remove": "unlink"}
TWO_NAMES = {"rename", "replace", "link", "symlink"}


@dataclass(frozen=True)
class Change:
    """verb: make, write, fsync, rename, link, symlink, mkdir, unlink or rmdir; path: what it is done to, relative to
    the folder that is watched; other: the new name; data: the bytes written, or what a link says."""

    verb: str
    path: str
    other: str = ""
    data: bytes = b""

    @property
    def folder(self) -> str:
        """The folder whose sync makes the name safe."""
        return os.path.dirname(self.other or self.path)


@dataclass
class Watch:
    """What was done below a folder, in its order."""

    folder: Path
    changes: list[Change] = field(default_factory=list)
    files: dict[int, str] = field(default_factory=dict)

    def place(self, path: Any, folder: int | None = None) -> str:
        """The absolute path of what a call names, perhaps below an opened folder."""
        return (
            os.path.join(self.files.get(folder, "/"), os.fspath(path))
            if folder is not None
            else os.path.abspath(os.fspath(path))
        )

    def relative(self, path: str) -> str | None:
        """The path below the folder, None elsewhere."""
        found = os.path.relpath(path, self.folder)
        return None if found.startswith("..") else found

    def add(self, verb: str, path: str, other: str = "", data: bytes = b"") -> None:
        """Write a change down if it is below the folder."""
        name = self.relative(path)
        if name is not None:
            self.changes.append(Change(verb, name, (self.relative(other) or "") if other else "", data))

    def add_hidden(self, path: str) -> None:
        """Write down a file's bytes that did not come through os.write."""
        name = self.relative(path)
        if (
            name is not None
            and os.path.isfile(path)
            and not any(change.verb == "write" and change.path == name for change in self.changes)
        ):
            self.add("write", path, data=Path(path).read_bytes())


@contextmanager
def watched(folder: Path) -> Iterator[list[Change]]:
    """Writes down every change below the folder that goes through the module os. What a library writes otherwise
    (python-tuf, by a Python file) is written down as bytes that were never synced, when the file gets its name."""
    watch, real = Watch(folder), {name: getattr(os, name) for name in ["open", "write", "fsync", *NAMES]}

    def opened(path: Any, flags: int, *args: Any, dir_fd: int | None = None, **kwargs: Any) -> int:
        place = watch.place(path, dir_fd)
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(place)
        descriptor: int = real["open"](path, flags, *args, dir_fd=dir_fd, **kwargs)
        watch.files[descriptor] = place
        if is_new:
            watch.add("make", place)
        return descriptor

    def written(descriptor: int, data: Any) -> int:
        count: int = real["write"](descriptor, data)
        if descriptor in watch.files:
            watch.add("write", watch.files[descriptor], data=bytes(data)[:count])
        return count

    def synced(descriptor: int) -> None:
        real["fsync"](descriptor)
        if descriptor in watch.files:
            watch.add("fsync", watch.files[descriptor])

    def named(name: str) -> Callable[..., None]:
        def changed(first: Any, *rest: Any, dir_fd: int | None = None, **kwargs: Any) -> None:
            folders = [kwargs.get("src_dir_fd", dir_fd), kwargs.get("dst_dir_fd", dir_fd)]
            names = (first, *rest[: 1 if name in TWO_NAMES else 0])
            paths = [watch.place(path, folder) for path, folder in zip(names, folders, strict=False)]
            if name in ("rename", "replace"):
                watch.add_hidden(paths[0])
            real[name](first, *rest, **({} if dir_fd is None else {"dir_fd": dir_fd}), **kwargs)
            if name == "symlink":
                watch.add(name, paths[1], data=os.fsencode(first))
            else:
                watch.add(SAME.get(name, name), paths[0], "".join(paths[1:]))

        return changed

    replaced = {"open": opened, "write": written, "fsync": synced, **{name: named(name) for name in NAMES}}
    for name, function in replaced.items():
        setattr(os, name, function)
    try:
        yield watch.changes
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def moments(changes: list[Change]) -> list[int]:
    """How many changes are done when the power goes: just before each that makes something safe or gives a name, and
    after all."""
    return [index for index, change in enumerate(changes) if change.verb in MOMENTS] + [len(changes)]


def cut(folder: Path, changes: list[Change], damage: str) -> bool:
    """Do these changes below the folder as a power cut after the last of them leaves them; False where `damage`
    damages nothing.

    The folder must be as it was before the first of them.
    """
    lost = _unsafe_names(changes) if damage == NAMES_LOST else set()
    unsafe: dict[str, bytes] = {}
    for index, change in enumerate(changes):
        if index not in lost:
            with (
                suppress(OSError) if lost else nullcontext()
            ):  # what was done below a name that was lost cannot be done again
                _do(folder, change, unsafe)
    if damage == NAMES_LOST:
        return bool(lost)
    for name, data in unsafe.items():
        if (folder / name).is_file():
            (folder / name).write_bytes(DAMAGES[damage](data))
    return bool(unsafe)


def _unsafe_names(changes: list[Change]) -> set[int]:
    """The changes of names whose folder was not synced after them."""
    synced: set[str] = set()
    unsafe = set()
    for index in range(len(changes) - 1, -1, -1):
        change = changes[index]
        if change.verb == "fsync":
            synced.add(change.path)
        elif change.verb != "write" and change.folder not in synced:
            unsafe.add(index)
    return unsafe


def _do(folder: Path, change: Change, unsafe: dict[str, bytes]) -> None:
    path, other = folder / change.path, folder / change.other
    if change.verb == "make":
        path.touch()
        unsafe[change.path] = b""
    elif change.verb == "write":
        with path.open("ab") as file:
            file.write(change.data)
        unsafe[change.path] = path.read_bytes()
    elif change.verb == "fsync":
        unsafe.pop(change.path, None)
    elif change.verb == "rename":
        os.replace(path, other) if not path.is_dir() else os.rename(path, other)
        for name in [name for name in unsafe if name == change.path or name.startswith(change.path + "/")]:
            unsafe[change.other + name.removeprefix(change.path)] = unsafe.pop(name)
    elif change.verb == "link":
        os.link(path, other)
        if change.path in unsafe:
            unsafe[change.other] = unsafe[change.path]
    elif change.verb == "symlink":
        os.symlink(os.fsdecode(change.data), path)
    elif change.verb == "mkdir":
        os.mkdir(path)
    elif change.verb == "unlink":
        os.unlink(path)
        unsafe.pop(change.path, None)
    else:
        os.rmdir(path)
