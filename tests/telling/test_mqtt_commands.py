"""`watch --mqtt` and `mqtt` as a person and a service run them: against a real broker, with a password, over TLS,
killed in the middle, and without the broker."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cameras
import pytest
from brokers import Listener, Mosquitto, wait_until
from conftest import ROOT, THREE, command, environment, run_cli
from home_assistant import Home
from processes import loaded_after, one_line, run_patched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.telling import broker as brokers_room

pytest.importorskip("paho.mqtt.client")
pytest_plugins = ["brokers"]
SECRET = "hunter2-very-secret"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that knows the user `camera`, whose password is SECRET."""
    program = shutil.which("mosquitto_passwd") or shutil.which("mosquitto_passwd", path="/usr/bin:/usr/sbin")
    if program is None:
        pytest.skip("needs mosquitto_passwd, of Debian's mosquitto")
    subprocess.run([program, "-b", "-c", tmp_path / "users", "camera", SECRET], check=True, capture_output=True)
    (tmp_path / "users").chmod(0o644)
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {tmp_path / 'users'}").start()
    yield broker
    broker.kill()


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Ends what a test that failed has left running."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait(30)


class Started:
    """A command that runs on, and what it says on stderr."""

    def __init__(self, folder: Path, *words: str | Path, **env: str) -> None:
        self.said = folder / "said"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command(*words), env=environment(env), stdout=subprocess.DEVNULL, stderr=said, cwd=folder
            )
        STARTED.append(self.process)

    def text(self) -> str:
        return self.said.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    (tmp_path / "camera").mkdir()
    return tmp_path / "camera"


def home_of(listener: Listener) -> Home:
    home = Home()
    for topic, data, _ in list(listener.messages):
        home.takes(topic, data)
    return home


def test_a_watch_tells_a_broker_what_it_answers_and_ends_with_a_word(
    mosquitto: Mosquitto, taught: Path, camera: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    listener = Listener(mosquitto.port)
    out = tmp_path / "answers.jsonl"
    words = ("--every", "0.05", "--out", out, "--state", taught)
    started = Started(tmp_path, "watch", camera, "--mqtt", mosquitto.url, *words)
    wait_until(lambda: home_of(listener).is_available, "the board to be there")
    shutil.copy(sorted(pictures.asked["gravel"].iterdir())[0], camera / "first.jpg")
    (camera / "broken.jpg").write_bytes(b"no picture")
    wait_until(lambda: len(listener.of("/answer")) and len(listener.of("/set-aside")), "an answer and one set aside")
    home, lines = home_of(listener), [json.loads(line) for line in out.read_text().splitlines()]
    best = next(line["best"] for line in lines if "best" in line)
    assert home.states["label"] == (best or "none of these") and home.states["set_aside"] == "broken.jpg"
    assert home.states["generation"] == "1" and home.warnings == []
    assert home.components["label"]["options"] == [*THREE, "none of these"]
    assert started.end() == 143
    wait_until(lambda: home_of(listener).is_available is False, "the board to say that it goes")
    assert "mqtt" not in started.text()
    listener.close()


def test_a_watch_that_is_killed_is_said_to_be_offline_by_the_broker(
    mosquitto: Mosquitto, taught: Path, camera: Path, tmp_path: Path
) -> None:
    listener = Listener(mosquitto.port)
    started = Started(tmp_path, "watch", camera, "--mqtt", mosquitto.url, "--state", taught)
    wait_until(lambda: home_of(listener).is_available, "the board to be there")
    assert started.end(signal.SIGKILL) == -9
    wait_until(lambda: home_of(listener).is_available is False, "the last will")
    late = Listener(mosquitto.port)
    assert late.last("/availability") == "offline"
    late.close()
    listener.close()


def test_a_watch_that_stands_still_is_offline_after_a_while_and_online_when_it_goes_on(
    mosquitto: Mosquitto, taught: Path, camera: Path, tmp_path: Path
) -> None:
    patch = "from edge_nusa.device.telling import broker\nbroker.KEEPALIVE_SECONDS = 1\n"
    program = f"{patch}from edge_nusa.cli.main import run\nrun()"
    words = ["watch", camera, "--mqtt", mosquitto.url, "--state", taught]
    listener = Listener(mosquitto.port)
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], env=environment(), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: listener.of("/availability")[-1:] == ["online"], "the board to be there")
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: listener.of("/availability")[-1:] == ["offline"], "the last will")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: listener.of("/availability")[-1:] == ["online"], "the board to be there again")
    process.terminate()
    assert process.wait(30) == 143
    listener.close()


