"""Real servers of stores, each started on a free port of loopback and ended with the test; skipped where it is not
installed.

EDGE_NUSA_S3_SERVERS: folder with `moto_server` and `nanio` (both on PyPI) if they are not beside this Python; the
others are programs of Debian's packages docker-registry and radosgw, ceph-mon, ceph-osd (`make servers` installs them).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "edge-nusa-test",
    "AWS_SECRET_ACCESS_KEY": "edge-nusa-test-secret",
    "AWS_REGION": "us-east-1",
}
"""Words for servers on loopback, no secrets."""
CLAIMED: list[socket.socket] = []
"""What says that this process's ports are taken."""
CEPH_PACKAGES = "apt install radosgw ceph-mon ceph-osd"
CEPH_SETTINGS = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
run dir = {folder}
crash dir = {folder}
keyring = {folder}/keyring
admin socket =
pid file =
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
"""


def program(name: str, package: str) -> str:
    """The path of a program; skips the test where there is none."""
    folders = [
        os.environ.get("EDGE_NUSA_S3_SERVERS", ""),
        str(Path(sys.executable).parent),
        *os.environ.get("PATH", "").split(os.pathsep),
    ]
    found = next((path for folder in folders if folder and (path := shutil.which(name, path=folder))), None)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed here: {package}")
    return found


def free_port() -> int:
    """A port of loopback for a server that is started later. It is below those that the system hands out by itself
    (from 32768), and no other test process takes it until this one ends: the name of a local socket says so."""
    for port in range(20_000, 30_000):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0edge-nusa-test-port-{port}")
            with socket.socket() as one:
                one.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            CLAIMED.append(claim)
            return port
    raise AssertionError("expected a free port from 20000 to 29999, found none")


@contextmanager
def running(
    words: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, which ends with the block."""
    with log.open("wb") as output:
        server = subprocess.Popen(words, env={**os.environ, **(environment or {})}, stdout=output, stderr=output)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def await_port(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, log.read_text()[-2000:]
        time.sleep(0.1)
    pytest.fail(f"no server on port {port} after a minute: {log.read_text()[-2000:]}")


@contextmanager
def serving(words: list[str], port: int, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of a server once it listens."""
    with running(words, log, environment) as server:
        await_port(server, port, log)
        yield port


@contextmanager
def moto(folder: Path) -> Iterator[int]:
    """moto's S3, which honours create-only writes."""
    port = free_port()
    with serving(
        [program("moto_server", "pip install 'moto[server]'"), "-H", "127.0.0.1", "-p", str(port)],
        port,
        folder / "moto.log",
    ):
        yield port


@contextmanager
def nanio(folder: Path) -> Iterator[int]:
    """An S3 server over a folder that ignores `If-None-Match`."""
    port = free_port()
    words = [
        program("nanio", "pip install nanio"),
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--data-dir",
        str(folder / "data"),
    ]
    environment = {"NANIO_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "NANIO_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    with serving(words, port, folder / "nanio.log", environment):
        yield port


@contextmanager
def registry(folder: Path) -> Iterator[int]:
    """Debian's docker-registry over a folder."""
    port = free_port()
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'registry'}\nhttp:\n  addr: "
        f"127.0.0.1:{port}\n"
    )
    with serving(
        [program("docker-registry", "apt install docker-registry"), "serve", str(folder / "registry.yml")],
        port,
        folder / "registry.log",
    ):
        yield port


@contextmanager
def radosgw(folder: Path) -> Iterator[int]:
    """Ceph's S3 gateway over a cluster of one monitor and one store in memory: a server that is used in production."""
    programs = {
        name: program(name, CEPH_PACKAGES)
        for name in ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
    }
    settings, fsid, osd = folder / "ceph.conf", str(uuid.uuid4()), str(uuid.uuid4())
    monitor, port = free_port(), free_port()
    settings.write_text(CEPH_SETTINGS.format(fsid=fsid, port=monitor, folder=folder))

    def call(name: str, *words: str) -> None:
        places = [] if name in ("ceph-authtool", "monmaptool") else ["-c", str(settings)]
        done = subprocess.run([programs[name], *words, *places], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{name} {' '.join(words)}: {done.stderr[-2000:]}"

    def started(name: str, *words: str) -> subprocess.Popen[bytes]:
        return servers.enter_context(
            running([programs[name], "-f", *words, "-c", str(settings)], folder / f"{name}.out")
        )

    keyring, monitors = str(folder / "keyring"), str(folder / "monmap")
    call("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    call(
        "ceph-authtool",
        keyring,
        "--gen-key",
        "-n",
        "client.admin",
        "--cap",
        "mon",
        "allow *",
        "--cap",
        "osd",
        "allow *",
    )
    call(
        "ceph-authtool",
        keyring,
        "--gen-key",
        "-n",
        "osd.0",
        "--cap",
        "mon",
        "allow profile osd",
        "--cap",
        "osd",
        "allow *",
    )
    call("monmaptool", "--create", "--addv", "a", f"v2:127.0.0.1:{monitor}", "--fsid", fsid, monitors)
    call("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keyring)
    (folder / "osd").mkdir()
    with ExitStack() as servers:
        await_port(started("ceph-mon", "-i", "a"), monitor, folder / "ceph-mon.out")
        call("ceph", "osd", "new", osd)
        call("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        started("ceph-osd", "-i", "0")
        front = started("radosgw", "-n", "client.admin", "--rgw_frontends", f"beast endpoint=127.0.0.1:{port}")
        await_port(front, port, folder / "radosgw.out")
        keys = ("--access-key", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"])
        call("radosgw-admin", "user", "create", "--uid", "fleet", "--display-name", "fleet", *keys)
        yield port


def use_s3(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's S3 is this server, with a bucket `fleet`."""
    import botocore.session

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    client = botocore.session.get_session().create_client(
        "s3", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}"
    )
    client.create_bucket(Bucket="fleet")
