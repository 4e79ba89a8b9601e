"""A real SuperLink and real SuperNodes on loopback, by the commands that `edge-nusa hub flower` and `edge-nusa sync
flower` write and run. Everything that is started is ended by its number, and every wait has a bound."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from unittest import mock

from conftest import command, environment
from fleet_world import Member
from store_servers import free_port

from edge_nusa.flower import addresses, supernode
from edge_nusa.flower.guard import SAFE
from edge_nusa.sync.hub.hub import Hub

LONGEST_SECONDS = 240.0
MARK = "EDGE_NUSA_TEST_FLOWER"
FAST = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}
"""Flower looks for a task once a second by itself."""


class FlowerWorld:
    """A hub with its SuperLink, and nodes by their names. folder: where everything is; logs are NAME.log in it."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder, self.hub, self.port = folder, hub, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.flower = folder / "flower"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        words = ("hub", "flower", self.flower, "--superlink", self.address, "--hub", hub.folder)
        self.said = self.done(*command(*words, "--format", "human"))
        self.script("certificate.sh")

    def done(self, *words: str | Path) -> str:
        """What a command prints, run to its end."""
        found = subprocess.run(
            list(map(str, words)), env=environment(FAST), capture_output=True, text=True, timeout=LONGEST_SECONDS
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def script(self, name: str, *words: str | Path) -> str:
        """One of the recipe's scripts, run to its end."""
        return self.done("sh", self.flower / name, *words)

    def start(self, name: str, *words: str | Path, extra: Mapping[str, str] | None = None) -> None:
        """A process that is known, with all that it starts, by a mark in its environment."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                list(map(str, words)),
                env=environment({**FAST, **(extra or {}), MARK: f"{self.folder}:{name}"}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_superlink(self) -> None:
        self.start("superlink", "sh", self.flower / "superlink.sh")
        self.wait(self._listens, "superlink")

    def _listens(self) -> bool:
        with socket.socket() as asked:
            asked.settimeout(1)
            return asked.connect_ex(("127.0.0.1", self.port)) == 0

    def words_of(self, member: Member) -> list[str]:
        """`edge-nusa sync flower` of a member."""
        certificates = ("--certificates", self.flower / "superlink.pem", "--port", str(free_port()))
        return command("sync", "flower", self.address, *certificates, "--state", member.model.state.folder)

    def prepare(self, member: Member) -> supernode.Started:
        """What `edge-nusa sync flower` of a member starts, and its key where it has none."""
        where = addresses.parsed(self.address), self.flower / "superlink.pem", free_port()
        return supernode.prepare(member.model, *where)

    def start_node(self, member: Member) -> None:
        """What that command starts, without starting it anew for each."""
        found = self.prepare(member)
        self.start(member.name, *found.command, extra=found.environment)

    def start_again(self, member: Member) -> None:
        """A killed node, which the SuperLink takes back as soon as it has missed it: until then it is refused (305)."""
        name, before = member.name, self.log(member.name).count("SuperNode ID")
        for refusals in range(self.log(name).count("Exit Code: 305"), 24):
            self.start_node(member)
            self.wait(
                lambda seen=refusals: (  # type: ignore[misc]
                    self.log(name).count("SuperNode ID") > before or self.log(name).count("Exit Code: 305") > seen
                ),
                name,
            )
            if self.log(name).count("SuperNode ID") > before:
                return
            self.kill(name)
            time.sleep(5)
        raise AssertionError(self.log(name)[-3000:])

    def register(self, member: Member, name: str) -> None:
        """As register.sh does, in this process."""
        from flwr.cli.app import app
        from typer.main import get_command

        public = member.part / "flower" / "node.pub"
        with mock.patch.dict(os.environ, {"FLWR_HOME": str(self.flower), **SAFE}):
            get_command(app).main(["supernode", "register", str(public), "hub", "--name", name], standalone_mode=False)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, is_done: Callable[[], bool], name: str, seconds: float = LONGEST_SECONDS) -> None:
        """Until it is so; what a process of that name said where it never is."""
        end = time.monotonic() + seconds
        while not is_done():
            assert time.monotonic() < end, self.log(name)[-3000:]
            time.sleep(0.1)

    def wait_for_nodes(self, *names: str) -> None:
        for name in names:
            self.wait(lambda name=name: "SuperNode ID" in self.log(name), name)  # type: ignore[misc]

    def pids(self, name: str) -> list[int]:
        """Every process of what was started under a name."""
        mark = f"{MARK}={self.folder}:{name}".encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in _variables(pid)]

    def kill(self, name: str) -> None:
        """At once, with all that it started."""
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.processes.pop(name).wait(30)

    def close(self) -> None:
        """End everything, nodes first."""
        for name in reversed(list(self.processes)):
            self.kill(name)


def _variables(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def facts_of(pid: int) -> tuple[list[str], dict[str, str]]:
    """Words and environment of a process, as the kernel has them; nothing of one that has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return [], {}
    return words, dict(pair.partition("=")[::2] for pair in pairs)


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
