"""What a command of `edge-nusa eval` asked for, kept beside its runs: OUT/sweeps/HASH.json, named after its content, so
that shards and machines which were asked for the same write the same file, and others write another.

From it `eval collect` knows which runs are missing, and the command that does them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import cast, get_args

from edge_nusa.files import durable
from edge_nusa.files.created import create_file
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.research.figures.runs import Suite
from edge_nusa.research.protocol.orders import MOST_ORDERS, Order
from edge_nusa.research.protocol.sequence import Plan
from edge_nusa.research.protocol.shards import MOST_SHARDS

FORMAT_VERSION = 1
FOLDER = "sweeps"
LARGEST_BYTES, MOST_WORDS, MOST_RUNS = 16 << 20, 1000, 1_000_000
_NEXT_STEP = "remove the file, and run the command that wrote it again"
OPTIONS = {
    "sets": "",
    "order": "given",
    "steps_of_classes": "10",
    "never": "",
    "test_limit": "0",
    "steps": "",
    "rate": "",
    "image_blocks": "",
    "naming": "own",
}
"""Settings that a command repeats where they are not the default, which is beside them."""
_CALLED = {"steps_of_classes": "class-steps"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """learners: by name; seeds from first_seed on; orders: (name, tasks) of each, of `cil` for every --class-steps;
    shards: into how many the runs were dealt, 1 for all in one; settings: what a report says of the command."""

    suite: Suite
    learners: tuple[str, ...]
    shots: tuple[int, ...]
    first_seed: int
    seeds: int
    orders: tuple[Order, ...]
    shards: int
    settings: Mapping[str, str]

    def plans(self) -> list[Plan]:
        """All its runs. Seeds in front, so that a command that is cut short has every learner with some seeds."""
        return [
            Plan(suite=self.suite, learner=learner, shots=shots, seed=seed, order_name=name, order=order)
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for name, order in self.orders
            for shots in self.shots
            for learner in self.learners
        ]

    def command(self, places: Mapping[str, str], plans: Sequence[Plan]) -> str:
        """What a shell does those of `plans` by that are not done: the same command, with their learners alone.
        places: --data, --out and the like, which are not kept."""
        missing = {plan.learner for plan in plans}
        options = {
            **places,
            "learners": ",".join(name for name in self.learners if name in missing),
            "shots": ",".join(map(str, self.shots)),
            "seeds": str(self.seeds),
            "first-seed": str(self.first_seed) if self.first_seed else "",
        }
        for name, default in OPTIONS.items():
            value = self.settings.get(name, default)
            options[_CALLED.get(name, name.replace("_", "-"))] = "" if value == default else value.replace(", ", ",")
        words = [word for name, value in options.items() if value for word in (f"--{name}", value)]
        return shlex.join(["edge-nusa", "eval", self.suite, *words])

    def to_json(self) -> bytes:
        """One JSON object, keys sorted."""
        return canonical({"format_version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Asked:
        """The inverse of `to_json`. Raises DamagedError naming `where`."""
        record = parse(data, Origin(f"{where}: not what a command asked for", _NEXT_STEP), LARGEST_BYTES)
        record.version(FORMAT_VERSION)
        record.only(["format_version", *(field.name for field in fields(cls))])
        settings = record.record("settings")
        found = cls(
            suite=cast(Suite, record.choice("suite", get_args(Suite))),
            learners=record.texts("learners", MOST_WORDS),
            shots=record.whole_numbers("shots", len(record.entries("shots", MOST_WORDS)), most=10**6),
            first_seed=record.integer("first_seed", most=10**6),
            seeds=record.integer("seeds", 1, MOST_WORDS),
            orders=tuple(_orders(record)),
            shards=record.integer("shards", 1, MOST_SHARDS),
            settings={name: settings.text(name) for name in settings.fields},
        )
        runs = found.seeds * len(found.orders) * len(found.shots) * len(found.learners)
        if runs > MOST_RUNS:
            raise record.origin.refused("seeds", f"at most {MOST_RUNS} runs in all", runs)
        return found


def _orders(record: Record) -> Iterator[Order]:
    for index, entry in enumerate(record.entries("orders", MOST_ORDERS * MOST_WORDS)):
        inside = Record({"name": entry, "tasks": entry}, record.origin.inside(f"orders[{index}]"))
        pair = inside.entries("name", 2)
        if len(pair) != 2:
            raise record.origin.refused(f"orders[{index}]", "a name and the tasks", entry)
        each = Record({"name": pair[0], "tasks": pair[1]}, inside.origin)
        yield each.text("name"), each.texts("tasks")


def keep(out: Path, asked: Asked) -> None:
    """Write it below `out`, where it is not there yet. Raises as the disk does (`durable.explained`)."""
    data = asked.to_json()
    with durable.explained(f"write {out / FOLDER}"):
        durable.make_folder(out / FOLDER)
        create_file(out / FOLDER / f"{sha256_hex(data)[:16]}.json", data)


def read_all(out: Path) -> list[Asked]:
    """What all commands of a folder asked for. Raises DamagedError for a file that is none."""
    found = []
    for path in sorted((out / FOLDER).glob("*.json")):
        with durable.explained(f"read {path}"):
            found.append(Asked.from_json(durable.read_at_most(path, LARGEST_BYTES + 1), str(path)))
    return found
