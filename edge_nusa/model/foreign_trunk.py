"""A trunk that no onnxruntime runs: a compiled network of an accelerator behind one function, in a session's place.

Pixels go in, embedding and taps come out, as of the bundle's own `image_trunk`. Whoever hands it in names its class and
its precision, which become part of the identity of all that is learned with it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nusa.errors import DamagedError, ResourceError, UsageError
from edge_nusa.files.foreign import named, why
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.contract import contract
from edge_nusa.model.providers import NAME, TABLE, Provider, Run, absent
from edge_nusa.model.sessions import TRUNK, Graph

GROUP = "edge_nusa.trunks"
"""Entry points of installed packages: name -> a function that takes the bundle's folder and returns a ForeignTrunk."""


@dataclass(frozen=True, kw_only=True)
class ForeignTrunk:
    """run: pixels (B, 3, H, W) float32, as the bundle's preprocessing makes them -> embedding (B, D) and taps (B, F)
    float32; the embedding is brought to unit norm here. provider: its class, such as "hailo"; precision: such as
    "a8w8". batch: so many pictures a call, such as 1 for a network compiled for one; 0: as many as come. What is
    learned with it goes with this class and precision alone."""

    run: Run
    provider: str
    precision: str
    batch: int = 0


def provider_of(trunk: ForeignTrunk) -> Provider:
    """What takes the place of a table's entry. Raises UsageError for a class or precision that is no plain name, or is
    the class of a provider that onnxruntime runs."""
    for what, text in (("class", trunk.provider), ("precision", trunk.precision)):
        if not isinstance(text, str) or not NAME.fullmatch(text):
            raise UsageError(
                f"a foreign trunk: expected a {what} of small letters, digits and -, such as hailo or a8w8, found "
                f"{named(str(text))}; name it so"
            )
    if any(trunk.provider == one.group for one in TABLE):
        raise UsageError(
            f"a foreign trunk: expected a class of its own, found {trunk.provider}, which onnxruntime's provider of "
            "that name has; name it after its runtime"
        )
    return Provider(
        name=trunk.provider,
        group=trunk.provider,
        precision=trunk.precision,
        trunk=trunk.run,
        batch=trunk.batch,
    )


def installed() -> list[str]:
    """The names of foreign trunks that packages bring."""
    return sorted({one.name for one in importlib.metadata.entry_points(group=GROUP)})


def of_package(name: str, bundle: Path) -> ForeignTrunk | None:
    """The foreign trunk of this name, of the package that brings it; None where none does. Raises UsageError where it
    cannot be made."""
    found = next(iter(importlib.metadata.entry_points(group=GROUP, name=name)), None)
    if found is None:
        return None
    step = "repair the package that brings it"
    try:
        made = found.load()(bundle)
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        raise UsageError(
            f"--provider {name}: expected its package to make a trunk, found {why(error)}; {step}"
        ) from error
    if not isinstance(made, ForeignTrunk) or made.provider != name:
        raise UsageError(
            f"--provider {name}: expected its package to make a ForeignTrunk of the class {name}, found "
            f"{named(str(getattr(made, 'provider', type(made).__name__)))}; {step}"
        )
    return made


class ForeignGraph(Graph):
    """The image trunk's graph, run by a foreign trunk."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises UsageError for a bundle whose image tail needs tokens, which a foreign trunk does not give, and where
        only the trunk's name is known, as a state says what taught it."""
        if bundle.provider.trunk is absent:
            name, precision = bundle.provider.name, bundle.provider.precision
            raise UsageError(
                f"this state was taught by the foreign trunk {name} of precision {precision}: expected that trunk, "
                f"found its name alone; hand it in (Model.open(..., provider=trunk)), or pass --provider {name} where "
                "a package brings it"
            )
        if bundle.manifest.image.tail_blocks:
            raise UsageError(
                f"{bundle.folder}: expected a bundle without an image tail, found one of "
                f"{bundle.manifest.image.tail_blocks} blocks, which needs the tokens of onnxruntime's trunk; export it "
                "with --tail-blocks 0, or use --provider cpu"
            )
        self.contract = contract(bundle.manifest, TRUNK)
        self._bundle, self._provider = bundle, bundle.provider

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Embedding and taps, or those of them that are named. Raises ResourceError where the trunk fails, DamagedError
        where it gives something else than the manifest says."""
        self._bundle.check_unchanged()
        pixels = feeds["pixels"]
        step = self._provider.batch or len(pixels)
        parts = [self._called(pixels[at : at + step]) for at in range(0, len(pixels), step)]
        found = [np.concatenate(column) for column in zip(*parts, strict=True)]
        for array, values in zip(self.contract.outputs, found, strict=True):
            if fault := array.fault(values, len(pixels)):
                raise DamagedError(
                    f"the foreign trunk {self._provider.name}: expected {array.words()}, found {fault}; correct it"
                )
        return [values for array, values in zip(self.contract.outputs, found, strict=True) if _asked(array.name, names)]

    def _called(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self._provider.trunk is not None
        try:
            embedding, taps = self._provider.trunk(pixels)
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
            raise ResourceError(
                f"the foreign trunk {self._provider.name}: expected embedding and taps of {len(pixels)} pictures, "
                f"found {why(error)}; see its own log"
            ) from error
        found = np.asarray(embedding, np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):  # of zeros come NaN, which are refused with their reason
            return found / np.linalg.norm(found, axis=-1, keepdims=True), np.asarray(taps, np.float32)


def _asked(name: str, names: Sequence[str] | None) -> bool:
    return names is None or name in names
