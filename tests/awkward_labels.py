"""Labels that are ordinary text to people, and something else to a path, a list, a shell, a page or a spreadsheet."""

from __future__ import annotations

AWKWARD = (
    "30 km/h",
    "AC/DC",
    "Paris, France",
    '"quoted"',
    "it's",
    "a\\b",
    "=cmd()",
    "<script>",
    "../x",
    "%41",
    "100%",
    "$(reboot)",
    "$x_1$ & {}",
    "-40 °C",
    "日本",
)
