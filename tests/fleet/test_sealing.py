"""Sealed bytes: only those they were sealed to read them, for the use they were sealed for, and unchanged."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.errors import InputError, MissingPackageError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.sync.trust import sealing, sealing_keys
from edge_nusa.sync.trust.sealing_keys import SealingKey, SealingPublic

GOLDEN = ROOT / "tests" / "golden" / "sealed"
KEYS = [SealingKey(bytes([number]) * 96) for number in range(6)]
USE = b"a test"


def public(text: str) -> SealingPublic:
    return sealing_keys.public_of(Record({"sealing": text}, Origin("device.pub", "ask", InputError)), "sealing")


def refused(data: bytes, key: SealingKey, use: bytes = USE) -> bool:
    try:
        sealing.opened(data, key, use, "here")
    except TrustError as error:
        assert str(error).startswith("here: expected ")
        return True
    return False


def test_golden_bytes_are_opened_and_laid_out_as_documented() -> None:
    data, key = (GOLDEN / "two.sealed").read_bytes(), SealingKey(bytes(range(96)))
    assert sealing.opened(data, key, b"golden", "two.sealed") == b"what was sealed\n"
    assert sealing.opened(data, KEYS[1], b"golden", "two.sealed") == b"what was sealed\n"
    names = sorted(sha256_hex(one.public.data)[:32] for one in (key, KEYS[1]))
    assert data[:12] == b"ENSEAL1\n\0\0\0\2"
    assert [data[12:28].hex(), data[28:44].hex()] == names
    assert len(data) == 12 + 2 * 16 + 2 * 1168 + len(b"what was sealed\n") + 16


def test_a_golden_key_is_read_and_written_the_same(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes((GOLDEN / "sealing.key").read_bytes())
    path.chmod(0o600)
    key = sealing_keys.load_key(path)
    assert key.secret == bytes(range(96))
    assert sealing_keys.encoded(key) == path.read_bytes()
    assert key.public.name == "d99e4496af749b54ee4a2d270c805745"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.sets(st.integers(0, 5), min_size=1, max_size=5), st.binary(max_size=40))
def test_any_recipient_opens_what_was_sealed_and_no_other_key_does(data: bytes, to: set[int], use: bytes) -> None:
    made = sealing.sealed(data, [KEYS[number].public for number in to], use)
    assert len(made) == len(data) + sealing.overhead(len(to)) == len(data) + 28 + 1184 * len(to)
    for number, key in enumerate(KEYS):
        if number in to:
            assert sealing.opened(made, key, use, "here") == data
        else:
            with pytest.raises(TrustError, match="here: expected bytes sealed to the key [0-9a-f]{32}, found them"):
                sealing.opened(made, key, use, "here")


def test_every_byte_of_what_was_sealed_to_one_counts() -> None:
    made = sealing.sealed(b"seven by", [KEYS[0].public], USE)
    for place in range(len(made)):
        for bit in (0, 7):
            assert refused(made[:place] + bytes([made[place] ^ 1 << bit]) + made[place + 1 :], KEYS[0]), place


@settings(max_examples=300, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_changed_bytes_never_open_as_another_content(place: int, change: int) -> None:
    made = bytearray(sealing.sealed(b"content", [key.public for key in KEYS[:3]], USE, bytes(32)))
    made[place % len(made)] ^= change
    for key in KEYS[:3]:
        assert refused(bytes(made), key) or sealing.opened(bytes(made), key, USE, "here") == b"content"


def cut_words(size: int) -> str:
    """What is said of so many of the first bytes of what was sealed to one; 1212 of them are there in any case."""
    if size < 12:
        return "here: expected sealed bytes, found another beginning; they were cut"
    if size < 1212:
        return f"here: expected sealed bytes, found {size} bytes of at least 1212; they were cut"
    return "here: expected bytes sealed to this key for this use, found others; they were changed"


def test_every_cut_is_refused_and_so_is_more() -> None:
    made = sealing.sealed(b"seven by", [KEYS[0].public], USE)
    for size in range(len(made)):
        with pytest.raises(TrustError, match=cut_words(size)):
            sealing.opened(made[:size], KEYS[0], USE, "here")
    assert refused(made + b"\0", KEYS[0])


def test_what_was_sealed_for_one_use_opens_for_no_other() -> None:
    made = sealing.sealed(b"x", [KEYS[0].public], b"round 1")
    for use in (b"round 11", b"round ", b"", b"update 1"):
        with pytest.raises(TrustError, match="sealed to this key for this use, found others"):
            sealing.opened(made, KEYS[0], use, "here")


def test_a_content_of_one_use_cannot_be_given_the_wraps_of_another() -> None:
    first, second = (sealing.sealed(b"x", [KEYS[0].public], use, bytes(32)) for use in (b"one", b"two"))
    head = sealing.head_bytes(1)
    assert refused(first[:head] + second[head:], KEYS[0], b"one")
    assert refused(first[:head] + second[head:], KEYS[0], b"two")


def test_the_same_content_is_sealed_anew_each_time_unless_its_key_is_given() -> None:
    made = [sealing.sealed(b"x" * 100, [KEYS[0].public], USE) for _ in range(2)]
    assert made[0][-116:] != made[1][-116:]
    same = [sealing.sealed(b"x" * 100, [KEYS[0].public], USE, bytes(range(32))) for _ in range(2)]
    assert same[0][-116:] == same[1][-116:]
    assert same[0][:-116] != same[1][:-116]


def test_a_key_given_twice_is_one_recipient() -> None:
    made = sealing.sealed(b"x", [KEYS[0].public, KEYS[0].public, KEYS[1].public], USE)
    assert len(made) == 1 + sealing.overhead(2)


def test_it_is_sealed_to_someone_and_to_no_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="expected 1 to 10000 keys to seal to, found 0; revoke devices"):
        sealing.sealed(b"x", [], USE)
    monkeypatch.setattr(sealing, "MOST_RECIPIENTS", 2)
    made = sealing.sealed(b"x", [key.public for key in KEYS[:2]], USE)
    with pytest.raises(InputError, match="expected 1 to 2 keys to seal to, found 3"):
        sealing.sealed(b"x", [key.public for key in KEYS[:3]], USE)
    assert sealing.opened(made, KEYS[1], USE, "here") == b"x"
    monkeypatch.setattr(sealing, "MOST_RECIPIENTS", 1)
    with pytest.raises(TrustError, match="here: expected sealed bytes, found 2 recipients, of 1 to 1"):
        sealing.opened(made, KEYS[1], USE, "here")


def test_bytes_for_nobody_are_no_sealed_bytes() -> None:
    with pytest.raises(TrustError, match="here: expected sealed bytes, found 0 recipients, of 1 to 10000"):
        sealing.opened(sealing.MAGIC + bytes(40), KEYS[0], USE, "here")


def test_names_out_of_order_or_twice_are_refused() -> None:
    made = sealing.sealed(b"x", [key.public for key in KEYS[:2]], USE)
    for names in (made[28:44] + made[12:28], made[12:28] * 2):
        with pytest.raises(TrustError, match="here: expected sealed bytes, found names of recipients out of order"):
            sealing.opened(made[:12] + names + made[44:], KEYS[0], USE, "here")


def test_a_recipient_opens_from_its_own_part_of_the_head_alone() -> None:
    made = sealing.sealed(b"content", [key.public for key in KEYS], USE)
    count = sealing.recipients_of(made[: sealing.START_BYTES], "here")
    place = sealing.place_of(made[12 : 12 + 16 * count], KEYS[3].public, "here")
    assert place is not None
    start = sealing.wrap_start(count, place)
    part = sealing.alone(KEYS[3].public, made[start : start + 1168], made[sealing.head_bytes(count) :])
    assert sealing.opened(part, KEYS[3], USE, "here") == b"content"
    assert len(part) == sealing.overhead(1) + 7
    assert sealing.place_of(made[12:60], KEYS[5].public, "here") in (None, 0, 1, 2)


def test_a_hub_opens_with_the_key_that_it_had_then() -> None:
    made = sealing.sealed(b"x", [KEYS[1].public], USE)
    assert sealing.opened_by_any(made, KEYS[:3], USE, "here") == b"x"
    with pytest.raises(sealing.NotForThisKeyError, match="sealed to 1 other; a new key reads only"):
        sealing.opened_by_any(made, (KEYS[0], KEYS[2]), USE, "here")


def test_a_public_key_is_read_back_and_tried() -> None:
    key = KEYS[0].public
    assert public(key.text) == key
    no_curve, no_lattice = key.data[:1184] + bytes(32), b"\xff" * 1184 + key.data[1184:]
    for data in (b"", key.data[:-1], key.data + b"\0", no_curve, no_lattice):
        with pytest.raises(InputError, match="device.pub: sealing: expected the 1216 bytes of a sealing key in base64"):
            public(SealingPublic(data).text)
    for text in (
        key.text[:-1],
        key.text[:-5] + "!" + key.text[-5:-1],
        "\u00e9" * 1624,
        key.text[:-5] + "\n" + key.text[-4:],
    ):
        with pytest.raises(InputError, match="sealing key in base64, found"):
            public(text)
    with pytest.raises(InputError, match="sealing: expected a text of at most 1624 characters"):
        public(key.text + "\n")


def test_a_new_key_is_its_users_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sync" / "sealing.key"
    made = sealing_keys.new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sealing_keys.load_key(path).public == made.public
    with pytest.raises(InputError, match="expected no key yet, found one; it is never overwritten"):
        sealing_keys.new_key(path)
    path.chmod(0o640)
    with pytest.raises(TrustError, match="mode 0600"):
        sealing_keys.load_key(path)
    with pytest.raises(TrustError, match="expected a key file, found none"):
        sealing_keys.load_key(tmp_path / "none.key")


def test_a_hubs_keys_are_all_found_again(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="expected keys named sealing-\\*.key, found none; restore it"):
        sealing_keys.load_keys(tmp_path)
    made = {sealing_keys.new_named_key(tmp_path).public for _ in range(3)}
    assert {key.public for key in sealing_keys.load_keys(tmp_path)} == made
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret": "AAAA"}, "secret: expected 96 bytes in base64, found something else; restore it"),
        ({"secret": "?"}, "secret: expected 96 bytes in base64, found something else; restore it"),
        ({"suite": "X25519"}, "suite: expected one of MLKEM768_X25519, found 'X25519'"),
        ({"format_version": 2}, "expected format 1, found 2, made by a newer edge-nusa"),
        ({"more": 1}, "expected the fields"),
    ],
)
def test_a_key_file_of_another_kind_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "sealing.key"
    path.write_text(json.dumps({**json.loads((GOLDEN / "sealing.key").read_text()), **change}))
    path.chmod(0o600)
    with pytest.raises(TrustError, match=words) as refusal:
        sealing_keys.load_key(path)
    assert "AAECAwQF" not in str(refusal.value)


def test_a_key_is_not_told_by_its_words() -> None:
    assert repr(KEYS[0]).startswith("<edge_nusa.sync.trust.sealing_keys.SealingKey object")


def test_without_the_suite_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "expected a cryptography with HPKE over MLKEM768_X25519 \\(48 or newer, from its own wheel\\), found "
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cryptography.hazmat.primitives.hpke", None)
        with pytest.raises(MissingPackageError, match=f"{words}none of it .*; install it with `pip install --upgrade"):
            SealingKey.generate()

    def unsupported(_: bytes) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm

        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    no_mlkem = SimpleNamespace(MLKEM768PrivateKey=SimpleNamespace(from_seed_bytes=unsupported))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", no_mlkem)
    with pytest.raises(MissingPackageError, match=f"{words}its OpenSSL without it"):
        sealing.sealed(b"x", [KEYS[0].public], USE)
