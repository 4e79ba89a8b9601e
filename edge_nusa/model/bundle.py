"""The bundle: the exported folder, read-only on the board. Opens it, proves it whole, and hands out its parts.

| file | what |
|---|---|
| manifest.json | `edge_nusa.model.manifest` |
| weights.safetensors | all weights under open_clip's names; the graphs refer into it |
| image_trunk.onnx, image_tail.onnx, text_trunk.onnx, text_tail.onnx | the graphs |
| basis.safetensors | of each adapted matrix: left (out, R), right (in, R), tail (R,), principal (d - R,), float32 |
| tokenizer.json | read by `tokenizers` |
| vocabulary.txt, vocabulary.safetensors | common nouns, and their frozen anchors (V, D) float16 |
| README.md | the model card |
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError
from edge_nusa.files import durable, opening, tensor_file
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.foreign import decoded
from edge_nusa.files.identity import Identity
from edge_nusa.files.json_record import Origin
from edge_nusa.files.os_errors import OtherKindError
from edge_nusa.model import graph_file, unchanged
from edge_nusa.model import manifest as manifests
from edge_nusa.model.null_space import Pool
from edge_nusa.model.parameters import Tower, matrix_names, matrix_region
from edge_nusa.model.providers import CPU, Provider
from edge_nusa.model.shapes import FrozenShape, ImageShape, TextShape
from edge_nusa.model.whole_file import not_plain, verify_file

MAX_MANIFEST_BYTES = 1 << 20
UNIT = 0.01
"""By how much the norm of an anchor or an embedding may differ from one; float16 rounds by a thousandth."""
FILES = (
    "weights.safetensors",
    "image_trunk.onnx",
    "text_trunk.onnx",
    "text_tail.onnx",
    "basis.safetensors",
    "tokenizer.json",
    "vocabulary.txt",
    "vocabulary.safetensors",
    "README.md",
)

EMBEDDED = "lite"
"""The model whose bundle ships inside this package, in a folder of its name."""


def embedded_bundle() -> Path:
    """The folder of the bundle that ships inside this package, used where none is named."""
    return Path(__file__).parents[1] / EMBEDDED


class Proof(threading.Thread):
    """Compares every file with its record, and what graphs read with what is listed; error is what came of it, or what
    kept it from reading; None once all are proved."""

    def __init__(self, folder: Path, records: Mapping[str, FileRecord]) -> None:
        super().__init__(name="edge-nusa-proof", daemon=True)
        self.folder, self.records = folder, records
        self.stamps: dict[str, unchanged.Stamp | None] = {}
        self.error: Exception | None = ResourceError(
            f"{folder}: expected to compare every file with the manifest, found no end of it; end other programs"
        )

    def run(self) -> None:
        """In the thread."""
        try:
            self.stamps = unchanged.stamps(self.folder, self.records)
            for name, record in self.records.items():
                verify_file(self.folder, name, record)
                if name.endswith(".onnx"):
                    graph_file.check(self.folder / name, self.records)
        except (EdgeNusaError, OSError, MemoryError) as error:
            self.error = error
        else:
            self.error = None


class Bundle:
    """An opened bundle; every file's size and SHA-256 fit the manifest at the time of opening. provider: what computes
    the features of pictures, which whoever opens it may set before anything is computed."""

    def __init__(self, folder: Path, manifest: manifests.Manifest, proof: Proof | None = None) -> None:
        """proof: what `path` waits for before it hands out the first file; None where the files are known to be
        whole."""
        self.folder = folder
        self.manifest = manifest
        self._proof = proof
        self._verified: dict[str, unchanged.Stamp | None] = {}
        self.provider: Provider = CPU

    @property
    def identity(self) -> Identity:
        """What anything learned with it depends on: the manifest's, and what computes the features here."""
        found, by = self.manifest.identity, self.provider
        return found if by is CPU else replace(found, provider=by.group, precision=by.precision or found.precision)

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Open and verify. Raises InputError when there is no bundle, DamagedError when a file is not as exported."""
        opened = cls.opening(folder)
        opened.prove()
        return opened

    @classmethod
    def opening(cls, folder: Path) -> Bundle:
        """The same, but files are compared with the manifest beside what the caller goes on to do; whoever first
        asks for one waits.

        Raises what `open` raises for the manifest; `path` and what uses it raise DamagedError for the files.
        """
        path, manifest = folder / "manifest.json", manifest_of(folder)
        needed = [*FILES, *(["image_tail.onnx"] if manifest.image.tail_blocks else [])]
        missing = sorted(set(needed) - set(manifest.files))
        if missing:
            raise DamagedError(f"{path}: it does not list {missing[0]}; export the bundle again")
        proof = Proof(folder, manifest.files)
        proof.start()
        return cls(folder, manifest, proof)

    def prove(self) -> None:
        """Wait until every file was compared with the manifest. Raises DamagedError where one is not as exported."""
        if self._proof is not None:
            self._proof.join()
            if self._proof.error is not None:
                raise self._proof.error
            self._verified = self._proof.stamps
        self._proof = None

    def check_unchanged(self) -> None:
        """Raises BundleChangedError where a file is not the one that was verified."""
        unchanged.check(self.folder, self._verified)

    def path(self, name: str) -> Path:
        """The path of a file that the manifest lists, once all are proved. Raises BundleChangedError, DamagedError."""
        self.prove()
        if name not in self.manifest.files:
            raise DamagedError(f"{self.folder}: the manifest does not list {name}; export the bundle again")
        self.check_unchanged()
        return self.folder / name

    def read(self, name: str) -> bytes:
        """A small file's bytes, verified again as they are read."""
        data = durable.read_at_most(self.path(name), self.manifest.files[name].bytes + 1)
        if sha256_hex(data) != self.manifest.files[name].sha256:
            raise DamagedError(f"{self.folder / name}: its SHA-256 is not the manifest's; copy the bundle again")
        return data

    def shape(self, tower: Tower) -> ImageShape | TextShape:
        """The shape of one tower."""
        return self.manifest.image if tower == "image" else self.manifest.text

    def width(self, tower: Tower) -> int:
        """Rows and columns of the tower's adapted matrices; 0 of a frozen tower, which has none."""
        shape = self.shape(tower)
        return 0 if isinstance(shape, FrozenShape) else shape.width

    def matrices(self, tower: Tower) -> list[str]:
        """The names of the tower's adapted matrices."""
        return matrix_names(tower, self.shape(tower))

    @cached_property
    def weights(self) -> tensor_file.WeightFile:
        """The weight file, memory-mapped."""
        return tensor_file.WeightFile(self.path("weights.safetensors"))

    def matrix(self, name: str) -> np.ndarray:
        """W_0 (out, in) float32 of an adapted matrix."""
        tower: Tower = "image" if name.startswith("image.") else "text"
        width = self.width(tower)
        place = matrix_region(name, width)
        found = self.weights.rows(place.name, place.start, place.stop)
        if found.shape != (width, width):
            raise DamagedError(
                f"{self.folder / 'weights.safetensors'}: expected W_0 of {name} as ({width}, {width}), found "
                f"{found.shape}; export the bundle again"
            )
        return found

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """The pool of every adapted matrix, float32, where it lies in the file; products with a core are float64 as
        the core is."""
        expected: dict[str, tuple[str, tuple[int, ...]]] = {}
        for tower in ("image", "text"):
            width, rank = self.width(tower), self.manifest.method.pool_rank[tower]
            for name in self.matrices(tower):
                expected |= {f"{name}.left": ("float32", (width, rank)), f"{name}.right": ("float32", (width, rank))}
                expected |= {f"{name}.tail": ("float32", (rank,)), f"{name}.principal": ("float32", (width - rank,))}
        parts = tensor_file.WeightFile(self.path("basis.safetensors")).all_in_place(expected)
        names = sorted({name.rsplit(".", 1)[0] for name in parts})
        return {
            n: Pool(parts[f"{n}.left"], parts[f"{n}.right"], parts[f"{n}.tail"], parts[f"{n}.principal"]) for n in names
        }

    @cached_property
    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        """Common nouns and their frozen anchors (V, D) float32 unit norm."""
        with decoded(Origin("vocabulary.txt", "copy the bundle again"), "lines of UTF-8"):
            names = self.read("vocabulary.txt").decode("utf-8").splitlines()
        expected = {"anchors": ("float16", (len(names), self.manifest.text.embed_dim))}
        anchors = tensor_file.decode(self.read("vocabulary.safetensors"), "vocabulary.safetensors", expected)[
            "anchors"
        ].astype(np.float32)
        norms = np.linalg.norm(anchors, axis=1, keepdims=True)
        if len(norms) and np.abs(norms - 1).max() > UNIT:
            raise DamagedError(
                f"{self.folder / 'vocabulary.safetensors'}: expected anchors of unit norm, found norms from "
                f"{norms.min():g} to {norms.max():g}; export the bundle again"
            )
        return names, anchors / norms


def manifest_of(folder: Path) -> manifests.Manifest:
    """What a bundle says of itself; its other files are not looked at. Raises what `Bundle.open` raises for it."""
    path = folder / "manifest.json"
    return manifests.decode(_manifest_bytes(folder, path), str(path))


def _manifest_bytes(folder: Path, path: Path) -> bytes:
    try:
        with opening.opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            if size <= MAX_MANIFEST_BYTES:
                return opening.read(descriptor, MAX_MANIFEST_BYTES)
    except OtherKindError as error:
        raise not_plain(path, error) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"no bundle in {folder}: expected a folder with manifest.json; make one with `edge-nusa export MODEL "
            f"--out {folder}`"
        ) from error
    raise DamagedError(f"{path}: expected at most {MAX_MANIFEST_BYTES} bytes, found {size}; copy the bundle again")
