"""What the hub signs of a bundle: one target of TUF's targets metadata, beside that of the round.

The target `bundles/NAME` has the SHA-256 and the size of the index (`edge_nusa.sync.bundles.index`), and in `custom`
what is to be known before anything is fetched:

    bundle                          its version: 1, 2, ... under that name
    bytes                           of all its files
    model, precision, identity      as its manifest says
    multiply_adds                   of one picture in the image tower, 0 where that is not known
    withdrawn                       whether it is offered no more; its name keeps counting its versions

Devices that ask for rounds alone pass all of it over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import EdgeNusaError, InputError, TrustError
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_record import LARGEST_NUMBER, Origin, Record, is_sha256
from edge_nusa.model.manifest import PRECISIONS

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile

PREFIX = "bundles/"
MOST_BUNDLES = 100
"""Of one fleet: so many announcements, each as long as it may be, fit into TUF's metadata several times."""
LONGEST_NAME, LONGEST_MODEL = 64, 200
"""Characters of a bundle's name, and of its model's, which is cut there."""
LARGEST_VERSION = 2**31
LARGEST_INDEX_BYTES = 1 << 20
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What the hub signed of a bundle. name; version: whole numbers from 1; index: SHA-256 of its index, in hex;
    index_bytes: of that; bytes: of all files; model (its first LONGEST_MODEL characters), precision, identity: as the
    manifest says; multiply_adds: of one picture in the image tower, 0 where not known; is_withdrawn: offered no more.
    """

    name: str
    version: int
    index: str
    index_bytes: int
    bytes: int
    model: str
    precision: str
    identity: str
    multiply_adds: int = 0
    is_withdrawn: bool = False

    @property
    def path(self) -> str:
        """The target's path."""
        return f"{PREFIX}{self.name}"

    @property
    def key(self) -> str:
        """Where the index lies in a store."""
        return index_key(self.index)

    def to_json(self) -> dict[str, Any]:
        """What programs are told of it."""
        return {name: value for name, value in asdict(self).items() if name != "is_withdrawn"}


def index_key(sha256: str) -> str:
    """Where an index lies in a store."""
    return f"{PREFIX}{sha256}.bundle"


def check_name(name: str) -> str:
    """The name itself. Raises InputError for one that is none."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"expected a bundle's name of 1 to {LONGEST_NAME} letters, digits, '.', '_' and '-', the first a letter or "
            f"a digit, found {shown(name)}; give another --name"
        )
    return name


def name_of(model: str) -> str:
    """A name for a bundle of this model: what a name may not hold becomes `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-._")[:LONGEST_NAME] or "bundle"


def target_of(one: Announced) -> TargetFile:
    """What targets metadata says of a bundle."""
    from tuf.api.metadata import TargetFile

    custom = {
        "bundle": one.version,
        "bytes": one.bytes,
        "model": one.model,
        "precision": one.precision,
        "identity": one.identity,
        "multiply_adds": one.multiply_adds,
        "withdrawn": one.is_withdrawn,
    }
    return TargetFile(one.index_bytes, {"sha256": one.index}, one.path, {"custom": custom})


def announced_by(path: str, target: TargetFile) -> Announced:
    """The inverse of `target_of`. Raises TrustError for a target that says nothing of the kind."""
    found: Any = target.custom
    origin = Origin(f"targets: {shown(path)}", "publish that bundle again on the hub", TrustError)
    index, name = target.hashes.get("sha256", ""), path.removeprefix(PREFIX)
    if not isinstance(found, dict) or not is_sha256(index) or not _NAME.fullmatch(name):
        raise TrustError(
            f"targets: {shown(path)}: expected a bundle's name and what is in it, found something else; publish that "
            "bundle again on the hub"
        )
    if not 0 < target.length <= LARGEST_INDEX_BYTES:
        raise origin.refused("length", f"at most {LARGEST_INDEX_BYTES} bytes of an index", target.length)
    record = Record(found, origin)
    return Announced(
        name=name,
        version=record.integer("bundle", 1, LARGEST_VERSION),
        index=index,
        index_bytes=target.length,
        bytes=record.integer("bytes", 1),
        model=record.text("model", LONGEST_MODEL),
        precision=record.choice("precision", PRECISIONS),
        identity=_sha256(record, "identity"),
        multiply_adds=record.integer("multiply_adds", 0, LARGEST_NUMBER),
        is_withdrawn=record.flag("withdrawn"),
    )


def _sha256(record: Record, name: str) -> str:
    found = record.sha256(name)
    if not found:
        raise record.origin.refused(name, "a SHA-256", found)
    return found


def bundles_in(targets: Mapping[str, TargetFile]) -> dict[str, Announced]:
    """The bundles that targets name, by their names, in the order of these; other targets are passed over. Raises
    TrustError."""
    paths = sorted(path for path in targets if path.startswith(PREFIX))
    return {one.name: one for one in (announced_by(path, targets[path]) for path in paths)}


def offered(bundles: Mapping[str, Announced]) -> dict[str, Announced]:
    """Those that were not withdrawn."""
    return {name: one for name, one in bundles.items() if not one.is_withdrawn}


def chosen(bundles: Mapping[str, Announced], name: str | None) -> Announced:
    """The bundle of a name, or the only one. Raises InputError that lists those that there are."""
    there = ", ".join(bundles) or "none"
    if name is None and len(bundles) == 1:
        return next(iter(bundles.values()))
    if name is None and not bundles:
        raise _not_there("a bundle, found none; publish one on the hub")
    if name is None:
        raise _not_there(f"the name of one of its bundles ({there}), found none given; name one")
    if name not in bundles and not bundles:
        raise _not_there(f"a bundle called {shown(name)}, found none; publish one on the hub")
    if name not in bundles:
        raise _not_there(f"a bundle called {shown(name)}, found {there}; name one of those, or publish it on the hub")
    return bundles[name]


def _not_there(text: str) -> EdgeNusaError:
    return InputError(f"the store: expected {text}")
