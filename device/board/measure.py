"""Measuring: pictures to measure with, child processes with their seconds and peak memory, and calls taken in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from edge_nusa.errors import EdgeNusaError, ResourceError

LAUNCHER = """
import json, os, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[2:])
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), json.dumps([code, used.ru_maxrss, seconds, used.ru_utime + used.ru_stime]).encode())
"""
"""A small process between: Linux counts what the parent had at the fork into a child's largest memory."""


@dataclass(frozen=True)
class ChildRun:
    """One child process: seconds from start to end, its largest resident memory, what it printed, and the seconds of
    processor time that it and its own children took, which a busy machine lengthens less."""

    seconds: float
    peak_rss_bytes: int
    output: str
    processor_seconds: float


def write_pictures(folder: Path, labels: Sequence[str], each: int, seed: int = 0) -> Path:
    """JPEG pictures of 640 x 480, soft random shapes in a colour of its own for each label: a folder for each label."""
    generator = np.random.default_rng(seed)
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        colour = generator.uniform(40, 215, size=3)
        for index in range(each):
            coarse = np.clip(colour + generator.normal(0, 40, size=(15, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(
                folder / label / f"{index:04d}.jpg", quality=90
            )
    return folder


def edge_nusa_words(*words: str | Path) -> list[str]:
    """The command line in this interpreter."""
    return [sys.executable, "-m", "edge_nusa.cli.main", *map(str, words)]


def child(words: Sequence[str], variables: Mapping[str, str] | None = None) -> ChildRun:
    """Run a program to its end, without the user's variables and settings files. Raises ResourceError where it was
    killed, EdgeNusaError where it failed otherwise."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_NUSA_")}
    kept |= {"EDGE_NUSA_CONFIG": "", **(variables or {})}
    reading, writing = os.pipe()
    try:
        launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writing), *words]
        done = subprocess.run(launched, env=kept, capture_output=True, text=True, pass_fds=[writing], check=False)
    finally:
        os.close(writing)
    with os.fdopen(reading) as file:
        code, kilobytes, seconds, processor_seconds = json.loads(file.read())
    if code < 0:
        raise ResourceError(
            f"bench: {words[-1]} was killed by signal {-code}; end other programs, or try a smaller bundle"
        )
    if code:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise EdgeNusaError(f"bench: {' '.join(words[2:5])} ended with {code}: {said[-1]}")
    return ChildRun(seconds, kilobytes * 1024, done.stdout, processor_seconds)


def learn_child(*words: str | Path) -> ChildRun:
    """`edge-nusa learn --force` with these words, its memory that of both its processes together, as it says itself;
    raises as `child`."""
    run = child(edge_nusa_words("learn", "--force", "--format", "json", *words))
    return replace(run, peak_rss_bytes=json.loads(run.output)["peak_rss_bytes"])


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, all calls one after the other in every round, so that a busy moment hits
    them all."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return taken


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return float(np.median(values))
