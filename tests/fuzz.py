"""Changes files and messages again and again: whatever they become, only our own errors leave their readers, bounded.

    python tests/fuzz.py --cases 20000              # all readers, as `make fuzz` does
    python tests/fuzz.py --cases 1000 graph ledger  # some; --seed for others than those of last time

It prints a line a reader: cases, how many were refused, the longest error, the slowest case. What is wrong is told and
written to build/fuzz/, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
for room in ("", "fleet", "files", "model", "knowledge", "telling"):
    sys.path.insert(0, str(ROOT / "tests" / room))

from foreign_files import Foreign, foreign  # noqa: E402

from edge_nusa.errors import EdgeNusaError  # noqa: E402

LONGEST_MESSAGE = 2000
SLOWEST_SECONDS = 20
"""One case may not take more; a reader that does is stuck."""
MEMORY_BYTES = 8 << 30


@dataclass
class Outcome:
    """Of one reader: how many cases it refused, the length of its longest error, the seconds of its slowest case, and
    what was wrong: (seed, why)."""

    name: str
    cases: int = 0
    refused: int = 0
    longest: int = 0
    slowest: float = 0.0
    wrong: list[tuple[int, str]] = field(default_factory=list)

    def line(self) -> str:
        """For people."""
        found = f"{len(self.wrong)} WRONG" if self.wrong else "well"
        return (
            f"{self.name:28} {self.cases:6} cases, {self.refused:6} refused, longest error {self.longest:4}, slowest "
            f"{self.slowest:6.2f} s: {found}"
        )


class StuckError(BaseException):
    """A case took longer than SLOWEST_SECONDS."""


def tried(name: str, one: Foreign, cases: int, seed: int, kept: Path | None = None) -> Outcome:
    """So many cases of a reader; those that go wrong are written to `kept`."""
    outcome = Outcome(name)
    for case in range(cases):
        number = seed + case
        data = one.change(random.Random(f"{name} {number}"), one.data)
        began = time.monotonic()
        why = fault(one, data, outcome)
        outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        outcome.cases += 1
        if why is not None:
            outcome.wrong.append((number, why))
            if kept is not None and len(outcome.wrong) <= 20:
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"{name.replace(' ', '-').replace('/', '-')}-{number}").write_bytes(data)
    return outcome


def fault(one: Foreign, data: bytes, outcome: Outcome) -> str | None:
    """What is wrong with how the reader takes these bytes; None where all is well."""
    signal.alarm(SLOWEST_SECONDS)
    try:
        one.read(data)
    except EdgeNusaError as error:
        text = str(error)
        outcome.refused += 1
        outcome.longest = max(outcome.longest, len(text))
        if len(text) > LONGEST_MESSAGE:
            return f"a message of {len(text)} characters: {text[:100]}"
        if not text.isprintable():
            return f"a message that moves a terminal: {text[:200]!r}"
    except StuckError:
        return f"more than {SLOWEST_SECONDS} s"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        if isinstance(error, KeyboardInterrupt):
            raise
        return " | ".join(traceback.format_exception(error)[-2:]).strip().replace("\n", " ")[-300:]
    finally:
        signal.alarm(0)
    return None


def stuck(number: int, frame: FrameType | None) -> None:
    """The alarm."""
    raise StuckError


def main(words: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of files and messages.")
    parser.add_argument("names", nargs="*", help="readers; all by themselves")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    signal.signal(signal.SIGALRM, stuck)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    warnings.simplefilter("ignore")
    readers = foreign()
    chosen = [name for name in readers if not asked.names or any(word in name for word in asked.names)]
    wrong = 0
    for name in chosen:
        outcome = tried(name, readers[name], asked.cases, asked.seed, ROOT / "build" / "fuzz")
        print(outcome.line(), flush=True)
        kinds = {why.rpartition("|")[2][:100]: (number, why) for number, why in reversed(outcome.wrong)}
        for number, why in kinds.values():
            print(f"    case {number}: {why}", flush=True)
        wrong += len(outcome.wrong)
    print(f"{len(chosen)} readers, {asked.cases} cases each, {wrong} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
