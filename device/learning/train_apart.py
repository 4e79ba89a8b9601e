"""Runs phase two of learning in a process of its own: torch's memory is gone before the judge needs room.

The two processes share files without names, whose descriptors are inherited: one of arrays (`FIELDS`, `CORES`) and
settings, one for the cores that were learned, and the spool of the pictures' tokens, which may be large. So nothing of
a picture stays, even where both are killed. The child writes one JSON object a line to its stdout: `{"done", "total"}`
after each step, and at the end what it found or the error it met. It ends by itself when nobody reads.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from edge_nusa import errors
from edge_nusa.device.learning import handed_over
from edge_nusa.device.learning.gaussian_replay import GaussianReplay
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError, ResourceError, UnforeseenError
from edge_nusa.files import durable, tensor_file
from edge_nusa.files.os_errors import NO_ROOM
from edge_nusa.knowledge.knowledge import Knowledge, nothing
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.memory import peak_bytes, used_bytes
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import MAX_MANIFEST_BYTES, Bundle
from edge_nusa.threads import available

NARROW = 256
"""A text tower of at most this width trains on one thread: more only wait for each other (docs/decisions.md)."""
FIELDS = ("embedding", "classes", "held_out", "class_hidden", "class_last", "noun_hidden", "noun_last", "noun_anchors")
RECALLED = ("tokens", "means", "scatter", "projection")
"""The arrays of a `GaussianReplay`, handed over as `recalled_NAME`; none where nothing is recalled."""
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "262144"}
"""glibc's malloc hands arrays from this size on back when they are freed, instead of keeping their room among small
things that stay."""
QUIET = 0.25
"""Cores that other programs keep busy, below which a board is quiet."""
SLEEPS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Torch's threads wait asleep: given here, since this process may have been told before it knew of edge_nusa."""
SPINS = {"GOMP_SPINCOUNT": "10000"}
"""Torch's threads look so often for the next piece of work before they sleep: faster on a quiet board, slower on a
busy one (docs/performance.md)."""
SILENT_SECONDS = 1200
"""So long the training may say nothing, from its start or from one step to the next; loading torch from a slow card
takes a fraction of it."""
_PIPE_BYTES = 1 << 16
_LACKS = ("Too many open files", "No space left on device", "Disk quota exceeded", "File too large")
"""Last words of a process whose interpreter could not even begin."""
CORES = "cores.safetensors"
"""The cores before, handed over, and the cores after, handed back: the bytes of a safetensors file."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained: the knowledge before, the task, the recipe and the seed; spool: the open file behind the
    tokens, or None.

    busy_cores: how many cores other programs keep busy (None: not known).
    """

    before: Knowledge
    data: TaskData
    spool: IO[bytes] | None
    recipe: Recipe
    seed: int
    busy_cores: float | None = None


def train_apart(opened: Opened, training: Training, progress: Progress) -> tuple[Trained, int]:
    """What the child learned, and the largest resident memory of both processes together in bytes (pages they share
    count twice).

    Raises what `Trainer` raises, and ResourceError where the system took the child's memory away.
    """
    with handed_over.nameless() as given, handed_over.nameless() as answer:
        descriptors = [given.fileno(), *_hand_over(given, opened, training), answer.fileno()]
        is_quiet = training.busy_cores is not None and training.busy_cores < QUIET
        with _child(descriptors, training.spool, SPINS if is_quiet else {}) as lines:
            for line in lines:
                if "total" not in line:
                    break
                progress(line["done"], line["total"])
        if "error" in line:
            raise getattr(errors, line["error"])(line["message"])
        answer.seek(0)
        cores = tensor_file.decode(answer.read(), CORES)
        return Trained(cores, line["loss"], line["kept_step"], line["crossings"]), used_bytes() + line["peak_bytes"]


def _hand_over(given: IO[bytes], opened: Opened, training: Training) -> list[int]:
    """Write all that the child is told; returns where its settings begin and how long they are."""
    data, tokens = training.data, training.data.tokens
    arrays = {field: getattr(data, field) for field in FIELDS}
    if data.gaussian_replay is not None:
        arrays |= {f"recalled_{field}": getattr(data.gaussian_replay, field) for field in RECALLED}
    arrays[CORES] = np.frombuffer(tensor_file.encode(training.before.cores), np.uint8)
    settings = {
        "bundle": str(opened.bundle.folder.absolute()),
        "recipe": asdict(training.recipe),
        "seed": training.seed,
        "threads": opened.threads,
        "tokens": None if tokens is None or training.spool is None else [training.spool.fileno(), *tokens.shape],
    }
    return handed_over.write(given, arrays, settings)


