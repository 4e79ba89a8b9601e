"""Whether a provider works here: onnxruntime is asked, and then a child tries the bundle's own trunk, in a bounded
time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from edge_nusa.errors import EdgeNusaError
from edge_nusa.files.foreign import why
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.files.os_errors import signal_name
from edge_nusa.model import provider_probe
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.providers import Provider

PROBE_SECONDS = 120.0
"""TensorRT builds its engine in this time, or is left out."""
LEAST_COSINE = 0.9
"""Features that are less alike than this are not those of the same model: whole networks in 8 bits keep 0.968."""
LARGEST_ANSWER = 4096
LONGEST_FAILURE = 300


@dataclass(frozen=True, kw_only=True)
class Tried:
    """failure: why the provider does not work here, "" where it does. same of `of` pictures got the same answer as by
    the CPU; cosine: how alike the features are at least; milliseconds: of a picture, by the provider and by the CPU."""

    failure: str = ""
    same: int = 0
    of: int = 0
    cosine: float = 0.0
    milliseconds: float = 0.0
    cpu_milliseconds: float = 0.0

    @classmethod
    def from_record(cls, record: Record) -> Tried:
        """The inverse of `dataclasses.asdict`. Raises the record's own error."""
        return cls(
            failure=record.text("failure", LONGEST_FAILURE),
            same=record.integer("same", 0, 1000),
            of=record.integer("of", 0, 1000),
            cosine=record.number("cosine", -1.01, 1.01),
            milliseconds=record.number("milliseconds", 0.0),
            cpu_milliseconds=record.number("cpu_milliseconds", 0.0),
        )

    def words(self) -> str:
        """How it compares, for people."""
        alike = (
            "its features are the CPU's to the last digits"
            if self.cosine > 0.999999
            else "its features differ a little from the CPU's"
        )
        return (
            f"{self.same} of {self.of} drawn pictures get the CPU's answer, {alike}; {self.milliseconds:.1f} ms a "
            f"picture, the CPU {self.cpu_milliseconds:.1f} ms"
        )


def offered(provider: Provider) -> str:
    """Why onnxruntime, as it is installed, cannot even try a provider; "" where it can."""
    import importlib.util

    import onnxruntime

    if provider.trunk is not None:  # no onnxruntime runs it
        return ""
    there = onnxruntime.get_available_providers()
    if provider.session in there:
        return ""
    if provider.plugin is None:
        return f"this onnxruntime {onnxruntime.__version__} is built without {provider.session}"
    if importlib.util.find_spec(provider.plugin.module) is None:
        return f"neither this onnxruntime nor the package {provider.plugin.module} brings {provider.session}"
    return ""


def tried(provider: Provider, bundle: Bundle, threads: int = 0, seconds: float = PROBE_SECONDS) -> Tried:
    """What came of trying a provider with this bundle's trunk, whatever it does."""
    if failure := offered(provider):
        return Tried(failure=failure)
    place = str(bundle.folder.absolute())
    return answer_of([place, str(threads), provider_probe.as_words(provider)], seconds)


def answer_of(words: list[str], seconds: float) -> Tried:
    """The child's answer, or how it ended without one."""
    command = [sys.executable, "-P", "-m", "edge_nusa.model.provider_probe", *words]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Tried(failure=f"it gave no answer within {seconds:g} s")
    except OSError as error:
        return Tried(failure=f"its trial could not be started ({why(error)})")
    if done.returncode < 0:
        return Tried(failure=f"its trial was killed by {signal_name(-done.returncode)}")
    lines = done.stdout[-LARGEST_ANSWER:].decode(errors="replace").strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Tried(failure=_short(said[-1] if said else f"its trial ended with exit code {done.returncode}"))
    return judged(lines[-1].encode())


def judged(line: bytes) -> Tried:
    """What the child's line says; features that are nothing like the CPU's are a failure."""
    try:
        record = parse(line, Origin("the trial's answer", "try it again", EdgeNusaError), LARGEST_ANSWER)
        if "error" in record:
            return Tried(failure=_short(record.text("error")))
        found = Tried.from_record(Record({"failure": "", **record.fields}, record.origin))
    except EdgeNusaError as error:
        return Tried(failure=_short(str(error)))
    if found.cosine < LEAST_COSINE:
        return Tried(
            failure=f"its features are not the model's: {found.same} of {found.of} pictures get the CPU's answer"
        )
    return found


def _short(text: str) -> str:
    found = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return found if len(found) <= LONGEST_FAILURE else f"{found[: LONGEST_FAILURE - 3]}..."
