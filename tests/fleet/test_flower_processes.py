"""A fleet over a real SuperLink and real SuperNodes on loopback, with TLS and registered keys, as the recipe starts
them.

The tests follow one another: a round in which a node is killed and another lies, one in which the killed one is back,
and one that somebody else starts with a bundle of code.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from carried_fleet import opened, sums
from fleet_world import Member, new_hub, one_round
from liars import Liar, giving
from test_trust_machine import rows

from edge_nusa.flower import hub_settings

pytest.importorskip("flwr", reason="needs Flower: pip install 'edge-nusa[fleet]'")
from flower_world import FlowerWorld, facts_of  # noqa: E402

# Its waits are bounded one by one, by up to 500 s.
pytestmark = [pytest.mark.flower, pytest.mark.slow, pytest.mark.timeout(900)]
HONEST, KILLED, LIAR, STRANGER = ("a", "b", "c"), "c", "d", "x"
SAFE = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


class Fleet:
    """The hub, its members, and Flower's processes. seconds: that a turn may take, by how quick this machine is."""

    def __init__(self, folder: Path) -> None:
        self.hub = new_hub(folder)
        self.members = {name: Member(folder, self.hub, name) for name in (*HONEST, LIAR, STRANGER)}
        self.flower = FlowerWorld(folder, self.hub)
        for seed, name in enumerate(HONEST):
            self.members[name].teach(lesson(seed), seed, core_size=0.001)
        self.before = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-before")))
        lie(self.hub, self.members[LIAR])
        self.flower.start_superlink()
        began = time.monotonic()
        for name in (*HONEST, LIAR):
            self._let_in(name)
            self.flower.start_node(self.members[name])
        self.flower.wait_for_nodes(*HONEST, LIAR)
        self.wait_in_turns(min(max(1.5 * (time.monotonic() - began), 12), 200))

    def _let_in(self, name: str) -> None:
        """The first by the commands that people type, the others by what these do."""
        if name == HONEST[0]:
            self.made = json.loads(self.flower.done(*self.flower.words_of(self.members[name]), "--format", "json"))
            self.flower.script("register.sh", self.made["public_key"], name)
        else:
            self.flower.prepare(self.members[name])
            self.flower.register(self.members[name], self.members[name].key[:16])

    def wait_in_turns(self, seconds: float) -> None:
        path = self.flower.flower / "round.json"
        path.write_bytes(replace(hub_settings.read(path), seconds=int(seconds)).encoded())

    @property
    def last(self) -> Any:
        return json.loads((self.flower.flower / "last.json").read_text())

    def left_out(self) -> dict[str, str]:
        names = {member.key: name for name, member in self.members.items()}
        return {names.get(one["device"], "?"): one["left_out"] for one in self.last["nodes"] if one["left_out"]}


def lesson(seed: int) -> dict[str, Any]:
    return {f"label {seed}": rows(seed, 6), "all": rows(100 + seed, 4)}


def lie(hub: Any, member: Member) -> None:
    """An update that its device signed and that cannot be: pictures whose scatter is less than nothing."""
    from edge_nusa.device.fleet.membership import Fleet as Part

    change = giving(hub, {"lie": rows(9, 4)})
    Part(member.model).keep_sent(*Liar(hub, member).encoded(replace(change, gram=-change.gram)))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        found = object.__new__(Fleet)
        try:
            found.__init__(Path(folder))  # type: ignore[misc]
            yield found
        finally:
            if hasattr(found, "flower"):
                found.flower.close()
            shutil.rmtree(Path(folder).with_name(f"{Path(folder).name}-before"), ignore_errors=True)


def test_all_that_runs_is_started_with_safe_defaults(fleet: Fleet) -> None:
    home = str(fleet.flower.flower)
    places = {"superlink": home, "a": str(fleet.members["a"].part / "flower")}
    every = {name: [facts_of(pid) for pid in fleet.flower.pids(name)] for name in places}
    found = {name: [one for one in facts if one[0]] for name, facts in every.items()}
    for name, place in places.items():
        assert any("flower-superexec" in " ".join(words) for words, _ in found[name])
        for words, variables in found[name]:
            assert "--allow-runtime-dependency-installation" not in words
            assert SAFE.items() <= variables.items() and variables["FLWR_HOME"] == place
            assert variables["PATH"].startswith(f"{place}/bin:")
    link, node = one_of(found["superlink"], "flower-superlink"), one_of(found["a"], "flower-supernode")
    assert {"--enable-supernode-auth", "--disable-runtime-dependency-installation", "--database"} <= set(link)
    assert {"--ssl-certfile", "--ssl-keyfile", "--ssl-ca-certfile"} <= set(link)
    assert {"--root-certificates", "--auth-supernode-private-key"} <= set(node)
    assert "--insecure" not in {*link, *node} and node[-4:-1] == ["--host", "127.0.0.1", "--port"]
    assert fleet.made["is_new"] is True and fleet.made["command"][1:-1] == node[2:-1]
    for secret in (fleet.members["a"].part / "flower" / "node.key", fleet.flower.flower / "superlink.key"):
        assert secret.stat().st_mode & 0o077 == 0


