"""Boards that enrol themselves by a join token: one secret for many boards, bounded in time and number, over a store
that anyone reads and writes."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, ROOT
from fleet_world import after_lessons, bundle, new_hub
from state_chains import exit_status, in_child
from test_fleet_faults import every_change, rows

from edge_nusa.cli import hub_joining, sync_init
from edge_nusa.cli.hub_rounds import merged
from edge_nusa.cli.output import Format
from edge_nusa.device.fleet import joining, leaving
from edge_nusa.device.fleet.joining import Joined, join
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.push import push
from edge_nusa.device.model import Model
from edge_nusa.errors import DamagedError, InputError, StoreError, TrustError, UsageError
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load, to_files
from edge_nusa.state.state import State
from edge_nusa.sync.hub import admission, self_enrolling
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.self_enrolling import admit
from edge_nusa.sync.hub.tokens import MOST_TOKENS, KeptToken, Terms, Tokens
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.trust import device_keys, join_token, keys, sealing, sealing_keys
from edge_nusa.sync.trust.device_keys import DevicePublic
from edge_nusa.sync.trust.join_token import JoinToken
from edge_nusa.sync.trust.repository import Expiry
from edge_nusa.sync.trust.sealing_keys import SealingKey

NOW = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with a token of three boards."""
    folder = tmp_path_factory.mktemp("made")
    self_enrolling.make(new_hub(folder), Terms.of(7, 3, "kitchen-", datetime.now(UTC)), folder / "token.txt")
    return folder


