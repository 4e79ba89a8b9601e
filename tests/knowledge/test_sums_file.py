"""What stays on the board is stored with a generation, read back the same, and refused where it cannot be so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import golden_files
import numpy as np
import pytest

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.knowledge import stored
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.private import Private
from edge_nusa.knowledge.sums_file import private_bytes, private_from

KNOWN = golden_files.known()
HEAD = KNOWN.head


def own() -> Private:
    assert KNOWN.private is not None
    return KNOWN.private


def test_what_stays_here_is_read_back_the_same_and_nothing_is_a_file_without_tensors() -> None:
    data = private_bytes(own())
    found = private_from(data, HEAD)
    assert found is not None
    assert private_bytes(found) == data
    assert np.array_equal(found.shared(HEAD).gram, own().shared(HEAD).gram)
    assert tensor_file.decode(private_bytes(None), "here") == {}
    assert private_from(private_bytes(None), HEAD) is None


def with_count(one: Private, count: int) -> Private:
    head = one.head
    return replace(one, head=Head(head.gram, head.sums, np.array([count, 2]), head.spare))


BENT: dict[str, Callable[[Private], Private]] = {
    "a mark too many": lambda one: replace(one, marks=np.append(one.marks, one.marks[:1])),
    "a mark of no label": lambda one: replace(one, columns=np.array([0, 0, 0, 1, 2])),
    "a mark of another label": lambda one: replace(one, columns=np.array([0, 0, 1, 1, 1])),
    "a mark of a label below none": lambda one: replace(one, columns=np.array([0, 0, 0, 1, -1])),
    "more open pictures than were taught": lambda one: replace(
        with_count(one, 4), marks=np.arange(6, dtype=np.uint64), columns=np.array([0, 0, 0, 0, 1, 1])
    ),
    "losses below none": lambda one: replace(one, losses=one.losses - 4),
    "losses of forgotten ones below none": lambda one: replace(one, settled=one.settled - 10**6),
}


@pytest.mark.parametrize("name", BENT)
def test_what_cannot_stay_here_is_refused(name: str) -> None:
    with pytest.raises(DamagedError, match=r"private\.safetensors: expected the open pictures of 2 labels.*undo"):
        private_from(private_bytes(BENT[name](own())), HEAD)


def test_what_stays_here_of_another_bundle_or_of_other_labels_is_refused() -> None:
    less = HEAD.without(0)
    with pytest.raises(DamagedError, match=r"private\.safetensors: (tensor '\w+' should be|open: expected some of)"):
        private_from(private_bytes(own()), less)
    with pytest.raises(DamagedError, match=r"private\.safetensors: open: expected some of 0 labels"):
        private_from(private_bytes(own()), Head.empty(len(HEAD.gram)))
    with pytest.raises(DamagedError, match=r"private\.safetensors: tensor 'columns' is missing"):
        tensors = tensor_file.decode(private_bytes(own()), "here")
        del tensors["columns"]
        private_from(tensor_file.encode(tensors), HEAD)


def test_a_generation_without_it_is_damaged() -> None:
    files = stored.to_files(KNOWN)
    del files["private.safetensors"]
    with pytest.raises(DamagedError, match=r"the generation has no private\.safetensors; run `edge-nusa undo`"):
        stored.from_files(golden_files.hollow(), files)
