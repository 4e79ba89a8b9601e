"""docs/settings.md has every key that all commands share, with its option, its variable and what it takes."""

from __future__ import annotations

import re
import tomllib

from conftest import ROOT

from edge_nusa.cli import options
from edge_nusa.device.opened import IDENTITY_DIGITS
from edge_nusa.settings.shared import SHARED

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_page_has_every_shared_key_with_its_option_variable_and_kind() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| (?:`(--[a-z-]+)` )?\| (?:`([A-Z_]+)` )?\| (.+?) \| .+ \|$", PAGE, re.MULTILINE
    )
    assert {tuple(key.split(".")): (variable, what) for key, _, variable, what in rows} == {
        key: (one.variable, one.expected) for key, one in SHARED.items()
    }
    declared = {
        info.envvar: info.default
        for name in ("BundleOption", "StateOption", "ThreadsOption", "MemoryOption", "ProviderOption", "FormatOption")
        for info in getattr(options, name).__metadata__
    }
    assert {variable: option for _, option, variable, _ in rows if option} == declared


def test_the_example_of_the_page_is_a_settings_file() -> None:
    [text] = re.findall(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    assert tomllib.loads(text)["watch"]["keep"] == "unsure"


def test_the_page_says_how_a_state_is_called() -> None:
    assert f"the first {IDENTITY_DIGITS} digits of its identity" in PAGE