@contextmanager
def _child(
    descriptors: Sequence[int], spool: IO[bytes] | None, variables: Mapping[str, str]
) -> Iterator[Iterator[dict[str, Any]]]:
    """The lines of the training process, which ends with the block whatever happens; descriptors: of what is given,
    where its settings begin and how long they are, and of the file for its answer."""
    words = [sys.executable, "-P", "-m", "edge_nusa.device.learning.train_apart", *map(str, descriptors)]
    kept = [descriptors[0], descriptors[-1], *([spool.fileno()] if spool is not None else [])]
    env = {**GIVES_BACK, **SLEEPS, **variables, **os.environ}
    with durable.explained("start the training process"):
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, pass_fds=kept, text=True, env=env
        )
    with said:
        try:
            yield _lines(process, said)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _lines(process: subprocess.Popen[str], said: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Each line; raises where the process ends without its last one, or says none for SILENT_SECONDS."""
    if process.stdout is not None:
        yield from map(json.loads, _said_in_time(process.stdout.fileno()))
    code = process.wait()
    said.seek(0)
    words = said.read().decode(errors="replace").strip()
    last = (words.splitlines() or ["it said nothing"])[-1]
    if any(sign in last for sign in _LACKS):
        raise ResourceError(
            f"training ended, as the system gave it no more ({last}); nothing of the training is kept: end other "
            "programs, or free some disk space in the temporary folder (TMPDIR chooses another)"
        )
    if code in (-9, 137) or any(sign in last for sign in NO_ROOM):
        raise ResourceError(
            f"memory ran out while training ({'the system killed it' if code < 0 else last}); nothing of the training "
            "is kept: end other programs, or pass --max-memory, which leaves out what does not fit"
        )
    error = UnforeseenError(
        f"training ended with {code} and no result ({last}); nothing of the training is kept: see `edge-nusa doctor`"
    )
    error.add_note(words)  # the child's traceback, which EDGE_NUSA_DEBUG=1 shows
    raise error


def _said_in_time(descriptor: int) -> Iterator[bytes]:
    """Each line of a pipe. Raises ResourceError where nothing comes for SILENT_SECONDS: a process that was stopped
    would keep the state's lock for ever."""
    pipe, begun = select.poll(), b""
    pipe.register(descriptor, select.POLLIN)
    while True:
        if not pipe.poll(1000 * SILENT_SECONDS):
            raise ResourceError(
                f"training: expected a step within {SILENT_SECONDS} s, found none; nothing of the training is kept: "
                "end other programs, or learn with --head-only"
            )
        if not (part := os.read(descriptor, _PIPE_BYTES)):
            return
        *lines, begun = (begun + part).split(b"\n")
        yield from lines


def thread_count(asked: int, text_width: int) -> int:
    """Threads of torch: as many as asked for; for 0 one for a narrow text tower, else what this process may use."""
    return asked or (1 if text_width <= NARROW else available())


def main() -> None:
    """The child: train what lies in the folder given."""
    # should memory run out, this process goes first, and its parent can say so
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    given, start, length, answer = map(int, sys.argv[1:])
    try:
        try:
            with os.fdopen(given, "rb") as file:
                arrays, settings = handed_over.read(file, start, length)
            found = _trained(arrays, settings, answer)
        except EdgeNusaError as error:
            found = {"error": type(error).__name__, "message": str(error)}
        except BrokenPipeError:
            raise
        except OSError as error:
            told = durable.storage_error(error, "train in the temporary folder (TMPDIR chooses another)")
            found = {"error": type(told).__name__, "message": str(told)}
        _say({**found, "peak_bytes": peak_bytes()})
    except BrokenPipeError:  # its parent was killed: without the interpreter's own try to write what is left
        os._exit(1)


def _trained(arrays: dict[str, np.ndarray], settings: Mapping[str, Any], answer: int) -> dict[str, Any]:
    import torch

    from edge_nusa.device.learning.train_cores import Trainer

    # its parent has proved the bundle whole, and its files are not written while it learns
    place = Path(settings["bundle"])
    bundle = Bundle(
        place, manifests.decode(durable.read_at_most(place / "manifest.json", MAX_MANIFEST_BYTES), str(place))
    )
    torch.set_num_threads(thread_count(settings["threads"], bundle.manifest.text.width))
    recipe = Recipe(**{**settings["recipe"], "towers": tuple(settings["recipe"]["towers"])})
    before = replace(nothing(bundle, recipe), cores=tensor_file.decode(arrays.pop(CORES).tobytes(), CORES))
    has_recalled = f"recalled_{RECALLED[0]}" in arrays
    recalled = (
        GaussianReplay(*(np.array(arrays.pop(f"recalled_{field}")) for field in RECALLED)) if has_recalled else None
    )
    tokens = None
    if settings["tokens"] is not None:
        descriptor, *shape = settings["tokens"]
        tokens = np.memmap(os.fdopen(descriptor, "rb"), dtype=np.float16, mode="r", shape=tuple(shape))
    data = TaskData(tokens=tokens, gaussian_replay=recalled, **arrays)
    trained = Trainer(bundle, before, data, recipe, settings["seed"]).run(
        lambda done, total: _say({"done": done, "total": total})
    )
    with os.fdopen(answer, "wb", buffering=0) as file:
        handed_over.write_all(file, tensor_file.encode(trained.cores))
    return {"loss": trained.loss, "kept_step": trained.kept_step, "crossings": trained.crossings}


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