class Place:
    """A copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = join_token.decode((folder / "token.txt").read_bytes(), "token.txt")

    @property
    def hub(self) -> Hub:
        return Hub(self.folder / "hub", bundle())

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def model(self, name: str) -> Model:
        return Model(bundle(), State(self.folder / name, bundle().manifest.identity), threads=1)

    def join(self, name: str, root: Path | None = None) -> Joined:
        return join(self.model(name), str(self.store), root, token=self.token)

    def public(self, name: str) -> DevicePublic:
        return device_keys.decode((self.folder / name / "sync" / "device.pub").read_bytes(), name)

    @property
    def devices(self) -> list[Device]:
        return self.hub.enrolled.all()

    def put(self, data: bytes, key: str | None = None) -> None:
        path = self.store / (key or join_token.key_of(data))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Place:
    for name in ("hub", "store", "root-keys"):
        shutil.copytree(made / name, tmp_path / name)
    settings = tmp_path / "hub" / "settings.json"
    settings.write_text(settings.read_text().replace(str(made), str(tmp_path)))
    shutil.copy(made / "token.txt", tmp_path)
    return Place(tmp_path)


def new_public() -> DevicePublic:
    from securesystemslib.signer import CryptoSigner

    return device_keys.public_of(CryptoSigner.generate_ed25519(), SealingKey.generate().public)


def test_boards_enrol_themselves_by_one_token_and_take_part_at_the_next_merge_and_publication(place: Place) -> None:
    joined = [place.join(name) for name in ("a", "b")]
    assert joined[0].token == place.token.name and joined[0].device != joined[1].device
    report = place.hub.merge(MergeSettings())
    assert sorted(one.name for one in report.joined.devices) == ["kitchen-1", "kitchen-2"]
    assert {one.key.keyid for one in place.devices} == {one.device for one in joined}
    assert {one.token for one in place.devices} == {place.token.name}
    assert report.to_json()["joined"]["enrolled"][0]["token"] == place.token.name
    again = place.hub.merge(MergeSettings())
    assert again.joined == admission.Admitted()  # each is known by what it put there, and not opened again


def test_a_token_brings_no_more_than_its_count_and_says_so(place: Place) -> None:
    for name in "abcd":
        place.join(name)
    found = admit(place.hub)
    assert len(found.devices) == 3
    [(reason, boards)] = found.refused
    assert boards == 1 and "all of its 3 devices have come; make another with `edge-nusa hub token`" in reason
    words = "\n".join(found.words())
    assert "not enrolled: 1 board: the token" in words and "enrolled" in words


def test_a_token_is_good_until_its_time_by_the_hubs_clock_and_not_after() -> None:
    token = KeptToken("0" * 16, bytes(32), Terms.of(7, 2, "", NOW))
    assert token.why_not(1, NOW + timedelta(days=7, seconds=-1)) == ""
    assert token.why_not(1, NOW + timedelta(days=7)) == "it was good until 2026-12-04 08:00 UTC"
    assert token.why_not(2, NOW) == "all of its 2 devices have come"


def test_a_token_that_is_over_makes_the_hub_look_at_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.join("a")
    hub = place.hub
    self_enrolling.revoke(hub, place.token.name)
    shutil.rmtree(place.store / "joins")
    monkeypatch.setattr(hub.store, "list", lambda prefix: pytest.fail("it was asked"))
    found = admission.admitted(hub)
    assert found == admission.Admitted(is_over=True) and found.to_json()["over"] is True
    said = "all tokens are over: nothing was looked at; make one with `edge-nusa hub token`"
    assert [*found.words()] == [said] and said in merged(place.hub.merge(MergeSettings()))


def test_without_a_token_a_merge_says_nothing_of_tokens_and_admit_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = new_hub(tmp_path)
    assert admission.admitted(hub) == admission.Admitted() and [*admission.Admitted().words()] == []
    hub_joining.admit(bundle().folder, hub.folder, Format.HUMAN)
    assert capsys.readouterr().out == "there is no token: nothing was looked at; make one with `edge-nusa hub token`\n"


class Slow:
    """A store whose every answer takes so many seconds."""

    def __init__(self, store: Any, seconds: float) -> None:
        self.store, self.seconds = store, seconds

    def __getattr__(self, name: str) -> Any:
        time.sleep(self.seconds)
        return getattr(self.store, name)


def test_of_the_reasons_for_which_boards_are_not_enrolled_so_many_are_told(place: Place) -> None:
    hub = place.hub
    for number in range(21):
        token = JoinToken.generate((hub.folder / "root.json").read_bytes())
        hub.tokens.add(token, Terms.of(1, 1, "", NOW))
        hub.tokens.revoke(token.name)
        place.put(join_token.request(token, new_public(), hub.keys[0].public)[1])
        assert number < 20 or len(admission.admitted(hub).refused) == 20


def test_a_slow_store_holds_the_hub_no_longer_than_said_and_what_is_left_waits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admission.LONGEST_SECONDS == 120.0
    monkeypatch.setattr(admission, "LONGEST_SECONDS", 0.5)
    for number in range(20):
        place.put(b"flood %d" % number)
    hub: Any = place.hub
    hub.store = Slow(hub.store, 0.2)
    found = admission.admitted(hub)
    assert found.unread + found.waiting == 20 and 1 <= found.unread <= 3, "none counts as read that was not"


def test_a_slow_store_holds_a_board_that_asks_no_longer_than_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert joining.LONGEST_SECONDS == 60.0
    monkeypatch.setattr(joining, "LONGEST_SECONDS", 0.1)
    monkeypatch.setattr(joining, "open_store", lambda where: Slow(open_store(where), 0.2))
    with pytest.raises(StoreError, match="expected the store to be done within 0 s, found it still at it"):
        place.join("a")
    assert not (place.store / "joins").exists()


def test_a_revoked_token_brings_nobody_and_those_that_it_brought_stay(place: Place) -> None:
    place.join("a")
    assert len(admit(place.hub).devices) == 1
    place.join("b")
    self_enrolling.make(place.hub, Terms.of(1, 1, "", datetime.now(UTC)))  # so that the hub looks
    self_enrolling.revoke(place.hub, place.token.name)
    assert [reason for reason, _ in admit(place.hub).refused] == [
        f"the token {place.token.name}: it was revoked; make another with `edge-nusa hub token`"
    ]
    assert len(place.devices) == 1 and not place.devices[0].is_revoked
    with pytest.raises(InputError, match=r"'none': expected the name of a token, found none; see .*hub tokens"):
        self_enrolling.revoke(place.hub, "none")


def test_a_revoked_device_does_not_come_back_by_a_token_with_either_of_its_keys(place: Place) -> None:
    place.join("a")
    admit(place.hub)
    place.hub.revoke("kitchen-1")
    leaving.leave(place.model("a"), ())
    place.join("a")  # asks again, by the same keys
    found = admit(place.hub)
    assert found.devices == () and "kitchen-1 was revoked; it comes back with a new --state" in found.refused[0][0]
    signer = keys.new_key(place.folder / "other.pem")
    sealing_key = sealing_keys.load_key(place.folder / "a" / "sync" / "sealing.key")
    half_new = device_keys.public_of(signer, sealing_key.public)
    place.put(join_token.request(place.token, half_new, place.hub.keys[0].public)[1])
    assert admit(place.hub).devices == () and len(place.devices) == 1


def test_asking_twice_counts_once(place: Place) -> None:
    place.join("a")
    admit(place.hub)
    leaving.leave(place.model("a"), ())
    place.join("a")
    (place.store / "joins" / "notes.txt").write_text("no request")
    found = admit(place.hub)
    assert (found.devices, found.refused, found.unread) == ((), (), 0) and len(place.devices) == 1
    place.join("b")
    place.join("c")
    assert len(admit(place.hub).devices) == 2


def test_the_store_learns_neither_the_token_nor_the_device(place: Place) -> None:
    made = place.join("a")
    [path] = (place.store / "joins").iterdir()
    data = path.read_bytes()
    assert place.public("a").sealing.data not in data
    for told in (place.token.name, made.device, place.token.secret.hex()):
        assert told.encode() not in data and bytes.fromhex(told) not in data
    place.join("b")
    first, second = (one.stat().st_size for one in (place.store / "joins").iterdir())
    assert first == second


def test_who_reads_the_store_cannot_ask_for_another_key(place: Place) -> None:
    place.join("a")
    [path] = (place.store / "joins").iterdir()
    hub = place.hub
    asked = join_token.opened(path.read_bytes(), hub.keys, place.token.root, "here")
    assert asked.is_made_with(place.token.key) and not asked.is_made_with(bytes(32))
    record = {"format_version": 1, "token": asked.token, "device": new_public().record(), "mac": asked.mac}
    data = json.dumps(record).encode()
    place.put(sealing.sealed(data, [hub.keys[0].public], join_token.CONTEXT + place.token.root.encode()))
    guessed = JoinToken(place.token.root, bytes(32))
    place.put(join_token.request(guessed, new_public(), hub.keys[0].public)[1])
    other = JoinToken("b" * 64, place.token.secret)  # of another fleet
    place.put(join_token.request(other, new_public(), hub.keys[0].public)[1])
    place.put(path.read_bytes(), f"joins/{'c' * 64}.join")  # the same under another name
    found = admit(hub)
    assert [one.key.keyid for one in found.devices] == [place.public("a").key.keyid]
    assert found.unread == 4 and "passed over: 4 in joins/ that nobody made who holds a token" in [*found.words()][-1]


def test_a_planted_flood_delays_a_board_and_stops_it_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_LOOKED_AT", 10)
    for number in range(40):
        place.put(b"flood %d" % number)
    place.join("a")
    looks = 0
    while not place.devices:
        found = admit(place.hub)
        assert found.unread + len(found.devices) == 10 and found.waiting == 31
        looks += 1
        assert looks < 200, "by chance in one of 10^23 runs"


def test_of_a_flood_of_large_objects_no_more_is_read_than_a_request_has(place: Place) -> None:
    place.join("a")
    for number in range(3):
        place.put(bytes([number]) * (join_token.LARGEST_REQUEST_BYTES + 1))
    assert admission.MOST_LOOKED_AT == 512 and admit(place.hub).unread == 3 and len(place.devices) == 1


def test_the_token_proves_the_root_of_an_untrusted_store(place: Place, tmp_path: Path) -> None:
    made = place.join("a")
    assert (place.folder / "a" / "sync" / "root.json").read_bytes() == (place.folder / "hub/root.json").read_bytes()
    assert made.fleet == place.hub.settings.fleet
    other = new_hub(tmp_path / "other")
    with pytest.raises(TrustError, match=r"1\.root\.json: expected the first root of the token's fleet, found another"):
        join(place.model("b"), other.settings.store, None, token=place.token)
    with pytest.raises(TrustError, match=r"root\.json: expected the first root of the token's fleet"):
        place.join("b", other.folder / "root.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"expected the fleet's store, found no metadata/1\.root\.json"):
        join(place.model("b"), str(tmp_path / "empty"), None, token=place.token)
    with pytest.raises(InputError, match=r"expected --root root\.json or --token FILE, found neither"):
        join(place.model("b"), str(place.store), None)
    assert not (place.folder / "b").exists()


def test_no_token_joins_over_flower_and_what_to_do_instead_is_said(place: Place) -> None:
    root = place.folder / "hub" / "root.json"
    for path in (None, root):
        with pytest.raises(InputError, match="found Flower's messages, which carry none; use --root root.json --offl"):
            join(place.model("b"), "flower://hub.example:8000", path, token=place.token)
    assert not (place.folder / "b" / "sync").exists()


def test_after_a_rotation_a_board_asks_by_the_newest_sealing_key(place: Place) -> None:
    old = place.hub.keys
    hub_folder.rotate(place.folder / "hub", place.folder / "root-keys", None)
    place.join("a")
    [path] = (place.store / "joins").iterdir()
    with pytest.raises(TrustError, match="found them sealed to 1 other"):
        join_token.opened(path.read_bytes(), old, place.token.root, "here")
    assert len(admit(place.hub).devices) == 1


def test_a_hub_made_anew_from_its_keys_knows_tokens_and_used_counts_of_its_last_publication(place: Place) -> None:
    place.join("a")
    admit(place.hub)
    model = place.model("a")
    _teach_and_push(model, rows(1, 5))
    place.hub.merge(MergeSettings())
    place.hub.publish()
    place.join("b")
    admit(place.hub)  # after the publication
    lost = self_enrolling.make(place.hub, Terms.of(7, 5, "", datetime.now(UTC)))
    for name in ("state", "devices", "tokens", "given"):
        shutil.rmtree(place.folder / "hub" / name, ignore_errors=True)
    (place.folder / "hub" / "versions.json").unlink(missing_ok=True)
    hub = place.hub
    assert hub.tokens.all() == []
    found = hub.merge(MergeSettings())
    assert {one.key.keyid for one in hub.enrolled.all()} == {place.public(name).key.keyid for name in "ab"}
    assert [one.name for one in hub.tokens.all()] == [place.token.name] != [lost.name]
    place.join("c")
    place.join("d")
    found_later = admit(hub)
    assert len(found.joined.devices) == 1 == len(found_later.devices)  # three in all, as was said
    assert "all of its 3 devices have come" in found_later.refused[0][0]


def _teach_and_push(model: Model, taught: Any) -> None:
    with model.state.writer():
        known = load(model.bundle, model.state, DEVICE)[1]
        model.state.commit(to_files(after_lessons(known, {"cup": taught}, 1, 0.0).with_lesson()), "learn")
    push(model)


@pytest.mark.parametrize("what", ["join", "admit"])
def test_killed_anywhere_a_board_is_enrolled_once_and_counted_once(place: Place, what: str, tmp_path: Path) -> None:
    actions: dict[str, Callable[[Place], object]] = {
        "join": lambda here: here.join("a"),
        "admit": lambda here: admit(here.hub),
    }
    if what == "admit":
        place.join("a")
    for point in itertools.count(1):
        folder = tmp_path / f"again-{point}"
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("again-*"))
        settings = folder / "hub" / "settings.json"
        settings.write_text(settings.read_text().replace(str(tmp_path), str(folder)))
        here = Place(folder)

        def fault(number: int, name: str, args: Any, operation: Callable[[], Any], point: int = point) -> Any:
            if number == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation()

        def work(here: Place = here, fault: Any = fault) -> None:
            with every_change(fault):
                actions[what](here)

        status = exit_status(in_child(work))
        if not (folder / "a" / "sync" / "settings.json").exists():
            here.join("a")
        admit(here.hub)
        admit(here.hub)
        [device] = here.devices
        assert device.key.keyid == Fleet(here.model("a")).device and device.token == here.token.name
        shutil.rmtree(folder)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert point > {"join": 30, "admit": 5}[what]


def test_a_token_given_as_the_value_itself_is_refused_and_not_repeated(place: Place) -> None:
    with pytest.raises(
        UsageError, match=r"expected the file of a join token or -, found a token itself.*revoke it"
    ) as e:
        sync_init._token(place.token.text)
    assert place.token.secret.hex()[:8] not in str(e.value)


def test_a_token_comes_from_a_file_stdin_or_a_variable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sync_init._token(str(place.folder / "token.txt")) == place.token
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"\n {place.token.text}\n".encode())))
    assert sync_init._token("-") == place.token
    assert sync_init._token(None) is None
    monkeypatch.setenv(sync_init.VARIABLE, place.token.text)
    assert sync_init._token(None) == place.token
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="--token -: expected a join token on stdin, found it closed"):
        sync_init._token("-")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"enj1.",
        b"enj2." + b"a" * 64 + b"." + b"b" * 64,
        b"enj1." + b"a" * 64 + b"." + b"b" * 63,
        b"enj1." + b"a" * 63 + b"." + b"b" * 64,
        b"\xff" * 40,
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(InputError, match=r"here: expected a join token .* 129 more characters, found something else"):
        join_token.decode(data, "here")
    text = JoinToken("a" * 64, bytes(32)).text.encode()
    assert len(text) == len("enj1.") + 129 and join_token.decode(text.ljust(1024), "here")
    with pytest.raises(InputError, match="expected a join token"):
        join_token.decode(text.ljust(1025), "here")
    with pytest.raises(InputError, match="expected a join token"):
        join_token.decode(text + b" " + text, "here")


def test_neither_the_hubs_folder_nor_a_words_of_python_hold_the_secret(place: Place) -> None:
    secret = place.token.secret.hex()
    for path in place.folder.rglob("*"):
        if path.is_file() and path.name != "token.txt":
            assert secret.encode() not in path.read_bytes() and place.token.secret not in path.read_bytes()
    assert repr(place.token) == f"JoinToken(root={place.token.root!r})"
    [file] = (place.folder / "hub" / "tokens").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 == (place.folder / "token.txt").stat().st_mode & 0o777


def test_a_changed_file_of_a_token_is_refused(place: Place) -> None:
    [path] = (place.folder / "hub" / "tokens").iterdir()
    good = json.loads(path.read_text())
    for field, value, words in [
        ("format_version", 2, "expected format 1"),
        ("key", "", "key: expected 64 hexadecimal digits"),
        ("until", "soon", "until: expected a time in ISO 8601"),
        ("until", "2026-12-01T08:00:00+01:00", "until: expected a time in UTC"),
        ("until", "2026-12-01T08:00:00", "until: expected a time in UTC"),
        ("until", "2026-12-01T08:00:00+00:00".rjust(41), "until: expected .*40"),
        ("count", 0, "count: expected a whole number from 1 to 10000"),
        ("count", 10_001, "count: expected a whole number from 1 to 10000"),
        ("revoked", 1, "revoked: expected true or false"),
    ]:
        path.write_text(json.dumps({**good, field: value}))
        with pytest.raises(DamagedError, match=words):
            place.hub.tokens.all()
    path.write_text(json.dumps(good))
    for name in ("a" * 17, "g" * 16):
        path = path.rename(path.with_name(f"{name}.json"))
        with pytest.raises(DamagedError, match="name: expected 16 hexadecimal digits"):
            place.hub.tokens.all()
    with pytest.raises(InputError, match=r"--name: expected at most 40 printable characters"):
        Terms.of(1, 1, "k" * 41, NOW)
    assert Terms.of(1, 1, "k" * 40, NOW).until == NOW + timedelta(days=1)


def test_a_hub_keeps_a_bounded_number_of_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TOKENS == 1000
    monkeypatch.setattr("edge_nusa.sync.hub.tokens.MOST_TOKENS", 1)
    tokens, terms = Tokens(tmp_path), Terms.of(1, 1, "", NOW)
    tokens.add(JoinToken.generate(b"root"), terms)
    with pytest.raises(InputError, match="expected fewer than 1 tokens, found as many"):
        tokens.add(JoinToken.generate(b"root"), terms)


def run(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_nusa.cli.main", *map(str, words), "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EDGE_NUSA_BUNDLE": str(MICRO)}
    return subprocess.run(command, capture_output=True, text=True, input=stdin, env=environment, timeout=120)


def test_the_commands_enrol_a_board_by_a_token_on_stdin_and_a_folder_of_keys(place: Place) -> None:
    hub = ("--hub", place.folder / "hub")
    made = json.loads(run("hub", "token", "--count", "2", "--days", "1", *hub).stdout)
    state = ("--state", place.folder / "c")
    done = run("sync", "init", place.store, "--token", "-", *state, stdin=made["token"])
    assert json.loads(done.stdout)["token"] == made["id"], done.stderr
    assert json.loads(run("hub", "admit", *hub).stdout)["enrolled"][0]["token"] == made["id"]
    listed = {one["id"]: one for one in json.loads(run("hub", "tokens", *hub).stdout)["tokens"]}
    assert (listed[made["id"]]["used"], listed[made["id"]]["count"], listed[made["id"]]["over"]) == (1, 2, "")
    assert json.loads(run("hub", "token", "--revoke", made["id"], *hub).stdout) == {"id": made["id"], "revoked": True}
    refused = run("sync", "init", place.store, "--token", made["token"], "--state", place.folder / "d")
    assert refused.returncode == 2 and made["token"] not in refused.stderr + refused.stdout
    folder = place.folder / "keys"
    folder.mkdir()
    (folder / "hall.pub").write_bytes(new_public().encoded())
    (folder / "again.pub").write_bytes((place.folder / "c" / "sync" / "device.pub").read_bytes())
    (folder / "broken.pub").write_bytes(b"{")
    some = run("hub", "enroll", folder, "--name", "east-", *hub)
    told = json.loads(some.stdout)
    assert some.returncode == 1 and [one["name"] for one in told["enrolled"]] == ["east-hall"]
    assert [one["file"] for one in told["refused"]] == ["again.pub", "broken.pub"]
    assert "enrolled already" in told["refused"][0]["reason"]


def test_a_token_is_written_over_no_file_and_the_hub_keeps_none_that_was_not_written(place: Place) -> None:
    known = place.hub.tokens.all()
    with pytest.raises(InputError, match=r"token\.txt: expected no file yet, found one; .* name another"):
        self_enrolling.make(place.hub, Terms.of(7, 1, "", NOW), place.folder / "token.txt")
    assert place.hub.tokens.all() == known
    assert join_token.decode((place.folder / "token.txt").read_bytes(), "") == place.token


def test_a_file_of_a_token_that_the_hub_did_not_take_does_not_stay(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_nusa.sync.hub.tokens.MOST_TOKENS", 1)
    with pytest.raises(InputError, match="expected fewer than 1 tokens"):
        self_enrolling.make(place.hub, Terms.of(7, 1, "", NOW), place.folder / "new.txt")
    assert not (place.folder / "new.txt").exists()


def test_options_of_a_new_token_beside_revoke_are_refused_and_nothing_is_revoked(place: Place) -> None:
    words = ("--revoke", place.token.name, "--days", "7", "--out", place.folder / "x", "--hub", place.folder / "hub")
    done = run("hub", "token", *words)
    assert done.returncode == 2 and "expected --revoke alone, found --days, --out beside it" in done.stderr
    assert [one.why_not(0, datetime.now(UTC)) for one in place.hub.tokens.all()] == [""]


def test_a_token_of_the_variable_beside_offline_is_called_by_the_variables_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sync_init.VARIABLE, place.token.text)
    with pytest.raises(UsageError, match=r"join token \(EDGE_NUSA_JOIN_TOKEN is set\) or --offline, found both"):
        sync_init.init(str(place.store), offline=True)


def test_an_enrolled_folder_without_keys_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"expected files named \*\.pub, found none"):
        hub_joining._enroll_all(place.hub, tmp_path / "none", "", None)
    with pytest.raises(InputError, match=r"expected the device\.pub of a device, found No such file"):
        hub_joining._enrolled(place.hub, tmp_path / "missing.pub", "")


def test_a_request_of_another_fleets_hub_is_not_taken(place: Place, tmp_path: Path) -> None:
    hub_folder.create(tmp_path / "hub2", str(tmp_path / "store2"), bundle(), RootKeys(tmp_path / "rk2"), Expiry())
    other = Hub(tmp_path / "hub2", bundle())
    self_enrolling.make(other, Terms.of(1, 1, "", datetime.now(UTC)))
    place.join("a")
    shutil.copytree(place.store / "joins", tmp_path / "store2" / "joins")
    assert admit(other).unread == 1 and other.enrolled.all() == []
