"""What learned numbers depend on: two bundles with one identity give every picture and text the same features, and
no others do.

A state, an update, a round and a hub carry the identity of the bundle that they were made with, and go with no other.
The weights alone would not do: an int8 and an fp32 export of one model share weights and basis, and differ in every
feature.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace

from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical
from edge_nusa.files.json_record import Record

PROVIDER = "cpu"
"""The class of providers that computes where nothing else is asked for; `edge_nusa.model.providers` has them all."""
LONGEST_MODEL, LONGEST_VALUE = 4096, 100
"""Characters of a model's name, which may be a path, and of the rest."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """model: its name, for people only. weights, basis: SHA-256 of these files; graphs: of the names and SHA-256 of all
    graphs; text: of tokenizer and templates; preprocessing: of its canonical JSON. All SHA-256 are lower-case hex."""

    model: str = field(compare=False)
    precision: str
    weights: str
    basis: str
    graphs: str
    text: str
    preprocessing: str
    provider: str = PROVIDER

    @property
    def sha256(self) -> str:
        """The identity in one word: SHA-256 of the canonical JSON of all but the model's name."""
        return digest({name: value for name, value in asdict(self).items() if name != "model"})

    @classmethod
    def from_record(cls, record: Record) -> Identity:
        """The inverse of `dataclasses.asdict`. Raises the record's own error for anything else."""
        names = [one.name for one in fields(cls)]
        record.only(names)
        found = {name: record.text(name, LONGEST_MODEL if name == "model" else LONGEST_VALUE) for name in names}
        strange = next((name for name, value in found.items() if not value.isprintable()), None)
        if strange is not None:
            raise record.origin.refused(strange, "a printable text", found[strange])
        return cls(**found)

    def is_same_bundle(self, other: Identity) -> bool:
        """Whether they differ at most in what computes the features of pictures: a provider, which may have a
        precision of its own."""
        is_same = replace(other, provider=self.provider, precision=self.precision) == self
        return is_same and (self.precision == other.precision or {self.provider, other.provider} != {PROVIDER})

    def __str__(self) -> str:
        return f"{self.model[:LONGEST_VALUE]} {self.precision} ({self.sha256[:12]})"


def digest(value: object) -> str:
    """SHA-256 of the value's canonical JSON."""
    return sha256_hex(canonical(value))


def mismatch(expected: Identity, found: Identity) -> str:
    """Words for an error: both, and what sets them apart."""
    return f"expected {expected}, found {found}, {difference(expected, found)}"


def another(expected: Identity, found: Identity) -> str:
    """What sets them apart in two words, after "of" or "with": another bundle, or another provider of the same one."""
    is_same = found.is_same_bundle(expected) and found.provider != expected.provider
    return "another provider" if is_same else "another bundle"


def way_out(expected: Identity, found: Identity) -> str:
    """What a person can do about a state of the identity `found`, where another is in use."""
    if found.is_same_bundle(expected) and found.provider != expected.provider:
        return f"pass --provider {found.provider}, which taught it, or --provider auto, or another --state"
    if found.is_same_bundle(expected) and found.provider != PROVIDER:
        return f"use the {found.provider} trunk of precision {found.precision}, which taught it, or another --state"
    return "pass the --bundle it was made with, or another --state"


def fleet_way_out(expected: Identity, found: Identity) -> str:
    """The same about a round of a fleet that was made with `found`."""
    if not found.is_same_bundle(expected):
        return "use the bundle that the fleet was made with"
    how = f"`edge-nusa config provider {found.provider}`"
    if found.provider == expected.provider:
        how = f"its {found.provider} trunk of precision {found.precision}"
    return f"use the provider that the fleet was made with ({how}), and join with a state that nothing else taught"


def difference(expected: Identity, found: Identity) -> str:
    """What `found` is beside `expected`, such as "the same weights at another precision: int8, not fp32"."""
    is_same = found.weights == expected.weights
    is_as_precise = found.precision == expected.precision
    words = []
    if not is_as_precise:
        words.append(f"at another precision: {found.precision}, not {expected.precision}")
    if found.provider != expected.provider:
        words.append(f"by another provider: {found.provider}, not {expected.provider}")
    if is_same and found.basis != expected.basis:
        words.append("over another basis")
    if found.preprocessing != expected.preprocessing:
        words.append("with another preprocessing")
    if is_same and is_as_precise and found.graphs != expected.graphs:
        words.append("with other graphs")
    if found.text != expected.text:
        words.append("with another tokenizer or other templates")
    return " ".join(["the same weights" if is_same else "other weights", " and ".join(words)]).strip()
