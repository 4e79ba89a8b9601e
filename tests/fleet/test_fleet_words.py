"""What commands of a fleet say where a file, a hub or a store is not there, and how they count."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import MICRO
from typer.testing import CliRunner

from edge_nusa.cli import ending
from edge_nusa.cli.app import app
from edge_nusa.cli.hub_rounds import merged
from edge_nusa.errors import InputError, StoreError
from edge_nusa.sync.hub.admission import Admitted
from edge_nusa.sync.stores.folder import FolderStore


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sync", "init", "store", "--token", "wrong.txt"], "--token wrong.txt: expected the file of a join token, fo"),
        (["pull", "store", "--root", "nothere.json"], "nothere.json: expected a root.json, found no such file; bring"),
        (
            ["hub", "bundles", "--hub", "nohub"],
            "nohub: expected a hub, found none; name its folder with --hub .or EDGE",
        ),
    ],
)
def test_a_file_that_is_not_there_is_said_so(words: list[str], said: str) -> None:
    bundle = [] if words[1] == "bundles" else ["--bundle", str(MICRO)]
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, [*words, *bundle], catch_exceptions=False)


def test_a_token_goes_into_no_folder_that_is_not_there(tmp_path: Path) -> None:
    from fleet_world import new_hub

    hub = new_hub(tmp_path)
    words = ["hub", "token", "--out", str(tmp_path / "no/t.txt"), "--hub", str(hub.folder), "--bundle", str(MICRO)]
    with pytest.raises(InputError, match="t.txt: expected a folder that is there, found none; make .*no, or name anot"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert hub.tokens.all() == []


def test_a_store_that_is_not_there_is_to_be_mounted_or_named_anew(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="mount it, or name where it is now .`edge-nusa sync set-store`, on a hub"):
        FolderStore(tmp_path / "no").list("updates")


@pytest.mark.parametrize(("is_published", "end"), [(True, ""), (False, "; publish it with `edge-nusa hub publish`")])
def test_a_merge_counts_in_words_and_asks_for_a_publication_where_none_follows(is_published: bool, end: str) -> None:
    row = SimpleNamespace(refused={}, notes=[], updates=1, device="a")
    made = SimpleNamespace(spellings=[], alike=[])
    done: Any = SimpleNamespace(joined=Admitted(), devices=[row], made=made, round=2, labels=["cup"])
    assert [*merged(done, is_published=is_published)] == [f"round 2 from 1 update, 1 label{end}"]
    done.labels, row.updates = [], 2
    assert [*merged(done, is_published=is_published)] == [f"round 2 from 2 updates, 0 labels{end}"]


@pytest.mark.parametrize(
    ("command", "end"),
    [("pull", "type it again, it goes on"), ("eval", "type it again, it"), ("learn", "the state is")],
)
def test_what_is_stopped_says_what_to_do(monkeypatch: pytest.MonkeyPatch, command: str, end: str) -> None:
    monkeypatch.setattr(sys, "argv", ["edge-nusa", command, "x"])
    assert ending.last_words()().startswith(f"stopped by a signal; {end}")


def test_a_bundle_that_is_not_the_fleets_is_published_with_a_note(tmp_path: Path) -> None:
    from fleet_world import new_hub

    from edge_nusa.model.bundle import embedded_bundle

    hub = new_hub(tmp_path)
    for bundle, is_told in ((embedded_bundle(), True), (MICRO, False)):
        done = CliRunner().invoke(app, ["hub", "publish-bundle", str(bundle), "--hub", str(hub.folder), "--quiet"])
        assert done.exit_code == 0
        assert ("this hub's fleet is bound to another bundle, " in done.stderr) == is_told
