"""The file of what one device has given: a line of JSON, then safetensors; it is named by its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.sync import gram_form
from edge_nusa.sync import packed as packing
from edge_nusa.sync.hub.given import MOST_HUB_LABELS, MOST_PAST, Given, Own

FORMAT_VERSION = 1
LARGEST_BYTES, MOST_FEATURES = 1 << 30, 1 << 14
_LARGEST_LINE_BYTES = 16 << 20
_NEXT_STEP = "restore the hub's folder from your backup"


def encode(given: Given) -> bytes:
    """The file."""
    labels = [
        {"key": key, "round": own.round, "pictures": own.pictures, "text": own.text, "past": is_past}
        for is_past, rows in ((False, given.labels.items()), (True, given.past))
        for key, own in rows
    ]
    rows = [own.sums for own in given.all()]
    features = len(given.gram)
    tensors = {
        "gram": _small(given.gram[np.triu_indices(features)]),
        "sums": _small(np.array(rows, np.int64).reshape(len(rows), features)),
        **{f"moved.{name}": core for name, core in given.moved.items()},
        **{f"waiting.{name}": core for name, core in given.waiting.items()},
    }
    line = canonical({"format_version": FORMAT_VERSION, "spare": given.spare, "features": features, "labels": labels})
    return line + b"\n" + tensor_file.encode(tensors)


def _small(array: np.ndarray) -> np.ndarray:
    fits = np.abs(array).max(initial=0) < 2**31
    return np.ascontiguousarray(array, np.int32 if fits else np.int64)


def decode(data: bytes, where: str) -> Given:
    """The inverse of `encode`. Raises DamagedError naming `where`."""
    line, _, numbers = data.partition(b"\n")
    record = parse(line, Origin(where, _NEXT_STEP), _LARGEST_LINE_BYTES)
    record.version(FORMAT_VERSION, "use the edge-nusa that wrote it")
    tensors = tensor_file.decode(numbers, where)
    features, entries = record.integer("features"), record.records("labels", MOST_HUB_LABELS + MOST_PAST)
    upper, sums = tensors.get("gram"), tensors.get("sums")
    if (
        upper is None
        or sums is None
        or upper.shape != (features * (features + 1) // 2,)
        or sums.shape != (len(entries), features)
    ):
        raise DamagedError(f"{where}: expected the sums of {len(entries)} labels, found others; {_NEXT_STEP}")
    rows = [
        (
            one.flag("past"),
            one.text("key"),
            Own(one.integer("round"), one.integer("pictures"), row, one.integer("text")),
        )
        for one, row in zip(entries, sums.astype(np.int64), strict=True)
    ]
    return Given(
        gram=symmetric(upper, features),
        spare=record.integer("spare", -(2**53)),
        labels={key: own for is_past, key, own in rows if not is_past},
        past=tuple((key, own) for is_past, key, own in rows if is_past),
        moved=_named(tensors, "moved."),
        waiting=_named(tensors, "waiting."),
    )


def packed(data: bytes) -> bytes:
    """A file of `encode` in the least room: G by a few of its columns where its rank is low, and zlib over the
    numbers."""
    line, _, numbers = data.partition(b"\n")
    tensors = tensor_file.decode(numbers, "what a device gave")
    features = int(parse(line, Origin("what a device gave", _NEXT_STEP), _LARGEST_LINE_BYTES).integer("features"))
    form = gram_form.compact(symmetric(tensors.pop("gram"), features))
    return line + b"\n" + packing.pack({**tensors, **{f"gram.{name}": tensor for name, tensor in form.items()}})


def unpacked(data: bytes, where: str) -> bytes:
    """The inverse of `packed`, bit for bit. Raises DamagedError naming `where`."""
    line, _, numbers = data.partition(b"\n")
    features = parse(line, Origin(where, _NEXT_STEP), _LARGEST_LINE_BYTES).integer("features", 1, MOST_FEATURES)
    tensors = packing.unpack(numbers, LARGEST_BYTES, where)
    form = {name: tensor for name, tensor in tensors.items() if name.startswith("gram.")}
    gram = gram_form.restored(_named(form, "gram."), features, where)
    rest = {name: tensor for name, tensor in tensors.items() if name not in form}
    return line + b"\n" + tensor_file.encode({"gram": _small(gram[np.triu_indices(features)]), **rest})


def symmetric(upper: np.ndarray, features: int) -> np.ndarray:
    """(F, F) int64 of its upper triangle, row by row."""
    gram = np.zeros((features, features), np.int64)
    gram[np.triu_indices(features)] = upper
    return gram + np.triu(gram, 1).T


def _named(tensors: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
