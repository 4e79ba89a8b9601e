"""The doctor: examines the board, what is installed on it, the bundle and the state; a probe that it writes beside the
state's files it removes again, and changes nothing else.

Imports that run native code happen in a child process first, so that a wheel built for another processor is a
finding and not the end of the doctor.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa import __version__
from edge_nusa.device.board import linux
from edge_nusa.device.board.findings import Finding, condition, processor, room
from edge_nusa.device.board.permissions import permissions
from edge_nusa.device.board.services import services
from edge_nusa.device.board.writing_probe import writing
from edge_nusa.errors import EdgeNusaError
from edge_nusa.files.os_errors import signal_name
from edge_nusa.state.reader import StateReader

if TYPE_CHECKING:
    from edge_nusa.files.identity import Identity
    from edge_nusa.model.bundle import Bundle

PACKAGES = ("onnxruntime", "numpy", "pillow", "safetensors", "tokenizers")
PROBE_SECONDS = 120
LITTLE_DISK_BYTES = 500 << 20
TOO_LITTLE_DISK_BYTES = 50 << 20
LITTLE_MEMORY_BYTES = 256 << 20
_REINSTALL = "install it again for this board: pip install --force-reinstall"
_WITHOUT_TORCH = "predict and watch work without it, and learn teaches the head"
_TRAIN_HERE = 'to train the text of lessons too: pip install "edge-nusa[learn]"'


@dataclass(frozen=True)
class Probe:
    """How a child process ended: returncode as in subprocess (negative: a signal), None when it ran out of time."""

    returncode: int | None
    output: str
    last_error: str

    @property
    def failure(self) -> str:
        """What went wrong in words; empty after a success."""
        if self.returncode == 0:
            return ""
        if self.returncode is None:
            return f"no answer within {PROBE_SECONDS} s"
        if self.returncode < 0:
            return f"killed by {signal_name(-self.returncode)}"
        return self.last_error or f"exit code {self.returncode}"


def examine(bundle_folder: Path, state_folder: Path, provider: str = "cpu") -> list[Finding]:
    """All findings, in the order a person would ask; reads files, starts child processes, and writes and
    removes a probe. provider: what is asked to compute; another one than the CPU is tried."""
    native = {name: _native(name) for name in ("numpy", "onnxruntime", "torch")}
    findings = [
        _program(),
        _python(),
        *processor(),
        *_memory(),
        _disk(state_folder),
        *(_package(name) for name in PACKAGES),
    ]
    findings += [*native.values(), _providers(), *condition()]
    if native["numpy"].status == "error":
        found = "not examined, because numpy cannot be imported"
        broken = Finding("bundle", "error", found, "repair numpy, then run this again")
        return [*findings, broken, writing(state_folder), *services(state_folder)]
    bundle, finding = _bundle(bundle_folder)
    findings += [finding, *(room(bundle.manifest) if bundle else ()), *_state(state_folder, bundle)]
    findings += _provider(bundle, state_folder, provider)
    return [*findings, writing(state_folder), *permissions(state_folder), *services(state_folder)]


def probe(code: str) -> Probe:
    """Runs Python code in a child of this interpreter that does not look for modules in the current folder."""
    try:
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Probe(None, "", "")
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    return Probe(done.returncode, done.stdout.decode(errors="replace").strip(), errors[-1] if errors else "")


def _program() -> Finding:
    return Finding("edge-nusa", "ok", __version__, "")


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.machine()}, {platform.system()} {platform.release()}"
    if sys.maxsize < 2**32:
        return Finding(
            "python", "error", f"{found}, 32 bits", "install a 64-bit system: onnxruntime has no 32-bit packages"
        )
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("python", "warning", found, "use Python 3.11, 3.12 or 3.13, which edge-nusa is tested with")
    return Finding("python", "ok", found, "")


def _memory() -> Iterator[Finding]:
    found = linux.memory_bytes()
    if found is None:
        return
    total, available = found
    little = available < LITTLE_MEMORY_BYTES
    advice = "end other programs, or learn with --head-only" if little else ""
    yield Finding("memory", "warning" if little else "ok", f"{available >> 20} of {total >> 20} MiB available", advice)


def _disk(state_folder: Path) -> Finding:
    there = next(folder for folder in (state_folder.absolute(), *state_folder.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    found = f"{free >> 20} MiB free at {there}"
    if free < TOO_LITTLE_DISK_BYTES:
        return Finding("disk", "error", found, "free some space: a generation is written whole before the old one goes")
    little = free < LITTLE_DISK_BYTES
    return Finding("disk", "warning" if little else "ok", found, "free some space soon" if little else "")


def _package(name: str) -> Finding:
    version = _version(name)
    if version is None:
        return Finding(f"package {name}", "error", "not installed", "pip install edge-nusa")
    return Finding(f"package {name}", "ok", version, "")


def _native(name: str) -> Finding:
    version = _version(name)
    if version is None and name == "torch":
        return Finding("import torch", "ok", f"not installed; {_WITHOUT_TORCH}", _TRAIN_HERE)
    probed = probe(f"import {name}")
    failure = probed.failure
    if not failure:
        return Finding(f"import {name}", "ok", version or "found outside a package", "")
    repair = (
        f"{_REINSTALL} {name}"
        if probed.returncode is not None
        else f"end other programs and ask again; where it stays so, {_REINSTALL} {name}"
    )
    wrong_processor = "; the package was built for another processor" if "SIGILL" in failure else ""
    if name == "torch":
        found = f"{failure}{wrong_processor}; {_WITHOUT_TORCH}"
        return Finding("import torch", "warning", found, f"teach with --head-only, or to train texts too, {repair}")
    return Finding(f"import {name}", "error", f"{failure}{wrong_processor}", repair)


def _providers() -> Finding:
    found = probe("import onnxruntime; print(*onnxruntime.get_available_providers())")
    if found.failure:
        return Finding("onnxruntime providers", "error", found.failure, f"{_REINSTALL} onnxruntime")
    names = found.output.split()
    if "CPUExecutionProvider" not in names:
        advice = f"expected CPUExecutionProvider; {_REINSTALL} onnxruntime"
        return Finding("onnxruntime providers", "error", " ".join(names) or "none", advice)
    return Finding("onnxruntime providers", "ok", " ".join(names), "")


def _bundle(folder: Path) -> tuple[Bundle | None, Finding]:
    from edge_nusa.model.bundle import Bundle

    try:
        bundle = Bundle.open(folder)
    except (EdgeNusaError, OSError) as error:
        return None, Finding(
            "bundle", "error", str(error), "copy the bundle again, or export it again on the workstation"
        )
    files = bundle.manifest.files
    size = sum(record.bytes for record in files.values())
    found = (
        f"{bundle.manifest.model} {bundle.manifest.precision}, {len(files)} files, {size >> 20} MiB, every SHA-256 "
        "right"
    )
    return bundle, Finding("bundle", "ok", found, "")


def _provider(bundle: Bundle | None, state_folder: Path, asked: str) -> list[Finding]:
    from edge_nusa.device.board.provider_check import provider

    return [] if bundle is None else list(provider(bundle, state_folder, asked))


def _state(folder: Path, bundle: Bundle | None) -> Iterator[Finding]:
    state = StateReader(folder, _identity(bundle, folder) if bundle else None)
    try:
        sound, bad = state.history(), state.damaged()
        yield _history(len(sound), bad)
        if bundle is None:
            found = "not compared with a bundle, because there is none"
            yield Finding("state's current generation", "warning", found, "repair the bundle first")
            return
        current = state.current()
        if current is not None:
            current.verify()
    except (EdgeNusaError, OSError) as error:
        advice = "if it is damaged, run `edge-nusa undo`; if it is another bundle's, pass that one as --bundle"
        yield Finding("state's current generation", "error", str(error), advice)
        return
    found = (
        "empty: nothing was learned yet"
        if current is None
        else f"{current.number} ({current.operation}, {current.created})"
    )
    yield Finding("state's current generation", "ok", found, "")


def _identity(bundle: Bundle, folder: Path) -> Identity:
    """Whatever provider taught the state: that is another finding."""
    from edge_nusa.device.opened import taught_with

    return taught_with(bundle, folder) or bundle.identity


def _history(sound: int, bad: list[str]) -> Finding:
    if bad:
        found = f"{sound} sound generations, damaged: {', '.join(bad)}"
        return Finding(
            "state", "warning", found, "the current one is judged below; check the card or disk if this grows"
        )
    return Finding("state", "ok", f"{sound} generations, every SHA-256 right", "")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        from edge_nusa.device.board.runtimes import brought_by

        return brought_by(package)
