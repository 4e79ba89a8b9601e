"""docs/accelerators.md: its table of classes is the code's, and its trunk of your own runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, environment

from edge_nusa.device.trials import NAME
from edge_nusa.model.foreign_trunk import GROUP
from edge_nusa.model.probing import PROBE_SECONDS
from edge_nusa.model.provider_probe import PICTURES
from edge_nusa.model.providers import ON_PROCESSOR, TABLE

PAGE = (ROOT / "docs" / "accelerators.md").read_text(encoding="utf-8")


def test_the_page_has_every_provider_in_its_order_with_its_class_and_reason() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| `(\w+ExecutionProvider)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.name, one.session, one.why) for one in TABLE]
    assert {name for name, _, _ in rows[-2:]} == ON_PROCESSOR  # "the last two"


def test_the_page_says_how_long_a_trial_may_take_and_of_how_many_pictures() -> None:
    assert "answers eight drawn pictures, in two minutes at most" in PAGE
    assert (PICTURES, PROBE_SECONDS, NAME) == (8, 120.0, "providers.json") and f"`{NAME}` beside your state" in PAGE


def test_the_page_names_every_package_that_is_a_plugin() -> None:
    for module in (one.plugin.module for one in TABLE if one.plugin):
        assert f"`{module.replace('_', '-')}`, a plugin" in PAGE


def test_a_trunk_of_your_own_runs_as_the_page_says(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    asked = "print(model.status().identity == model.bundle.identity.sha256, model.bundle.identity.provider)\n"
    asked += "print(model.predict(np.zeros((64, 64, 3), np.uint8), labels=['cup', 'cat']).best in ('cup', 'cat'))\n"
    env = environment({"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)})
    env.pop("EDGE_NUSA_BUNDLE")
    words = [sys.executable, "-c", code + asked]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "True mychip\nTrue\n"), done.stderr
    assert f'entry-points."{GROUP}"' in PAGE
