"""Nothing leaves this machine but by `sync` and `hub` with a store elsewhere: system calls watched by strace, and no
network at all.

strace sees the sockets of every thread and library, also of those that are not Python's (onnxruntime, torch, obstore).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import answer_of, command, environment

from edge_nusa.device.demo.pictures import DemoPictures

pytestmark = pytest.mark.slow

NO_SWITCH = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME"}
S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "edge-nusa-test",
    "AWS_SECRET_ACCESS_KEY": "edge-nusa-test-secret",
    "AWS_REGION": "us-east-1",
}  # words for a loopback server, no secrets
OUTSIDE = [
    "learn --images TAUGHT --label gravel --steps 3",
    "predict ASKED",
    "predict ASKED --labels cat,dog",
    "watch ASKED --once --every 0.05",
    "labels",
    "forget gravel",
    "undo",
    "history",
    "report --out OTHER/report.html",
    "status",
    "doctor",
    "bench --steps 1 --quiet",
]
OVER_A_FOLDER = [
    "sync status",
    "sync push",
    "sync pull",
    "sync run",
    "hub merge --hub HUB",
    "hub status --hub HUB",
    "hub publish --hub HUB",
    "hub check STORE",
]


class Device:
    """A device in a fleet over a folder, taught three labels, and its hub; a copy for each test."""

    def __init__(self, folder: Path, pictures: DemoPictures) -> None:
        self.folder = folder
        self.places = {
            "TAUGHT": pictures.asked["gravel"],
            "ASKED": pictures.taught["gravel"],
            "OTHER": folder / "other",
            "HUB": folder / "hub",
            "STORE": folder / "store",
        }

    def words(self, line: str) -> list[str]:
        """The words of a command of OUTSIDE or OVER_A_FOLDER for this device."""
        found = [
            next(
                (str(place) + word.removeprefix(name) for name, place in self.places.items() if word.startswith(name)),
                word,
            )
            for word in line.split()
        ]
        has_state = "--state" in found or found[0] in ("hub", "bench")
        return command(*found, *([] if has_state else ["--state", str(self.folder / "state")]))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A home of its own, and no variable that would switch a library's telemetry off from outside."""
        kept = {name: value for name, value in environment().items() if name not in NO_SWITCH}
        return {**kept, "HOME": str(self.folder / "home"), **(extra or {})}


@pytest.fixture(scope="module")
def made(taught_once: Path, pictures: DemoPictures, tmp_path_factory: pytest.TempPathFactory) -> Device:
    folder = tmp_path_factory.mktemp("device")
    shutil.copytree(taught_once, folder / "state")
    (folder / "home").mkdir()
    (folder / "other").mkdir()
    answer_of("hub", "init", folder / "store", "--hub", folder / "hub")
    answer_of("sync", "init", folder / "store", "--root", folder / "hub" / "root.json", "--state", folder / "state")
    answer_of("hub", "enroll", folder / "state" / "sync" / "device.pub", "--hub", folder / "hub")
    answer_of("sync", "push", "--state", folder / "state")
    answer_of("hub", "merge", "--hub", folder / "hub")
    answer_of("hub", "publish", "--hub", folder / "hub")
    return Device(folder, pictures)


def traced(
    device: Device, words: list[str], calls: str, extra: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """The exit code of a command, what it said on stderr, and the lines of strace about these system calls that name
    the internet."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace (apt install strace)")
    trace = device.folder / "trace"
    watched = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={calls}", "-o", str(trace), *words]
    done = subprocess.run(watched, env=device.environment(extra), capture_output=True, text=True, timeout=300)
    if done.returncode != 0 and "ptrace" in done.stderr:
        pytest.skip("tracing is not allowed here")
    return (
        done.returncode,
        done.stderr,
        "\n".join(line for line in trace.read_text().splitlines() if "AF_INET" in line or "AF_PACKET" in line),
    )


@pytest.mark.parametrize("line", OUTSIDE)
def test_no_command_outside_sync_opens_a_socket_of_the_internet(made: Device, line: str) -> None:
    assert traced(made, made.words(line), "socket,connect,sendto,sendmsg,sendmmsg") == (0, "", "")


@pytest.mark.parametrize("line", OVER_A_FOLDER)
def test_no_command_over_a_folder_connects_or_sends_anywhere(made: Device, line: str) -> None:
    # python-tuf imports urllib3, which opens a socket to learn whether there is IPv6, and sends nothing by it
    assert traced(made, made.words(line), "connect,sendto,sendmsg,sendmmsg") == (0, "", "")


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def over_s3(device: Device) -> tuple[list[str], dict[str, str]]:
    """`sync push` of a copy of the device whose store is in S3 on a port of this machine at which nobody listens."""
    state = device.folder / "state-over-s3"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(device.folder / "state", state)
    settings = state / "sync" / "settings.json"
    settings.write_text(settings.read_text().replace(str(device.folder / "store"), "s3://fleet/one"))
    return command("sync", "push", "--state", state), {
        **S3_KEYS,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}",
    }


def test_the_watch_sees_the_one_command_that_does_so_it_would_see_the_others(made: Device) -> None:
    words, extra = over_s3(made)
    code, _, seen = traced(made, words, "socket,connect", extra)
    assert code == 6
    assert "socket(AF_INET" in seen and "connect(" in seen


def without_network(
    device: Device, words: list[str], extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a network namespace of its own, in which even loopback is down."""
    apart = ["unshare", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a network namespace (unshare --net)")
    return subprocess.run([*apart, *words], env=device.environment(extra), capture_output=True, text=True, timeout=300)


def test_a_device_lives_where_there_is_no_network_at_all(made: Device) -> None:
    for line in ("learn --images TAUGHT --label gravel --steps 3", "predict ASKED", "sync run", "undo"):
        done = without_network(made, made.words(line))
        assert done.returncode == 0, done.stderr
    words, extra = over_s3(made)
    refused = without_network(made, words, extra)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (6, 1)
