"""The figures of docs/fleet.md, "Flower": what a round costs the hub over Flower's messages and over a folder, and what
Flower's own processes hold in memory.

Run with PYTHONPATH=.:tests:tests/state, in an environment with Flower.

python tests/fleet/measure_flower.py rounds 3 20 1000   the hub's side: bytes, processor time and peak memory
python tests/fleet/measure_flower.py processes 3        a real SuperLink and so many real SuperNodes: idle, in a round
                                                        that each has taught something for, in one without news

Nodes of `rounds` are in this process: each gives the signed and sealed update of eight pictures that
`measure_fleet.py hub` puts into a folder, over the real ServerApp's code and Flower's own messages and grid in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MIB = 2**20


def rounds(counts: list[str]) -> None:
    print("nodes | by | push turn, merge, publish, pull turn (s of processor) | peak MiB | bytes to a node, from it")
    for count in counts:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            script = (
                f"import sys; sys.path[:0] = {sys.path!r}; import measure_flower; "
                f"measure_flower.{{}}({folder!r}, {int(count)})"
            )
            for step in ("fill", "by_folder", "by_flower"):
                subprocess.run([sys.executable, "-c", script.format(step)], check=True)


def fill(folder: str, count: int) -> None:
    """Two hubs that are one: an update of each device lies in a folder beside the one's store, and in the other's."""
    import shutil

    from measure_fleet import filled

    filled(Path(folder), count)
    shutil.copytree(Path(folder) / "store", Path(folder) / "sent")
    shutil.copytree(Path(folder) / "hub", Path(folder) / "hub of the folder")


def by_folder(folder: str, count: int) -> None:
    from fleet_world import bundle

    from edge_nusa.memory import peak_bytes
    from edge_nusa.sync.hub.hub import Hub
    from edge_nusa.sync.hub.merge import MergeSettings

    opened = Hub(Path(folder) / "hub of the folder", bundle())
    began = time.process_time()
    opened.merge(MergeSettings())
    merged = time.process_time()
    opened.publish()
    done = time.process_time()
    print(
        f"{count} | folder | -, {merged - began:.1f}, {done - merged:.2f}, - | {peak_bytes() / MIB:.0f} | -", flush=True
    )


def by_flower(folder: str, count: int) -> None:
    """The same updates come by messages; the store has none of them yet."""
    import shutil

    from fleet_world import bundle

    from edge_nusa.flower.grid import GridNodes
    from edge_nusa.flower.turns import RoundOfTurns
    from edge_nusa.memory import peak_bytes
    from edge_nusa.sync.hub.hub import Hub
    from edge_nusa.sync.hub.merge import MergeSettings

    shutil.rmtree(Path(folder) / "store")
    shutil.copytree(Path(folder) / "sent" / "metadata", Path(folder) / "store" / "metadata")
    grid = ManyNodes(Path(folder) / "sent", time.process_time)
    opened = Hub(Path(folder) / "hub", bundle())
    began = time.process_time()
    done = RoundOfTurns(opened, GridNodes(grid, 3600.0), MergeSettings()).run()
    ended = time.process_time()
    assert sum(len(one.updates) for one in done.nodes) == count and not any(one.left_out for one in done.nodes)
    spans = (grid.last_push - began, grid.first_pull - grid.last_push, ended - grid.first_pull)
    print(
        f"{count} | Flower | {spans[0]:.1f}, {spans[1]:.1f} with publish, {spans[2]:.1f}; the nodes' own of it "
        f"{grid.nodes_seconds:.1f} | {peak_bytes() / MIB:.0f} | {grid.to_node // count}, {grid.from_node // count}",
        flush=True,
    )


def _grid_class() -> Any:
    from flwr.app import ConfigRecord, Message, RecordDict
    from flwr.serverapp import Grid
    from flwr.supercore.task_identity import TaskIdentity

    class InMemory(Grid):  # type: ignore[misc]  # flwr is not where mypy runs
        """A grid whose nodes answer at once: in a push with what lies in a folder, in a pull that they took it."""

        def __init__(self, sent: Path, clock: Any) -> None:
            from edge_nusa.sync.stores.folder import FolderStore

            self.store, self.clock = FolderStore(sent), clock
            self.devices = sorted(path.name for path in (sent / "updates").iterdir())
            self.answers: dict[str, Message] = {}
            self.to_node = self.from_node = 0
            self.nodes_seconds, self.last_push, self.first_pull = 0.0, 0.0, 0.0
            TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = (
                1  # as the process of a ServerApp has them
            )

        def set_run(self, run: Any) -> None:
            raise NotImplementedError

        @property
        def run(self) -> Any:
            raise NotImplementedError

        def create_message(self, *arguments: Any, **fields: Any) -> Message:
            raise NotImplementedError

        def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
            raise NotImplementedError

        def get_node_ids(self) -> Iterable[int]:
            return range(1, len(self.devices) + 1)

        def get_nodes(self) -> Any:
            from flwr.proto.node_pb2 import NodeInfo

            return [NodeInfo(node_id=place + 1, name=name[:16]) for place, name in enumerate(self.devices)]

        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            ids = []
            for message in messages:
                began = self.clock()
                if b'"turn":"pull"' in message.content["question"]["bytes"].partition(b"\n")[0]:
                    self.first_pull = self.first_pull or began
                wire = message.content["question"].deflate()
                self.to_node += len(wire)
                message.metadata.__dict__["_message_id"] = str(time.monotonic_ns())
                self.answers[message.metadata.message_id] = message
                ids.append(message.metadata.message_id)
                self.nodes_seconds += self.clock() - began
            common = message.content["common"].deflate()
            self.to_node += len(common) * len(ids)
            return ids

        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            for one in message_ids:
                began = self.clock()
                message = self.answers.pop(one)
                answer = self.answer(message)
                content = ConfigRecord.inflate(ConfigRecord({"bytes": answer}).deflate())
                self.from_node += len(answer)
                reply = Message(RecordDict({"answer": content}), reply_to=message)
                self.nodes_seconds += self.clock() - began
                yield reply

        def answer(self, message: Message) -> bytes:
            from edge_nusa.flower.freight import Freight
            from edge_nusa.flower.messages import Answer, Question

            question = Question.decode(message.content["question"]["bytes"], "here")
            device = self.devices[message.metadata.dst_node_id - 1]
            empty = Answer(fleet=question.fleet, device=device)
            if question.turn == "pull":
                return empty.encode()
            self.last_push = self.clock()
            puts = {key: self.store.get(key, 1 << 26) for key in self.store.list(f"updates/{device}")}
            return Answer(fleet=question.fleet, device=device, update=1, pictures=8, puts=Freight(wholes=puts)).encode()

    return InMemory


def ManyNodes(sent: Path, clock: Any) -> Any:  # noqa: N802  # made where Flower is imported
    return _grid_class()(sent, clock)


def processes(count: int) -> None:
    from fleet_world import Member, new_hub
    from flower_world import FlowerWorld
    from test_trust_machine import rows

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        hub = new_hub(Path(folder))
        members = [Member(Path(folder), hub, "abcdefghij"[place]) for place in range(count)]
        world = FlowerWorld(Path(folder), hub)
        try:
            world.start_superlink()
            for seed, member in enumerate(members):
                member.teach({"label": rows(seed, 8)}, seed, core_size=0.001)
                world.prepare(member)
                world.register(member, member.name)
                world.start_node(member)
            names = ["superlink", *(member.name for member in members)]
            world.wait_for_nodes(*names[1:])
            time.sleep(10)
            for name in names:
                print(f"idle, {name}: " + told(held(world, name)))
            for what in ("each taught something", "nobody has anything new"):
                watched_round(world, names, what)
        finally:
            world.close()


def held(world: Any, name: str) -> dict[str, int]:
    """Resident bytes of the programs that were started under a name, of several of a kind the largest."""
    from flower_world import facts_of, resident_bytes

    found = dict[str, int]()
    for pid in world.pids(name):
        try:
            words = " ".join(facts_of(pid)[0])
            program = next((one for one in PROGRAMS if one in words), words[:30])
            found[program] = max(found.get(program, 0), resident_bytes(pid))
        except OSError:  # it has just ended
            continue
    return found


def watched_round(world: Any, names: list[str], what: str) -> None:
    """One round, and the most that each program held in it."""
    most: dict[str, dict[str, int]] = {name: {} for name in names}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for name, top in most.items():
                for program, size in held(world, name).items():
                    top[program] = max(top.get(program, 0), size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        world.script("round.sh")
    finally:
        took = time.monotonic() - began
        ended.set()
        watcher.join(60)
    for name, top in most.items():
        print(f"in a round ({what}), {name}: " + told(top))
    print(f"one round of {len(names) - 1} nodes ({what}): {took:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)


PROGRAMS = ("flower-superlink", "flower-supernode", "flower-superexec", "flwr-serverapp", "flwr-clientapp")


def told(found: dict[str, int]) -> str:
    sizes = ", ".join(f"{program} {size / MIB:.0f}" for program, size in sorted(found.items()))
    return f"{sizes}; together {sum(found.values()) / MIB:.0f} MiB"


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    processes(int(words[0])) if what == "processes" else rounds(words)
