"""Of what kind a reason is for which a picture was set aside: few words, as numbers are counted by them."""

from __future__ import annotations

OTHER = "other"
_PHRASES = (
    ("killed", ("was killed", "ended its decoder", "interrupted")),
    ("changing", ("it changes at every look",)),
    ("too_many", ("files, found more",)),
    ("unreadable", ("regular file", "readable", "permission", "no such file")),
    ("damaged", ("whole picture", "cut or damaged")),
    (
        "size",
        ("pixels", "bytes, found", "MiB", "memory", "decoded within", "s of processor", "of a fast core", "sides of"),
    ),
    ("not_a_picture", ("not a picture by its name", "is not read", "expected the content of", "common kind")),
)
"""Kind -> what a reason of it holds; the first that fits. tests/telling/test_prometheus.py holds that they fit ours."""
KINDS = (*(kind for kind, _ in _PHRASES), OTHER)


def kind_of(reason: str) -> str:
    """One of KINDS."""
    return next((kind for kind, phrases in _PHRASES if any(phrase in reason for phrase in phrases)), OTHER)
