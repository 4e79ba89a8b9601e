"""`hub set-store`: a hub goes on with its store at another place, and takes no other fleet's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fleet_world import bundle, new_hub
from typer.testing import CliRunner

from edge_nusa.cli.app import app
from edge_nusa.errors import StoreError, TrustError
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.moving import set_store


def test_a_hub_goes_on_with_its_moved_store_and_takes_no_other(tmp_path: Path) -> None:
    hub, other = new_hub(tmp_path / "a"), new_hub(tmp_path / "b")
    before, new = hub.settings.store, tmp_path / "new"
    with pytest.raises(TrustError, match="store: expected the first root of this hub's fleet [0-9a-f]{16}, found anot"):
        set_store(hub.folder, other.settings.store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="empty: expected this hub's store, found no metadata/1.root.json in it; copy"):
        set_store(hub.folder, str(tmp_path / "empty"))
    assert Hub(hub.folder, bundle()).settings == hub.settings
    shutil.move(before, new)
    done = CliRunner().invoke(app, ["hub", "set-store", str(new), "--hub", str(hub.folder), "--format", "json"])
    assert json.loads(done.stdout) == {"store": str(new), "before": before}
    assert Hub(hub.folder, bundle()).settings.store == str(new)
