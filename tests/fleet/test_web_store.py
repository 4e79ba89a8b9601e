"""Rounds and bundles from a plain web server: Python's own, one by https with a certificate that a test signed, and one
that does wrong."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wicked_server
from conftest import MICRO, bytes_of, run_cli
from fleet_world import Member, bundle
from test_bundle_pull import World, changed_bundle, quiet
from test_fleet_stores import rows
from wicked_server import Answer, Handler, Wicked, wicked

from edge_nusa.device.fleet.moving import set_store
from edge_nusa.errors import EdgeNusaError, InputError, StoreError, TrustError
from edge_nusa.sync.bundles.pull import pull
from edge_nusa.sync.bundles.source import Source
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores import mirror_index, web
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.stores.web import WebStore

pytestmark = pytest.mark.slow
SECONDS = 1.0
LONGEST = 10.0
"""Of a pull where each answer may take SECONDS."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A hub that has published micro, with a mirror in `www`."""
    world = World(tmp_path_factory.mktemp("web"))
    world.publish(mirror=str(world.folder / "www"))
    return world


@pytest.fixture(scope="module")
def server(made: World) -> Iterator[Wicked]:
    """The mirror behind a server that does right until a test says otherwise."""
    with wicked(made.folder / "www") as running:
        yield running


