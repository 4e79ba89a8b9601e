"""The child that tries a provider: it may crash or hang in a driver, and only this process goes with it.

It opens the bundle's own trunk by the CPU and by the provider, asks both the same pictures, and says on stdout what
each cost and how their features differ. Run as `python -P -m edge_nusa.model.provider_probe FOLDER THREADS PROVIDER`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import EdgeNusaError, ResourceError, UsageError
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.foreign_trunk import ForeignGraph, of_package, provider_of
from edge_nusa.model.providers import Plugin, Provider
from edge_nusa.threads import one_blas_thread

PICTURES = 8
ROUNDS = 3
"""Of each picture alone, after one that warms up; the fastest counts, which a busy moment lengthens least."""


def drawn(height: int, width: int) -> np.ndarray:
    """(PICTURES, 3, height, width) float32 of about mean 0 and variance 1, as the preprocessing gives: soft random
    shapes, the same on every board."""
    generator = np.random.default_rng(18)
    coarse = generator.normal(0.0, 1.0, (PICTURES, 3, 8, 8)).astype(np.float32)
    rows, columns = (np.arange(side) * 8 // side for side in (height, width))
    found = coarse[:, :, rows][:, :, :, columns]
    fine: np.ndarray = generator.normal(0.0, 0.25, found.shape).astype(np.float32)
    return found + fine


def as_words(provider: Provider) -> str:
    """What the child is told of a provider."""
    plugin = provider.plugin.module if provider.plugin else None
    record = {"name": provider.name, "session": provider.session, "options": {**provider.options}, "plugin": plugin}
    return json.dumps(record, allow_nan=False)


def _provider(words: str, folder: Path) -> Provider:
    found = json.loads(words)
    if not found["session"]:
        trunk = of_package(found["name"], folder)
        if trunk is None:
            raise UsageError(f"no package here brings the trunk {found['name']}")
        return provider_of(trunk)
    plugin = Plugin(found["plugin"]) if found["plugin"] else None
    return Provider(
        name=found["name"],
        group=found["name"],
        session=found["session"],
        options=found["options"],
        plugin=plugin,
    )


def compared(folder: Path, provider: Provider, threads: int) -> dict[str, Any]:
    """What the probe says: same of `of` pictures get the same answer; cosine: of embedding and of taps, the least of
    all pictures; milliseconds of one picture, by the provider and by the CPU."""
    bundle = Bundle.open(folder)
    spec = bundle.manifest.preprocessing
    pixels = drawn(spec.height, spec.width)
    by_cpu, cpu_milliseconds = _run(bundle, pixels, threads)
    bundle.provider = provider
    by_provider, milliseconds = _run(bundle, pixels, threads)
    anchors = bundle.vocabulary[1]
    with one_blas_thread:
        answers = [(found[0] @ anchors.T).argmax(1) for found in (by_cpu, by_provider)]
    return {
        "same": int((answers[0] == answers[1]).sum()),
        "of": PICTURES,
        "cosine": min(_cosine(one, other) for one, other in zip(by_cpu[:2], by_provider[:2], strict=True)),
        "milliseconds": milliseconds,
        "cpu_milliseconds": cpu_milliseconds,
    }


def _run(bundle: Bundle, pixels: np.ndarray, threads: int) -> tuple[list[np.ndarray], float]:
    is_foreign = bundle.provider.trunk is not None
    trunk = ForeignGraph(bundle) if is_foreign else sessions.open_session(bundle, sessions.TRUNK, threads)
    outputs = trunk.run(["embedding", "taps"], {"pixels": pixels})
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        trunk.run(["embedding", "taps"], {"pixels": pixels[:1]})
        taken.append(time.perf_counter() - began)
    return outputs, round(1000 * min(taken[1:]), 3)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The least of any row."""
    both = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(1) / np.maximum(both, 1e-12)).min())


def reason(error: BaseException) -> str:
    """What a provider itself said last, without where in its source it said so."""
    own = error.__cause__ if isinstance(error, ResourceError) else None
    said = str(own or error).strip().splitlines()
    return said[-1] if said else type(error).__name__


def main() -> None:
    """In the child: one line of JSON, and an end that no driver's unloading can hold up."""
    folder, threads, words = sys.argv[1:]
    try:
        found = compared(Path(folder), _provider(words, Path(folder)), int(threads))
    except (EdgeNusaError, OSError, MemoryError) as error:
        found = {"error": reason(error)}
    sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
