"""docs/http.md has every address and every event of the page's server, and no other."""

from __future__ import annotations

import re

from conftest import ROOT

from edge_nusa.device.teaching.app import ROUTES

PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def test_the_document_has_every_address_and_no_other() -> None:
    found = re.findall(r"`(GET|POST) (/[a-zA-Z/]*)", PAGE)
    said = {(method, path.replace("NAME", "")) for method, path in found}
    served = set()
    for route in ROUTES:
        path = route.path.replace("{id}", "ID").replace("{number:int}", "N").replace("{name:path}", "")
        served |= {(method, path) for method in route.methods - {"HEAD"}}
    served -= {("GET", "/favicon.ico")}
    assert said == served


def test_the_document_has_every_event() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "device" / "teaching").glob("*.py"))
    told = set(re.findall(r'(?:events\.tell|wire)\(\s*"(\w+)"', sources))
    assert told == set(re.findall(r"^\| `(\w+)` \| (?:as|`\{)", PAGE, re.MULTILINE))
