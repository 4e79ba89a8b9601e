"""What a store is shown of a fleet, and who gets a round: a device that comes late, one that is revoked, one whose key
was lost."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import run_cli
from fleet_world import Member, bundle, new_hub, one_round
from test_fleet_faults import rows
from tuf.api.metadata import Metadata

from edge_nusa import __version__
from edge_nusa.device.fleet.joining import join
from edge_nusa.device.fleet.pull import pull
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError, TrustError
from edge_nusa.state.state import State
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.trust import keys, roots
from edge_nusa.sync.trust.own_rounds import newest_own
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.trusted import Bounds

NAMES = ("brick wall", "gravel", "Zürich lawn")
SEALED = ("rounds", "metadata", "updates", "hub", "reports")
"""The folders of a store in which nothing may be read."""
KEPT = ("key.pem", "sealing.key", "device.pub", "root.json", "settings.json")
"""What docs/fleet.md says to keep of a device."""


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Hub, Member, Member]:
    """A hub that published what two devices taught, which both have."""
    hub = new_hub(tmp_path)
    a, b = Member(tmp_path, hub, "a"), Member(tmp_path, hub, "b")
    a.teach({NAMES[0]: rows(1, 5)}, 1)
    b.teach({NAMES[1]: rows(2, 4), NAMES[2]: rows(3, 6)}, 2)
    one_round(hub, [a, b])
    return hub, a, b


def unpacked(data: bytes) -> Iterator[bytes]:
    """Whatever zlib makes of the bytes from any place on."""
    place = -1
    while (place := data.find(b"\x78", place + 1)) >= 0:
        try:
            yield zlib.decompressobj().decompress(data[place:], 1 << 16)
        except zlib.error:
            continue


def test_in_a_store_no_label_no_number_and_nothing_that_unpacks_can_be_read(fleet: tuple[Hub, Member, Member]) -> None:
    hub, a, b = fleet
    a.forget(NAMES[0])
    one_round(hub, [a, b])
    hub_folder.rotate(hub.folder, hub.folder.parent / "root-keys", None)
    hub.publish()
    knowledge = hub.current()[0].knowledge
    head, words = knowledge.head, [name.encode() for name in NAMES]
    escaped = [json.dumps(name).strip('"').encode() for name in NAMES]
    numbers = [np.ascontiguousarray(array).tobytes()[:24] for array in (head.gram, head.sums, head.counts)]
    plain = hub.files()[0]
    assert len(hub.store.list("reports")) == 4, "of two devices, after each of two rounds"
    identity = bundle().manifest.identity
    said = [__version__.encode(), identity.model.encode(), identity.sha256[:12].encode(), b"free_bytes"]
    assert any(word in plain for word in escaped) and [one for one in unpacked(plain) if len(one) > 64]
    found = [path for name in SEALED for path in (hub.folder.parent / "store" / name).rglob("*") if path.is_file()]
    assert len(found) >= 15
    for path in found:
        data = path.read_bytes()
        for secret in (
            *(said if path.parent.parent.name == "reports" else ()),
            *words,
            *escaped,
            *numbers,
            b"safetensors",
            plain[:64],
            plain[-64:],
        ):
            assert secret not in data, path.name
        assert not [one for one in unpacked(data) if len(one) > 64], path.name


def test_metadata_say_the_round_and_its_hashes_and_nothing_else(fleet: tuple[Hub, Member, Member]) -> None:
    for path in (fleet[0].folder.parent / "store" / "metadata").glob("*.targets.json"):
        [target] = json.loads(path.read_bytes())["signed"]["targets"].values()
        assert set(target) == {"custom", "hashes", "length"}
        assert set(target["custom"]) == {"round", "sha256", "keys", "names", "recipients", "records"}


def test_a_device_that_comes_late_is_told_to_wait_and_gets_the_round_when_it_is_published_again(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, _, _ = fleet
    late = Member(tmp_path, hub, "late")
    with pytest.raises(
        TrustError, match="this device cannot read round 1: expected it sealed to the key .* publish again"
    ):
        late.pull()
    assert late.labels == {}
    hub.publish()
    assert late.pull().round == 1
    assert set(late.labels) == {"brick wall", "gravel", "zürich lawn"}


def test_a_revoked_device_reads_none_that_is_published_after_it_also_not_from_a_mirror(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, a, b = fleet
    hub.enrolled.revoke("b")
    a.teach({"secret": rows(7, 4)}, 3)
    a.push()
    hub.merge(MergeSettings())
    hub.publish(str(tmp_path / "mirror"))
    assert "secret" in a.pull().labels
    with pytest.raises(TrustError, match="this device cannot read round 2: expected it sealed to the key"):
        b.pull()
    mirrored = Model(bundle(), State(tmp_path / "again", bundle().manifest.identity), threads=1)
    own = tmp_path / "again" / "sync"
    own.mkdir(parents=True)
    for name in ("key.pem", "sealing.key"):
        shutil.copy(tmp_path / "b" / "sync" / name, own)
    join(mirrored, hub.settings.store, hub.folder / "root.json", str(tmp_path / "mirror"))
    with pytest.raises(TrustError, match="this device cannot read round 2: expected it sealed to the key"):
        pull(mirrored)
    assert {path.name for path in (tmp_path / "mirror" / "rounds").iterdir()} == {
        path.name for path in (tmp_path / "store" / "rounds").iterdir()
    }


def test_a_device_whose_sealing_key_is_gone_or_another_says_so_and_goes_on_when_it_is_restored(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, a, b = fleet
    path = tmp_path / "b" / "sync" / "sealing.key"
    shutil.move(path, tmp_path / "backup.key")
    hub.publish()
    with pytest.raises(TrustError, match="sealing.key: expected a key file, found none; .*restore it from your backup"):
        b.pull()
    shutil.copy(tmp_path / "a" / "sync" / "sealing.key", path)
    with pytest.raises(TrustError, match="sealing.key: expected the key [0-9a-f]{16}..., found another; restore it"):
        b.pull()
    shutil.copy(tmp_path / "backup.key", path)
    assert b.pull().round == 1


def test_a_new_card_with_the_keys_of_the_old_one_reads_the_fleets_round(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    new = tmp_path / "new" / "sync"
    new.mkdir(parents=True)
    for name in KEPT:
        shutil.copy(tmp_path / "b" / "sync" / name, new)
    place = Model(bundle(), State(tmp_path / "new", bundle().manifest.identity), threads=1)
    assert set(pull(place).labels) == set(NAMES)


def test_a_hub_made_anew_of_its_folder_without_its_state_opens_what_it_published(
    fleet: tuple[Hub, Member, Member], tmp_path: Path
) -> None:
    hub, _, _ = fleet
    plain, repository = hub.files()[0], Repository(hub.store, hub.folder)
    shutil.rmtree(hub.folder / "state")
    found = newest_own(repository, tmp_path / "parts", Bounds(1 << 26))
    assert found is not None and found.data == plain


def test_a_join_that_was_cut_goes_on_with_the_keys_that_it_made(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    one = Member(tmp_path, hub, "one")
    folder = tmp_path / "one" / "sync"
    before = {name: (folder / name).read_bytes() for name in ("key.pem", "sealing.key", "device.pub")}
    (folder / "settings.json").unlink()
    join(one.model, hub.settings.store, hub.folder / "root.json")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if "key" in path.name} == {
        "key.pem": 0o600,
        "sealing.key": 0o600,
    }


def test_no_device_joins_a_fleet_whose_root_says_nothing_of_sealing(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    record = json.loads((hub.folder / "root.json").read_bytes())
    signers = keys.load_keys(tmp_path / "root-keys", "root")
    del record["signed"][roots.TERMS]
    old = Metadata.from_dict(record)
    for signer in signers:
        old.sign(signer, append=True)
    (tmp_path / "old.json").write_bytes(roots.to_bytes(old))
    place = Model(bundle(), State(tmp_path / "one", bundle().manifest.identity), threads=1)
    with pytest.raises(TrustError, match="x-edge-nusa: expected this field, found none; .*begin a fleet anew"):
        join(place, hub.settings.store, tmp_path / "old.json")
    assert not (tmp_path / "one" / "sync" / "settings.json").exists()


@pytest.mark.parametrize("sharing", ["exact", "means"])
def test_a_fleet_shares_what_its_init_said(tmp_path: Path, sharing: str) -> None:
    done = run_cli(
        "hub", "init", tmp_path / "store", "--hub", tmp_path / "hub", "--sharing", sharing, "--bundle", bundle().folder
    )
    assert done.returncode == 0
    root = roots.read_root((tmp_path / "hub" / "root.json").read_bytes(), "root.json")
    assert roots.fleet_terms(root).sharing == sharing


def test_a_hub_of_another_version_is_not_taken_for_one(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    path = hub.folder / "settings.json"
    path.write_text(path.read_text().replace('"format_version": 3', '"format_version": 2'))
    with pytest.raises(Exception, match="expected format 3, found 2, made by an older edge-nusa; .*begin a fleet anew"):
        Hub(hub.folder, bundle())
    with pytest.raises(InputError, match="expected no hub yet, found one"):
        new_hub(tmp_path)