def one_of(found: list[tuple[list[str], dict[str, str]]], program: str) -> list[str]:
    return next(words for words, _ in found if program in " ".join(words[:2]))


def test_a_node_killed_in_a_round_and_one_that_lies_hold_up_nobody(fleet: Fleet) -> None:
    flower, seen = fleet.flower, set[str]()

    def is_asked() -> bool:
        seen.update(" ".join(facts_of(pid)[0]) for pid in flower.pids("a"))
        return "Receiving" in flower.log(KILLED)

    def is_done() -> bool:
        is_asked()
        return flower.processes["round"].poll() is not None

    flower.start("round", "sh", flower.flower / "round.sh")
    flower.wait(is_asked, "round")
    flower.kill(KILLED)
    flower.wait(is_done, "round", 500)
    assert flower.processes["round"].returncode == 0, flower.log("round")
    assert set(fleet.left_out()) == {KILLED}, fleet.left_out()
    assert [fleet.members[name].labels for name in "ab"] == [{"label 0": 6, "label 1": 6, "all": 8}] * 2
    refused = {row["device"]: row["refused"] for row in fleet.last["merged"]["devices"] if row["refused"]}
    assert list(refused) == [fleet.members[LIAR].key] and "refused: update 1" in flower.log("round")
    assert any("edge_nusa.flower.guard flwr-clientapp" in words for words in seen)


def test_three_nodes_teach_and_one_round_tells_all_of_them_also_the_one_that_was_killed(fleet: Fleet) -> None:
    fleet.flower.start_again(fleet.members[KILLED])
    for seed, name in ((3, "a"), (4, "b")):
        fleet.members[name].teach(lesson(seed), seed, core_size=0)
    fleet.wait_in_turns(200)
    fleet.flower.script("round.sh")
    assert fleet.left_out() == {}
    wanted = {f"label {seed}": 6 for seed in range(5)} | {"all": 20}
    assert [fleet.members[name].labels for name in HONEST] == [wanted] * 3


def test_the_rounds_have_the_bits_that_a_folder_gives_for_the_same_lessons(fleet: Fleet, tmp_path: Path) -> None:
    hub, members = opened(fleet.before, "".join(HONEST))
    one_round(hub, members[:2])
    for seed in (3, 4):
        members[seed - 3].teach(lesson(seed), seed, core_size=0)
    one_round(hub, members)
    for member, name in zip(members, HONEST, strict=True):
        assert sums(member.knows) == sums(fleet.members[name].knows)
    assert sums(hub.current()[0].knowledge) == sums(fleet.hub.current()[0].knowledge)


def test_a_node_with_a_key_that_nobody_registered_is_refused_by_the_superlink(fleet: Fleet) -> None:
    flower = fleet.flower
    flower.prepare(fleet.members[STRANGER])
    flower.start_node(fleet.members[STRANGER])
    flower.wait(lambda: flower.processes[STRANGER].poll() is not None, STRANGER)
    assert flower.processes[STRANGER].returncode != 0
    assert "SuperNode ID" not in flower.log(STRANGER) and "Failed to activate SuperNode" in flower.log(STRANGER)
    assert "No SuperNode found with the given public key" in flower.log("superlink")
    assert fleet.members[STRANGER].knows.names == []


EVIL = """import sys
with open({place!r}, "a") as file:
    file.write(sys.argv[0] + "\\n")
app = None
"""


def script_of(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def test_code_in_a_bundle_runs_on_neither_side_whoever_starts_a_run(fleet: Fleet, tmp_path: Path) -> None:
    """Whoever reaches the SuperLink may start a run with a bundle of its own."""
    evil, marks = tmp_path / "evil", tmp_path / "marks"
    shutil.copytree(fleet.flower.flower / "app", evil)
    marks.mkdir()
    for name in ("wicked", "edge_nusa/__init__", "edge_nusa/flower/server_app", "numpy", "sitecustomize"):
        path = evil / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EVIL.format(place=str(marks / name.replace("/", "."))))
    text = (evil / "pyproject.toml").read_text().replace("edge_nusa.flower.client_app:app", "wicked:app")
    (evil / "pyproject.toml").write_text(text.replace('"edge-nusa-round"', '"evil"'))
    (fleet.flower.flower / "last.json").unlink(missing_ok=True)
    script = (fleet.flower.flower / "round.sh").read_text().replace(f"{fleet.flower.flower}/app", str(evil))
    (tmp_path / "evil.sh").write_text(script)
    fleet.flower.done("sh", tmp_path / "evil.sh")
    failed = [one["left_out"] for one in fleet.last["nodes"]]
    assert len(failed) == 4 and all("its process of Flower's failed" in why for why in failed), failed
    # `flwr run` itself looks for the attribute, on the machine of whoever types it, and imports the package for that
    assert {line for path in marks.iterdir() for line in path.read_text().split()} <= {script_of("flwr")}
    assert "No module named 'wicked'" in fleet.flower.log("a")
