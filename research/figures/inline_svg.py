"""A drawing of matplotlib as inline SVG, with text as text.

Colours are marker values that become the page's CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST_LABEL = 22
"""Characters; longer labels end in an ellipsis."""
COLOURS = {"--ink": "#010201", "--line": "#010202", "--before": "#010203", "--after": "#010204", "--third": "#010205"}
_INK, _LINE, _BEFORE, _AFTER, _ = COLOURS.values()
SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINE,
    "legend.frameon": False,
}


def inline(document: str, name: str, description: str) -> str:
    """The document without what only a file needs, its names made unique in the page, its colours the page's."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _renamed(tag.group(), name), svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)


def _renamed(tag: str, name: str) -> str:
    for variable, colour in COLOURS.items():
        tag = tag.replace(colour, f"var({variable})")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag)


def shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
