"""Messages over Flower with every field in use."""

from __future__ import annotations

from edge_nusa.flower.carried import Wish
from edge_nusa.flower.freight import Freight, Part
from edge_nusa.flower.messages import Answer, Question

DEVICE = "d" * 64
FREIGHT = Freight(
    lists={"metadata": ["metadata/1.root.json", "metadata/2.timestamp.json"], f"updates/{DEVICE}": []},
    missing=frozenset({"metadata/3.root.json"}),
    wholes={"rounds/a": b"content", f"updates/{DEVICE}/x": b""},
    parts=(Part("rounds/b", 12, b"names"), Part("rounds/b", 99, b"wrap")),
)


def question() -> bytes:
    return Question("f" * 32, "pull", FREIGHT).encode()


def answer() -> bytes:
    return Answer(
        fleet="f" * 32,
        device=DEVICE,
        number=7,
        sha256="a" * 64,
        exit_code=6,
        update=3,
        pictures=12,
        generation=9,
        wishes=[Wish("list", "metadata"), Wish("get", "rounds/c", 0, 9), Wish("part", "rounds/d", 5, 6)],
        puts=FREIGHT,
    ).encode()
