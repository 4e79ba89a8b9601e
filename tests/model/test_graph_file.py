"""Which files a graph reads is found wherever ONNX can hold a tensor, and what is no graph as we know it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_bytes import attribute, entry, external, graph, message, model, node, tensor, varint

from edge_nusa.errors import DamagedError
from edge_nusa.model import graph_file

THERE = external("t", "there.bin")
INSIDE = graph([], [], [], [THERE])


def nested(depth: int) -> bytes:
    """Graphs inside each other, each in an attribute of a node."""
    inner = INSIDE
    for _ in range(depth):
        inner = graph([node("If", ["c"], ["o"], attribute("then_branch", inner, 5))], [], [])
    return inner


@pytest.mark.parametrize(
    "data",
    [
        model(INSIDE),
        model(graph([node("Constant", [], ["c"], attribute("value", THERE, 4))], [], [])),
        model(
            graph(
                [node("X", [], ["c"], message((1, "many"), (10, tensor("a", np.ones(1, np.int64))), (10, THERE)))],
                [],
                [],
            )
        ),
        model(graph([node("X", [], ["c"], message((1, "graphs"), (11, INSIDE)))], [], [])),
        model(graph([node("X", [], ["c"], message((1, "s"), (22, message((1, THERE)))))], [], [])),
        model(graph([node("X", [], ["c"], message((1, "s"), (23, message((2, THERE)))))], [], [])),
        model(message((15, message((1, THERE))))),
        model(message((15, message((2, THERE))))),
        model(nested(5)),
        message((7, graph([], [], [])), (25, message((7, node("Constant", [], ["c"], attribute("value", THERE, 4)))))),
        message((7, graph([], [], [])), (25, message((11, attribute("value", THERE, 4))))),
        message((20, message((1, INSIDE)))),
        message((20, message((2, INSIDE)))),
        message((7, graph([], [], [])), (7, INSIDE)),
    ],
    ids=lambda data: str(len(data)),
)
def test_a_location_is_found_wherever_a_tensor_can_be(data: bytes) -> None:
    assert graph_file.of_bytes(data, "here") == {"there.bin"}


def test_every_value_beside_the_key_counts_whichever_protobuf_would_take() -> None:
    twice = message((1, "location"), (2, "a.bin"), (2, "b.bin"))
    keys = message((1, "other"), (1, "location"), (2, "c.bin"))
    none = message((1, "location"))
    held = message((2, 1), (8, "t"), (13, twice), (13, keys), (13, none), (13, entry("offset", "0")))
    assert graph_file.of_bytes(model(graph([], [], [], [held])), "here") == {"a.bin", "b.bin", "c.bin", ""}


def test_the_word_in_a_name_is_no_location() -> None:
    named = graph([node("Identity", ["location"], ["allocation"])], [], [], [tensor("location", np.ones(2, np.int64))])
    assert graph_file.of_bytes(model(named), "here") == set()
    assert graph_file.of_bytes(b"<html>", "here") == set(), "nothing is read by it; the runtime refuses it"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            model(graph([], [], [], [THERE]) + message((99, THERE))),
            "a graph with the fields of ONNX 1.19, found field 99",
        ),
        (message((9, THERE)), "a model with the fields of ONNX 1.19, found field 9"),
        (model(INSIDE)[:-3], "fields that end where their message ends, found one beyond it"),
        (model(graph([], [], [], [external("t", "x" * (graph_file.LONGEST_LOCATION + 1))])), "at most 200 bytes"),
        (model(nested(21)), "at most 64 messages inside each other"),
        (b"\x3b" + b"location", "fields of ONNX, found wire type 3"),
        (b"\xff" * 11 + b"location", "whole numbers of at most ten bytes"),
        (varint(7 << 3 | 2) + varint(2**62) + b"location", "one beyond it"),
    ],
)
def test_what_is_no_graph_as_we_know_it_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DamagedError, match=f"here: expected .*{says}|here: expected {says}") as refused:
        graph_file.of_bytes(data, "here")
    assert "it is no graph that `edge-nusa export` writes" in str(refused.value)


@pytest.mark.parametrize(("depth", "longest"), [(20, 200)])
def test_what_lies_within_the_bounds_is_read(depth: int, longest: int) -> None:
    held = external("t", "x" * longest)
    assert graph_file.of_bytes(model(graph([], [], [], [held])), "here") == {"x" * longest}
    assert graph_file.of_bytes(model(nested(depth)), "here") == {"there.bin"}


def test_more_messages_than_any_graph_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_file, "MOST_MESSAGES", 6)
    one = model(INSIDE)  # the model, its graph, the tensor and its three entries, of which one has the word
    assert graph_file.of_bytes(one, "here") == {"there.bin"}
    with pytest.raises(DamagedError, match="and 6 in all"):
        graph_file.of_bytes(model(graph([], [], [], [THERE] * 3)), "here")


def test_a_graph_of_no_bytes_or_too_many_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match="graph.onnx: expected 1 to"):
        graph_file.locations(path)
    path.write_bytes(model(INSIDE))
    assert graph_file.locations(path) == {"there.bin"}
    monkeypatch.setattr(graph_file, "LARGEST_GRAPH_BYTES", path.stat().st_size - 1)
    with pytest.raises(DamagedError, match="graph.onnx: expected 1 to"):
        graph_file.locations(path)


def test_what_is_injected_is_no_file_and_everything_else_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(model(graph([], [], [], [THERE, external("i", graph_file.INJECTED)])))
    graph_file.check(path, {"there.bin"})
    (tmp_path / graph_file.INJECTED).symlink_to("/nowhere")
    with pytest.raises(DamagedError, match="in files that the manifest lists, found 'injected-by-edge-nusa'"):
        graph_file.check(path, {"there.bin"})