def test_the_pages_seconds_until_a_board_is_offline_are_those_of_the_broker() -> None:
    page = (ROOT / "docs" / "home-assistant.md").read_text()
    assert f"after {1.5 * brokers_room.KEEPALIVE_SECONDS:g} seconds at most" in page


def test_a_watch_goes_on_without_its_broker_and_says_so_once(
    taught: Path, camera: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    words = ("--once", "--every", "0.5", "--state", taught, "--format", "json")
    done = run_cli("watch", pictures.asked["gravel"], "--mqtt", "mqtt://127.0.0.1:1", *words)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 8
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("mqtt://127.0.0.1:1: it is not reached (Connection refused); check address and port")


def test_what_a_camera_shows_is_told_and_that_it_is_lost_and_back(
    mosquitto: Mosquitto, taught: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    listener, port, numbers = Listener(mosquitto.port), cameras.free_port(), tmp_path / "numbers.prom"
    words = ("--every", "0.2", "--state", taught, "--mqtt", mosquitto.url, "--mqtt-name", "door", "--metrics", numbers)
    with cameras.rtsp_server(port) as source:
        started = Started(tmp_path, "watch", source, *words)
        wait_until(lambda: home_of(listener).states.get("label"), "an answer", 60)
    wait_until(lambda: home_of(listener).states.get("camera") == "off", "the loss of the camera", 60)
    assert home_of(listener).attributes["camera"]["reason"]
    with cameras.rtsp_server(port):
        wait_until(lambda: home_of(listener).states.get("camera") == "on", "the camera that is back", 90)
        assert started.end() == 143
    home = home_of(listener)
    assert home.warnings == [] and home.message["device"]["name"] == "door"
    assert "edge_nusa_camera_up 1.0" in numbers.read_text()
    listener.close()


def test_a_cameras_password_is_in_no_name_and_nothing_else_that_a_broker_is_told(
    mosquitto: Mosquitto, taught: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    listener = Listener(mosquitto.port)
    source = f"rtsp://anna:secret@127.0.0.1:{cameras.free_port()}/user=admin_password=secret"
    started = Started(tmp_path, "watch", source, "--state", taught, "--mqtt", mosquitto.url)
    wait_until(lambda: home_of(listener).is_available, "the watch", 60)
    assert started.end() == 143
    assert "127.0.0.1" in home_of(listener).message["device"]["name"]
    assert "secret" not in started.text() + json.dumps(home_of(listener).message) + " ".join(listener.topics())
    listener.close()


def test_the_service_tells_what_the_watch_wrote_and_writes(
    mosquitto: Mosquitto, taught: Path, camera: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    out, listener = tmp_path / "answers.jsonl", Listener(mosquitto.port)
    started = Started(tmp_path, "mqtt", out, "--broker", mosquitto.url, "--every", "0.05", "--state", taught)
    wait_until(lambda: home_of(listener).is_available, "the service before its file is there")
    asked = sorted(pictures.asked["gravel"].iterdir())
    shutil.copy(asked[0], camera / "first.jpg")
    watch = ("watch", camera, "--once", "--every", "0.05", "--out", out, "--state", taught)
    assert run_cli(*watch).returncode == 0
    assert "first.jpg" in out.read_text(), "the watch has answered"
    wait_until(lambda: [one["picture"] for one in listener.of("/answer")] == ["first.jpg"], "the first answer")
    out.rename(tmp_path / "answers.jsonl.1")
    shutil.copy(asked[1], camera / "second.jpg")
    assert run_cli(*watch).returncode == 0
    wait_until(lambda: listener.of("/answer")[-1]["picture"] == "second.jpg", "the answer of after a rotation")
    home = home_of(listener)
    assert home.warnings == [] and home.components["label"]["options"] == [*THREE, "none of these"]
    assert started.text().startswith(f"telling {mosquitto.url} as ") and started.text().count("\n") == 1
    assert started.end() == 143
    wait_until(lambda: home_of(listener).is_available is False, "the service to say that it goes")
    listener.close()


def test_once_tells_what_is_there_and_ends(mosquitto: Mosquitto, taught: Path, tmp_path: Path) -> None:
    done = run_cli(
        "mqtt", tmp_path / "none", "--broker", mosquitto.url, "--once", "--mqtt-name", "door", "--state", taught
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"telling {mosquitto.url} as door (edge-nusa-door-")
    late = Listener(mosquitto.port)
    assert late.last("/config")["device"]["name"] == "door"
    late.close()


def test_a_wrong_password_is_one_clear_line(guarded: Mosquitto, taught: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not-it")
    url = f"mqtt://camera@127.0.0.1:{guarded.port}"
    words = ("mqtt", tmp_path / "none", "--once", "-q", "--state", taught)
    done = run_cli(*words, "--broker", url, "--mqtt-password-file", tmp_path / "wrong")
    line = one_line(done, 6)
    assert line.startswith(f"edge-nusa: {url}: it refuses the user camera (not authorized); check the user in the ad")
    assert "not-it" not in line
    nobody = one_line(run_cli(*words, "--broker", guarded.url), 6)
    assert "it refuses anyone without a user (not authorized)" in nobody


def test_a_password_that_others_may_read_is_said(
    guarded: Mosquitto, password: Path, taught: Path, tmp_path: Path
) -> None:
    url = f"mqtt://camera@127.0.0.1:{guarded.port}"
    words = ("mqtt", tmp_path / "none", "--broker", url, "--once", "--mqtt-password-file", password, "--state", taught)
    assert "others on this board" not in run_cli(*words).stderr
    password.chmod(0o640)
    done = run_cli(*words)
    said = f"{password}: others on this board may read the password; run chmod 600 on it"
    assert done.returncode == 0 and said in done.stderr.splitlines()


@pytest.mark.parametrize("way", ["file", "environment"])
def test_the_password_is_in_no_list_of_processes_and_no_log(
    guarded: Mosquitto, password: Path, taught: Path, camera: Path, pictures: DemoPictures, tmp_path: Path, way: str
) -> None:
    url, env = f"mqtt://camera@127.0.0.1:{guarded.port}", {}
    words: list[str | Path] = ["watch", camera, "--mqtt", url, "--every", "0.05", "--state", taught]
    if way == "file":
        words += ["--mqtt-password-file", password]
    else:
        env = {"EDGE_NUSA_MQTT_PASSWORD": SECRET}
    listener = Listener(guarded.port, "camera", SECRET)
    started = Started(tmp_path, *words, **env)
    wait_until(lambda: listener.of("/availability"), "the board to be there")
    shutil.copy(sorted(pictures.asked["gravel"].iterdir())[0], camera / "first.jpg")
    wait_until(lambda: listener.of("/answer"), "an answer")
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert str(camera) in listed and SECRET not in listed
    children = [pid for pid in os.listdir("/proc") if pid.isdecimal() and _parent(pid) == started.process.pid]
    assert children, "the process that decodes pictures"
    assert not [pid for pid in children if SECRET.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert started.end() == 143
    assert SECRET not in started.text() + guarded.log() + str(listener.messages)
    listener.close()


def _parent(pid: str) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def certificates(folder: Path) -> None:
    """An authority, and a certificate of localhost that it signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def made(name: str, issuer: str, key: Any, signer: Any, extensions: list[tuple[x509.ExtensionType, bool]]) -> Any:
        builder = x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key.public_key(),
            x509.random_serial_number(),
            now - datetime.timedelta(days=1),
            now + datetime.timedelta(days=1),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256())

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    root = made(
        "ca", "ca", authority, authority, [(x509.BasicConstraints(True, 0), True), (identifier, False), (usage, True)]
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    leaf = made("localhost", "ca", server, authority, [(names, False), (signed_by, False)])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    (folder / "server.key").write_bytes(server.private_bytes(pem, form, serialization.NoEncryption()))


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that speaks TLS, as localhost."""
    pytest.importorskip("cryptography")
    certificates(tmp_path)
    lines = ("allow_anonymous true", f"certfile {tmp_path / 'server.pem'}", f"keyfile {tmp_path / 'server.key'}")
    broker = Mosquitto(tmp_path / "broker", *lines)
    for name in ("server.pem", "server.key"):
        (tmp_path / name).chmod(0o644)
    broker.start()
    yield broker
    broker.kill()


def test_over_tls_the_authority_is_asked_for_and_the_hosts_name_counts(
    sealed: Mosquitto, taught: Path, tmp_path: Path
) -> None:
    words = ("mqtt", tmp_path / "none", "--once", "-q", "--state", taught)
    url, authority = f"mqtts://localhost:{sealed.port}", ("--mqtt-ca", tmp_path / "ca.pem")
    done = run_cli(*words, "--broker", url, *authority)
    assert (done.returncode, done.stderr) == (0, "")
    late = Listener(sealed.port, tls=ssl.create_default_context(cafile=str(tmp_path / "ca.pem")))
    assert late.last("/board")["generation"] == 1
    late.close()
    unknown = one_line(run_cli(*words, "--broker", url), 6)
    assert "its certificate is not believed (" in unknown and "pass its authority's file by --mqtt-ca" in unknown
    other = one_line(run_cli(*words, "--broker", f"mqtts://127.0.0.1:{sealed.port}", *authority), 6)
    assert "its certificate is not believed (IP address mismatch" in other
    plain = one_line(run_cli(*words, "--broker", f"mqtt://localhost:{sealed.port}"), 6)
    assert f"mqtt://localhost:{sealed.port}: " in plain
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = one_line(run_cli(*words, "--broker", url, "--mqtt-ca", tmp_path / "bad.pem"), 1)
    assert "expected certificates as PEM, found other content; give the authority's own file" in bad


def test_tls_where_none_is_spoken_is_said(mosquitto: Mosquitto, taught: Path, tmp_path: Path) -> None:
    url = f"mqtts://localhost:{mosquitto.port}"
    line = one_line(run_cli("mqtt", tmp_path / "none", "--broker", url, "--once", "-q", "--state", taught), 6)
    assert line.startswith(f"edge-nusa: {url}: ")


def test_a_host_that_is_not_there_is_said(taught: Path, tmp_path: Path) -> None:
    url = "mqtt://nobody.invalid"
    line = one_line(run_cli("mqtt", tmp_path / "none", "--broker", url, "--once", "-q", "--state", taught), 6)
    assert line.startswith("edge-nusa: mqtt://nobody.invalid:1883: no host of this name is found; check the name")


def test_options_about_a_broker_go_with_a_broker(taught: Path, camera: Path) -> None:
    line = one_line(run_cli("watch", camera, "--mqtt-name", "door", "--state", taught), 2)
    assert line == "edge-nusa: --mqtt-name: expected --mqtt URL beside it, found none; add it"


@pytest.mark.parametrize("words", [("watch", "DIR", "--mqtt"), ("mqtt", "DIR/x", "--broker")])
def test_without_the_package_one_line_says_how_to_install_it(
    words: tuple[str, ...], taught: Path, camera: Path
) -> None:
    patch = "import sys\nsys.modules['paho'] = None"
    arguments = [word.replace("DIR", str(camera)) for word in words]
    line = one_line(run_patched(patch, *arguments, "mqtt://h", "--state", taught), 2)
    assert line.startswith("edge-nusa: mqtt needs packages that are missing here") and '"edge-nusa[mqtt]"' in line


def test_the_service_loads_no_runtime_and_a_watch_without_a_broker_nothing_of_it(
    mosquitto: Mosquitto, taught: Path, tmp_path: Path, pictures: DemoPictures
) -> None:
    heavy = {"numpy", "onnxruntime", "PIL", "torch", "tokenizers"}
    assert not loaded_after("mqtt", tmp_path / "x", "--broker", mosquitto.url, "--once", "--state", taught) & heavy
    watch = ("watch", pictures.asked["gravel"], "--once", "--every", "0.05", "--state", taught, "--format", "json")
    assert not loaded_after(*watch) & {"paho", "prometheus_client", "ssl"}


def test_the_unit_runs_a_command_that_exists_and_opens_no_door_but_the_net() -> None:
    unit = (ROOT / "device" / "install" / "edge-nusa-mqtt.service").read_text()
    watch = (ROOT / "device" / "install" / "edge-nusa-watch.service").read_text()
    assert unit.count("/edge-nusa mqtt\n") == 1, "what it tells, and whom, is in the settings"
    hardening = {line for line in watch.partition("# It reads")[2].splitlines() if "=" in line}
    own = {"PrivateNetwork=yes", "RestrictAddressFamilies=none", "IPAddressDeny=any", "ReadWritePaths=@READ_WRITE@"}
    assert hardening - own <= set(unit.splitlines())
    assert "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX" in unit and "ReadWritePaths" not in unit