@pytest.fixture
def place(server: Wicked) -> Iterator[str]:
    yield f"http://127.0.0.1:{server.server_port}/fleet/x"
    server.fault = lambda handler, answer: False
    server.asked.clear()


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """What `python -m http.server` answers with, without a log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def source(made: World, place: str, folder: Path) -> Source:
    return Source(open_store(place), (made.hub / "root.json").read_bytes(), folder / "trust")


def test_pythons_own_server_which_ignores_ranges_gives_a_bundle(made: World, tmp_path: Path) -> None:
    handler = functools.partial(Quiet, directory=str(made.folder / "www"))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        found = source(made, f"http://localhost:{port}", tmp_path)
        store, key = found.store, f"bundles/{found.bundles()['micro'].index}.bundle"
        whole = (made.folder / "www" / key).read_bytes()
        assert [store.get_part(key, start, 10) for start in (0, 7, len(whole) - 3, len(whole) + 5)] == [
            whole[:10],
            whole[7:17],
            whole[-3:],
            b"",
        ]
        done = pull(found, found.bundles()["micro"], tmp_path / "micro", quiet)
    assert bytes_of(Path(done.folder)) == bytes_of(MICRO)


def signed_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of our own, and a server's certificate by it for loopback, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a CA of the tests")])

    def builder(name: x509.Name, public: Any) -> x509.CertificateBuilder:
        begun = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        return begun.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)

    ca = builder(issuer, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
    uses = dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), True)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    ca = ca.add_extension(x509.KeyUsage(**uses, **dict.fromkeys((*others, "decipher_only"), False)), True)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(x509.Name([]), key.public_key()).add_extension(local, True)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    contents = {
        "ca.pem": ca.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "server.pem": leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "server.key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"


def test_a_server_by_https_is_believed_where_the_system_trusts_its_certificate(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, certificate, key = signed_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(made.folder / "www")))
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    with serving(httpd) as port:
        place, out = f"https://127.0.0.1:{port}/", tmp_path / "out" / "micro"
        with pytest.raises(StoreError, match="expected the server to show it, found .*(?i:certificate.verify.failed)"):
            source(made, place, tmp_path).bundles()
        words = ("pull", place, "micro", "--root", made.hub / "root.json", "--out", out)
        home = {"XDG_DATA_HOME": str(tmp_path / "data"), "SSL_CERT_FILE": str(ca)}
        done = run_cli(*words, "--format", "human", env=home)
    assert done.returncode == 0, done.stderr
    assert bytes_of(out) == bytes_of(MICRO)
    assert f"11.3 MiB) is in {out}\nuse it: edge-nusa config bundle {out}\n" in done.stdout


FAULTS = [
    wicked_server.silent,
    wicked_server.body_a_byte_a_second,
    wicked_server.head_a_byte_a_second,
    wicked_server.endless_chunks,
    wicked_server.endless_length,
    wicked_server.cut_and_cut_again,
    wicked_server.shorter_than_the_truth,
    wicked_server.captive_portal,
    wicked_server.failing,
    *map(wicked_server.redirecting, ["file:///etc/hostname", "ftp://127.0.0.1/x", "/fleet/x/round-and-round"]),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_server_that_does_wrong_is_given_up_in_time_with_one_line_and_the_next_pull_goes_on(
    made: World,
    server: Wicked,
    place: str,
    tmp_path: Path,
    fault: Callable[[Handler, Answer], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(about: str, handler: Handler, answer: Answer) -> bool:
        if answer.about != about:
            return False
        fault(handler, answer)
        return True

    for about in ("index.json", "metadata", "bundles"):
        server.fault = functools.partial(wrong, about)
        began = time.monotonic()
        with monkeypatch.context() as patch, pytest.raises((StoreError, TrustError)) as found:
            patch.setattr(web, "SECONDS", SECONDS)
            at = source(made, place, tmp_path)
            pull(at, at.bundles()["micro"], tmp_path / "micro", quiet)
        assert time.monotonic() - began < LONGEST
        assert "expected" in str(found.value) or "nothing was taken" in str(found.value)
        assert "\n" not in str(found.value) and len(str(found.value)) <= 600
        assert not (tmp_path / "micro").exists()
    server.fault = lambda handler, answer: False
    at = source(made, place, tmp_path)
    assert bytes_of(Path(pull(at, at.bundles()["micro"], tmp_path / "micro", quiet).folder)) == bytes_of(MICRO)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://169.254.169.254/latest", "found that it leads on to http://169.254.169.254/latest, where nothing"),
        ("https://169.254.169.254/latest", "leads on to https://169.254.169.254/latest, where nothing is asked"),
        ("https://[fe80::1]/x", "where nothing is asked"),
        ("http://127.0.0.1:1/x", "where nothing is asked"),
        ("/fleet/x/index.json", "found more than 5 redirects"),
    ],
)
def test_a_server_leads_to_no_other_place_than_by_https_and_not_in_a_circle(
    server: Wicked, place: str, address: str, words: str
) -> None:
    led = wicked_server.redirecting(address)
    server.fault = lambda handler, answer: led(handler, answer) is None
    with pytest.raises(StoreError, match=words):
        open_store(place).list("metadata")
    assert len(server.asked) == (6 if "redirects" in words else 1)


def test_a_redirect_to_the_same_server_is_followed(server: Wicked, place: str) -> None:
    def moved(handler: Handler, answer: Answer) -> bool:
        if answer.about == "index.json":
            handler.begin(302, 0, answer.kind, ("Location", "../x/metadata/1.root.json"))
        return answer.about == "index.json"

    server.fault = moved
    assert b'"root"' in open_store(place).get("index.json", 1 << 20)


def test_a_range_that_was_not_asked_for_is_refused(server: Wicked, place: str, made: World) -> None:
    def another(handler: Handler, answer: Answer) -> bool:
        handler.begin(206, 3, answer.kind, ("Content-Range", "bytes 1-3/9"))
        handler.wfile.write(b"abc")
        return True

    server.fault = another
    for ask in (lambda: open_store(place).get_part("index.json", 0, 3), lambda: open_store(place).get("index.json", 9)):
        with pytest.raises(StoreError, match="found another range than was asked for"):
            ask()
    assert open_store(place).get_part("index.json", 1, 3) == b"abc"


def answering(status: int) -> Callable[[Handler, Answer], bool]:
    """Whatever is asked, this is the answer."""

    def answer(handler: Handler, answer: Answer) -> bool:
        handler.begin(status, 0, answer.kind)
        return True

    return answer


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_a_server_does_not_show_is_missing(server: Wicked, place: str, status: int) -> None:
    server.fault = answering(status)
    store = open_store(place)
    with pytest.raises(MissingObjectError, match=rf"expected an object of the store, found none \({status}\)"):
        store.get("index.json", 10)
    assert store.head("index.json") is None


@pytest.mark.parametrize("status", [400, 401, 500, 503, 304])
def test_any_other_answer_is_an_error(server: Wicked, place: str, status: int) -> None:
    server.fault = answering(status)
    for ask in (lambda: open_store(place).get("index.json", 10), lambda: open_store(place).head("index.json")):
        with pytest.raises(StoreError, match=f"expected the server to show it, found the answer {status}; check"):
            ask()


def test_a_web_server_has_sizes_takes_nothing_and_lists_timestamps_alone(made: World, place: str) -> None:
    store = WebStore(place)
    assert store.list("metadata") == ["metadata/1.timestamp.json"]
    assert store.list("rounds") == []
    assert store.head("metadata/1.root.json") == (made.place / "metadata" / "1.root.json").stat().st_size
    with pytest.raises(StoreError, match="expected at most 9 bytes, found more; someone else writes there"):
        store.get("metadata/1.root.json", 9)
    with pytest.raises(StoreError, match="expected a store that takes objects, found a web server, which only shows"):
        store.put_new("a", b"")
    with pytest.raises(StoreError, match="expected a key of small letters"):
        store.get("../x", 9)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("http://example.org/x", "expected https, found http to another machine"),
        ("http://127.0.0.1.example.org/x", "expected https, found http to another machine"),
        ("https://[bad", r"'https://\[bad': expected a host's name or address after .*, found another form; give HOST"),
        ("https:///x", "expected https://HOST/PATH, found another form; give a folder's address"),
        ("https://example.org/a b", "expected https://HOST/PATH, found another form"),
        ("https://example.org//x", "expected https://HOST/PATH, found another form"),
        ("https://anna:secret@example.org/x", "expected a place without a user, a password or a query"),
        ("https://example.org/x?token=1", "expected a place without a user, a password or a query"),
    ],
)
def test_an_address_of_another_form_is_refused(place: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_store(place)


@pytest.mark.parametrize("place", ["https://example.org", "https://example.org:8443/a/b-c_d.e~f/", "http://[::1]:80/x"])
def test_an_address_of_a_folder_is_taken(place: str) -> None:
    assert isinstance(open_store(place), WebStore)


def test_a_mirrors_list_has_the_newest_timestamps_by_their_numbers(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for number in range(1, 81):
        store.put_new(f"metadata/{number}.timestamp.json", b"")
    for other in ("metadata/x.timestamp.json", "metadata/9.root.json", f"metadata/{'9' * 12}.timestamp.json"):
        store.put_new(other, b"")
    for _ in range(2):
        mirror_index.write(store)
        found = mirror_index.read((tmp_path / "index.json").read_bytes(), "here")
        assert found == sorted(f"metadata/{number}.timestamp.json" for number in range(17, 81))
        assert (tmp_path / "index.json").stat().st_mode & 0o444 == 0o444


def test_a_device_pulls_rounds_from_a_web_server_and_goes_on_after_a_new_one(made: World, tmp_path: Path) -> None:
    hub = Hub(made.hub, bundle())
    member = Member(tmp_path, hub, "a")
    for number, label in ((1, "cup"), (2, "plate")):
        member.teach({label: rows(number, 4)}, number)
        member.push()
        hub.merge(MergeSettings())
        hub.publish(str(made.folder / "www"))
        with wicked(made.folder / "www") as server:
            set_store(member.model, str(made.place), f"http://127.0.0.1:{server.server_port}/fleet/x")
            assert member.pull().round == number
            assert {about for about, _ in server.asked} == {"index.json", "metadata", "rounds", "nothing"}


def test_a_mirror_has_only_what_is_announced_and_goes_on_without_a_bundle_that_is_lost(
    made: World, tmp_path: Path
) -> None:
    world = World(tmp_path)
    world.publish()
    world.publish(name="second")
    lost = world.source.bundles()["second"]
    shutil.rmtree(world.place / "bundles")
    with pytest.raises(EdgeNusaError, match="expected an object of the store, found none"):
        world.publish(changed_bundle(tmp_path / "third"), name="third", mirror=str(tmp_path / "www"))
    there = replace(world.source, store=FolderStore(tmp_path / "www")).bundles()
    assert [*there] == ["micro", "second", "third"]
    assert (tmp_path / "www" / there["third"].key).exists() and not (tmp_path / "www" / lost.key).exists()
    assert (tmp_path / "www" / "index.json").exists()


def test_a_store_whose_own_folder_is_shown_is_its_own_mirror(made: World, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(mirror=str(world.place))
    before = {path.name for path in world.place.iterdir()}
    assert before == {"bundles", "index.json", "metadata"}
    with wicked(world.place) as server:
        found = source(world, f"http://127.0.0.1:{server.server_port}/fleet/x", tmp_path)
        assert found.bundles()["micro"].version == 1
