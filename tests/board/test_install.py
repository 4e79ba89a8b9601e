"""What installs edge-nusa on a board: install.sh for real in a new home, its units, and the lock files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import tomllib
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import units
from brokers import Mosquitto
from conftest import MICRO, ROOT
from fake_camera import HEIGHT, WIDTH, write_y4m
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from store_servers import free_port

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import RefusedError, StoreError
from edge_nusa.model.bundle import Bundle

INSTALL = ROOT / "device" / "install"
SCRIPT = INSTALL / "install.sh"
UNITS = sorted(path.name for path in INSTALL.glob("*.service")) + sorted(path.name for path in INSTALL.glob("*.timer"))


class Home:
    """A user's home; the packages that edge-nusa needs are those of this environment, so that nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.root = folder / ".local/share/edge-nusa"
        self.units = folder / ".config/systemd/user"
        self.settings = folder / ".config/edge-nusa/config.toml"
        self.command = folder / ".local/bin/edge-nusa"
        self.report = folder.with_suffix(".report")
        """What pip last installed."""

    def share(self, other: Home) -> Home:
        """This home has the environment of another one already, as far as the same is asked for."""
        self.root.mkdir(parents=True)
        for path in other.root.glob("venv-*"):
            (self.root / path.name).symlink_to(path)
        return self

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PIP_NO_DEPS": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_REPORT": str(self.report),
        }
        return subprocess.run(["bash", SCRIPT, *map(str, words)], env=kept, capture_output=True, text=True, timeout=900)

    def install(self, wheel: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        done = self.run("--predict-only", "--no-lock", "--wheel", wheel, "--python", sys.executable, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def set(self) -> dict[str, Any]:
        """What stands in the settings file."""
        return tomllib.loads(self.settings.read_text())

    def edge_nusa(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs the installed command as its user does."""
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": sysconfig.get_path("purelib")}
        return subprocess.run(
            [self.command, *map(str, words)], env=variables, capture_output=True, text=True, timeout=300
        )

    def answer(self, *words: str | Path) -> dict[str, Any]:
        """The one object that the installed command prints."""
        done = self.edge_nusa(*words)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def unit(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The command of a unit, and the environment that systemd gives it, which has nothing of a login."""
        text = (self.units / f"edge-nusa-{name}.service").read_text()
        [line] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": sysconfig.get_path("purelib")}
        variables |= dict(pair.split("=", 1) for pair in re.findall(r"^Environment=(.+)$", text, re.MULTILINE))
        [secrets] = re.findall(r"^EnvironmentFile=-%E/(.+)$", text, re.MULTILINE)
        file = self.folder / ".config" / secrets
        if file.exists():
            variables |= dict(line.split("=", 1) for line in file.read_text().splitlines())
        return line.replace("%h", str(self.folder)).split(), variables

    def run_unit(self, name: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs a unit's own command to its end, with its UMask."""
        words, variables = self.unit(name)
        [mask] = re.findall(r"^UMask=(.+)$", (self.units / f"edge-nusa-{name}.service").read_text(), re.MULTILINE)
        return subprocess.run(
            [*words, *more], env=variables, capture_output=True, text=True, timeout=300, cwd="/", umask=int(mask, 8)
        )

    def writable(self, name: str) -> list[str]:
        """The folders that a unit may write."""
        text = (self.units / f"edge-nusa-{name}.service").read_text()
        return re.findall(r"^ReadWritePaths=(.+)$", text, re.MULTILINE)[0].split()

    def extras(self) -> list[str]:
        """The extras that edge-nusa was last installed with."""
        return list(json.loads(self.report.read_text())["install"][0].get("requested_extras", []))

    def files(self) -> dict[str, str]:
        """Everything but the inside of the environment: names, and contents or where a link goes."""
        found = [p for p in self.folder.rglob("*") if not re.search(r"venv-\w+/", str(p))]
        return {str(p): os.readlink(p) if p.is_symlink() else p.read_text() if p.is_file() else "" for p in found}


@pytest.fixture(scope="module")
def shared(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which the environment was made; others share it."""
    home = Home(tmp_path_factory.mktemp("first") / "home")
    home.install(wheel)
    return home


EVERYWHERE = ["page", "camera", "mqtt", "metrics", "heic"]
"""The extras of every board."""


@pytest.mark.slow
def test_installing_twice_is_installing_once_and_uninstalling_leaves_what_was_learned(
    wheel: Path, tmp_path: Path
) -> None:
    home, camera, unsure = Home(tmp_path / "home"), tmp_path / "camera", tmp_path / "unsure"
    camera.mkdir()
    unsure.mkdir()
    words = ("--watch", camera, "--mqtt", "mqtt://broker", "--teach", "--sync", "--hub", "--writable", unsure)
    home.install(wheel, *words, "--set", "watch.labels=cat,dog", "--set", "sync.run.between=00:00-06:00")
    first = home.files()
    assert sorted(home.extras()) == sorted([*EVERYWHERE, "sync"])
    assert "the environment is there already" in home.install(wheel).stdout
    assert home.files() == first
    answers = f"{home.root}/answers/answers.jsonl"
    assert home.set() == {
        "watch": {"source": str(camera), "labels": "cat,dog", "out": answers},
        "mqtt": {"broker": "mqtt://broker", "file": answers},
        "teach": {"lan": False},
        "sync": {"run": {"between": "00:00-06:00"}},
        "services": {"run": ["watch", "teach", "mqtt", "sync", "hub"], "writable": [str(unsure)]},
    }
    assert home.settings.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in home.units.iterdir()) == sorted(UNITS)
    state = f"{home.root}/state"
    assert home.writable("watch") == [state, str(unsure), f"{home.root}/answers"]
    assert home.writable("sync") == home.writable("teach") == [state, str(unsure)]
    assert home.writable("hub") == [f"{home.root}/hub", str(unsure)]
    assert "ReadWritePaths" not in (home.units / "edge-nusa-mqtt.service").read_text()
    assert "usage" in home.edge_nusa("--help").stdout.lower()
    (home.root / "state" / "learned").write_text("kept")
    assert home.run("--uninstall").returncode == 0
    assert sorted(p.name for p in home.root.iterdir()) == ["answers", "hub", "state"]
    assert not home.command.is_symlink()
    assert list(home.units.iterdir()) == []
    assert home.settings.is_file()
    assert home.run("--uninstall", "--purge").returncode == 0
    assert not home.root.exists()
    assert not home.settings.exists()
    assert home.run("--uninstall").returncode == 0


@pytest.mark.slow
def test_a_failed_upgrade_leaves_the_old_environment_and_a_changed_option_only_its_line(
    wheel: Path, tmp_path: Path
) -> None:
    home, camera = Home(tmp_path / "home"), tmp_path / "camera"
    camera.mkdir()
    home.install(wheel, "--watch", camera)
    home.settings.write_text(f"# mine\nthreads = 2\n{home.settings.read_text()}")
    assert sorted(home.extras()) == sorted(EVERYWHERE)
    before = os.readlink(home.root / "venv")
    broken = tmp_path / "edge_nusa-9.9.9-py3-none-any.whl"
    broken.write_bytes(b"no wheel")
    failed = home.run("--predict-only", "--no-lock", "--wheel", broken, "--python", sys.executable)
    assert failed.returncode != 0
    assert os.readlink(home.root / "venv") == before
    assert [p.name for p in home.root.glob("venv-*")] == [Path(before).name]
    kept = home.settings.read_text()
    home.install(wheel, "--set", "watch.top=1")
    assert home.settings.read_text() == kept.replace(f'source = "{camera}"\n', f'source = "{camera}"\ntop = 1\n')
    again = home.run(
        "--predict-only", "--no-lock", "--wheel", wheel, "--python", sys.executable, "--set", "watch.topp=1"
    )
    assert again.returncode == 2 and "expected watch.top" in again.stderr
    home.install(wheel, "--stop", "watch")
    assert list(home.units.iterdir()) == [] and not home.set()["services"]


@pytest.mark.slow
def test_what_a_user_teaches_is_what_the_services_answer_with_and_another_bundle_stands_beside(
    wheel: Path, shared: Home, tmp_path: Path, pictures: DemoPictures
) -> None:
    home, camera = Home(tmp_path / "home").share(shared), tmp_path / "my camera 100%"
    camera.mkdir()
    one, two, *_ = sorted(pictures.asked["gravel"].iterdir())
    shutil.copy(one, camera / "one.png")
    home.install(wheel, "--watch", camera, "--set", f"watch.keep={tmp_path / 'my unsure'}")
    lesson = ("learn", "--head-only", "--images", pictures.taught["gravel"], "--label", "gravel")
    lite = home.answer(*lesson)
    assert Path(lite["state_path"]) == home.root / "state" and "lite" in lite["bundle_path"]
    watched = home.run_unit("watch", "--once")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout)["best"] == home.answer("predict", camera / "one.png")["best"] == "gravel"

    home.install(wheel, "--bundle", MICRO)
    [bundle] = home.root.glob("bundle-*")
    micro = home.answer(*lesson)
    assert (micro["bundle_path"], micro["generation"]) == (str(bundle), 1)
    assert re.fullmatch(rf"{home.root}/state-[0-9a-f]{{12}}", micro["state_path"])
    shutil.copy(two, camera / "two.png")
    watched = home.run_unit("watch", "--once")
    assert watched.returncode == 0, watched.stderr
    answers = {Path(one["image"]).name: one for one in map(json.loads, watched.stdout.splitlines())}
    asked = home.answer("predict", camera / "two.png")
    assert answers["two.png"]["labels"][0] == asked["labels"][0]
    text = (home.units / "edge-nusa-watch.service").read_text()
    assert f'ReadWritePaths={micro["state_path"]} "{tmp_path}/my unsure"\n' in text
    home.answer("config", "--unset", "bundle")
    assert home.answer("labels")["state_path"] == lite["state_path"]


@pytest.mark.slow
def test_what_settings_still_name_after_an_uninstall_is_there_for_the_next_install(
    wheel: Path, shared: Home, tmp_path: Path, pictures: DemoPictures
) -> None:
    home, camera = Home(tmp_path / "home").share(shared), tmp_path / "camera"
    camera.mkdir()
    home.install(wheel, "--bundle", MICRO, "--sync", "--set", "watch.label=a", "--set", "watch.label=b, c")
    assert home.set()["watch"] == {"label": ["a", "b, c"]}
    home.answer("learn", "--head-only", "--images", pictures.taught["gravel"], "--label", "gravel")
    [bundle] = home.root.glob("bundle-*")
    home.report.unlink()
    assert f"the bundle that the settings name stays: {bundle}" in home.run("--uninstall").stdout
    home.install(wheel)
    assert "sync" in home.extras()
    assert [one["label"] for one in home.answer("labels")["labels"]] == ["gravel"]
    home.install(wheel, "--watch", camera, "--set", "watch.delete=true", "--set", "watch.ledger=/l")
    home.install(wheel, "--camera", "/dev/video0", "--set", "watch.login=/secret")
    assert home.set()["watch"] == {"label": ["a", "b, c"], "source": "/dev/video0", "login": "/secret"}
    home.install(wheel, "--watch", camera, "--stop", "sync")
    assert home.set()["watch"] == {"label": ["a", "b, c"], "source": str(camera)}
    assert "sync" not in home.extras()
    home.install(wheel, "--set", "services.run=sync")
    assert "sync" in home.extras()
    home.run("--uninstall", "--purge")
    assert not home.root.exists()


@pytest.mark.slow
def test_the_page_is_a_service_whose_token_stays_and_whose_state_is_the_users(
    wheel: Path, shared: Home, tmp_path: Path
) -> None:
    home, port = Home(tmp_path / "home").share(shared), free_port()
    secrets = home.folder / ".config/edge-nusa/environment"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("EDGE_NUSA_MQTT_PASSWORD=x")
    secrets.chmod(0o600)
    done = home.install(wheel, "--bundle", MICRO, "--teach", "--lan", "--set", f"teach.port={port}")
    assert f"the page is at http://127.0.0.1:{port}/" in done.stdout
    kept = secrets.read_text()
    assert (
        re.fullmatch(r"EDGE_NUSA_MQTT_PASSWORD=x\nEDGE_NUSA_TOKEN=[0-9a-f]{32}\n", kept)
        and secrets.stat().st_mode & 0o777 == 0o600
    )
    home.install(wheel, "--teach", "--lan")
    assert secrets.read_text() == kept
    words, variables = home.unit("teach")
    with subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as served:
        try:
            health = f"http://127.0.0.1:{port}/api/health"
            asked = Request(health, headers={"Authorization": f"Bearer {kept.strip().split('=')[-1]}"})
            found: dict[str, Any] = {}
            for _ in range(150):
                try:
                    with urlopen(asked, timeout=10) as answer:
                        found = json.loads(answer.read())
                    break
                except OSError:
                    assert served.poll() is None, served.stdout and served.stdout.read()
                    time.sleep(0.2)
            assert found["status"] == "ok" and found["state"] == home.answer("labels")["state_path"]
        finally:
            served.terminate()
        assert served.wait(30) == 143


@pytest.mark.slow
def test_a_broker_is_told_what_the_watch_service_answers(
    wheel: Path, shared: Home, tmp_path: Path, pictures: DemoPictures
) -> None:
    broker = Mosquitto(tmp_path / "broker").start()
    try:
        home, camera = Home(tmp_path / "home").share(shared), tmp_path / "camera"
        camera.mkdir()
        shutil.copy(sorted(pictures.asked["gravel"].iterdir())[0], camera / "one.png")
        home.install(wheel, "--bundle", MICRO, "--watch", camera, "--mqtt", broker.url)
        home.answer("learn", "--head-only", "--images", pictures.taught["gravel"], "--label", "gravel")
        for name in ("watch", "mqtt"):
            done = home.run_unit(name, "--once")
            assert done.returncode == 0, (name, done.stderr)
        said = broker.log()
        assert "homeassistant/device/" in said
    finally:
        broker.kill()


@pytest.mark.slow
def test_the_sync_service_exchanges_with_the_fleet_that_the_user_joined(
    wheel: Path, shared: Home, tmp_path: Path
) -> None:
    pytest.importorskip("tuf", reason="needs the extra sync")
    home, hub, store = Home(tmp_path / "home").share(shared), tmp_path / "hub", tmp_path / "store"
    home.install(wheel, "--bundle", MICRO, "--sync", "--writable", tmp_path)
    home.answer("hub", "init", store, "--hub", hub)
    device = home.answer("sync", "init", store, "--root", hub / "root.json")
    home.answer("hub", "enroll", device["public_key"], "--name", "one", "--hub", hub)
    done = home.run_unit("sync")
    assert done.returncode in (0, 6), done.stderr
    assert "needs packages" not in done.stderr and "cryptography" not in done.stderr
    assert home.writable("sync") == [f"{home.root}/state", str(tmp_path)]


@pytest.mark.slow
def test_a_board_joins_its_fleet_by_the_token_file_that_it_was_installed_with(
    wheel: Path, shared: Home, tmp_path: Path
) -> None:
    pytest.importorskip("tuf", reason="needs the extra sync")
    home, store, hub = Home(tmp_path / "home").share(shared), tmp_path / "store", ("--hub", tmp_path / "hub")
    home.install(wheel, "--bundle", MICRO, "--sync")
    home.answer("hub", "init", store, *hub)
    home.answer("hub", "token", "--count", "1", "--name", "kitchen-", "--out", tmp_path / "token.txt", *hub)
    words = ("--sync", "--writable", store, "--store", store, "--token-file", tmp_path / "token.txt")
    assert "the hub enrols it with its next" in home.install(wheel, *words).stdout
    assert [one["name"] for one in home.answer("hub", "admit", *hub)["enrolled"]] == ["kitchen-1"]
    assert "this board is in a fleet already" in home.install(wheel, *words).stdout
    assert home.answer("hub", "admit", *hub)["enrolled"] == []
    assert (tmp_path / "token.txt").read_text().strip() not in home.run(*words).stderr


@pytest.mark.slow
def test_the_hub_service_merges_publishes_and_writes_numbers_for_the_fleet_of_the_installed_command(
    wheel: Path, shared: Home, tmp_path: Path, pictures: DemoPictures
) -> None:
    pytest.importorskip("tuf", reason="needs the extra sync")
    home, store = Home(tmp_path / "home").share(shared), tmp_path / "store"
    home.install(wheel, "--bundle", MICRO)
    home.answer("hub", "init", store)
    numbers, mirror = tmp_path / "textfile" / "hub.prom", tmp_path / "mirror"
    for folder in (numbers.parent, mirror):
        folder.mkdir()
    home.install(wheel, "--hub", "--set", f"hub.run.metrics={numbers}", "--set", f"hub.run.mirror={mirror}")
    assert "sync" in home.extras()
    assert home.writable("hub") == [f"{home.root}/hub", str(mirror), str(numbers.parent), str(store)]
    home.answer("learn", "--head-only", "--images", pictures.taught["gravel"], "--label", "gravel")
    device = home.answer("sync", "init", store, "--root", home.root / "hub" / "root.json")
    home.answer("hub", "enroll", device["public_key"], "--name", "one")
    home.answer("sync", "push")
    done = home.run_unit("hub")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["publish"]["round"] == 1
    assert home.answer("sync", "pull")["report"]
    again = home.run_unit("hub")
    assert again.returncode == 0 and json.loads(again.stdout)["publish"] is None
    assert 'edge_nusa_hub_device_round{device="one"} 1.0' in numbers.read_text()
    shown = [numbers, *(store / "rounds").iterdir(), *(path for path in mirror.rglob("*") if path.is_file())]
    assert len(shown) > 3 and {path.stat().st_mode & 0o777 for path in shown} == {0o644}, "others read them"
    assert {(folder / "rounds").stat().st_mode & 0o777 for folder in (store, mirror)} == {0o755}
    own = [path for path in (home.root / "hub").rglob("*") if path.is_file() and path.name != "root.json"]
    assert {path.stat().st_mode & 0o077 for path in own if path.suffix in (".key", ".pem")} == {0}
    assert [str(path) for path in own if path.stat().st_mode & 0o077] == []
    shutil.move(store, tmp_path / "away")
    assert home.run_unit("hub").returncode == StoreError.exit_code
    assert "edge_nusa_hub_last_run_exit_code 6.0" in numbers.read_text()


@pytest.mark.slow
def test_what_a_camera_shows_is_answered_by_the_watch_service(
    wheel: Path, shared: Home, tmp_path: Path, pictures: DemoPictures
) -> None:
    pytest.importorskip("av", reason="needs the package of the extra camera")
    home, film = Home(tmp_path / "home").share(shared), tmp_path / "film.y4m"
    with Image.open(sorted(pictures.asked["gravel"].iterdir())[0]) as shown:
        write_y4m(film, [shown.convert("RGB").resize((WIDTH, HEIGHT))] * 300)  # of thirty seconds
    home.install(wheel, "--bundle", MICRO, "--camera", film)
    home.answer("learn", "--head-only", "--images", pictures.taught["gravel"], "--label", "gravel")
    done = home.run_unit("watch", "--once")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"] == "gravel"


class Manager:
    """A systemd of the user that writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / "log"
        for name in ("systemctl", "loginctl"):
            (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{self.log}\n')
            (folder / name).chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"

    def asked(self) -> list[str]:
        """What it was asked to change since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if "show" not in line]


@pytest.mark.slow
def test_services_are_started_unless_that_is_not_wanted_and_stopped_when_they_go(
    wheel: Path, shared: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, manager = Home(tmp_path / "home").share(shared), Manager(tmp_path / "systemd")
    monkeypatch.setenv("PATH", manager.path)
    home.install(wheel, "--watch", tmp_path, "--teach", "--no-services")
    assert manager.asked() == []
    home.install(wheel)
    units = "edge-nusa-watch.service edge-nusa-teach.service"
    begun = ["daemon-reload", f"enable {units}", f"restart {units}"]
    assert manager.asked() == [f"systemctl --user {word}" for word in begun]
    home.install(wheel, "--stop", "teach")
    gone, *others = manager.asked()
    assert gone == "systemctl --user disable --now edge-nusa-teach.service"
    assert others[-1] == "systemctl --user restart edge-nusa-watch.service"
    assert home.run("--uninstall").returncode == 0
    assert manager.asked()[0] == "systemctl --user disable --now edge-nusa-watch.service"


@pytest.mark.slow
def test_a_camera_is_for_the_watch_or_for_the_page(wheel: Path, shared: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home").share(shared)
    home.install(wheel, "--camera", "rtsp://camera/stream")
    assert home.set() == {"watch": {"source": "rtsp://camera/stream"}, "services": {"run": ["watch"]}}
    assert "PrivateNetwork=yes" not in (home.units / "edge-nusa-watch.service").read_text()
    home.install(wheel, "--stop", "watch", "--teach", "--camera", "/dev/video1")
    assert home.set()["teach"] == {"camera": "/dev/video1", "lan": False}
    assert home.set()["services"] == {"run": ["teach"]}
    assert [path.name for path in home.units.glob("*.service")] == ["edge-nusa-teach.service"]


@pytest.mark.slow
def test_a_bundle_is_kept_as_a_copy_beside_the_one_in_use_and_never_written_in_place(
    wheel: Path, shared: Home, tmp_path: Path
) -> None:
    home, given = Home(tmp_path / "home").share(shared), Path(shutil.copytree(MICRO, tmp_path / "given"))
    home.install(wheel, "--bundle", given)
    [first] = home.root.glob("bundle-*")
    assert home.set() == {"bundle": str(first)}
    nodes = {path.name: path.stat().st_ino for path in first.iterdir()}
    assert not set(nodes.values()) & {path.stat().st_ino for path in given.iterdir()}, "not even a hard link"
    home.install(wheel, "--bundle", given)
    assert {path.name: path.stat().st_ino for path in first.iterdir()} == nodes
    (given / "weights.safetensors").write_bytes(b"half of it")
    done = home.run("--predict-only", "--no-lock", "--wheel", wheel, "--python", sys.executable, "--bundle", given)
    assert done.returncode == 0 and Bundle.open(first), "the same manifest: what is kept already is whole"
    content = json.loads((given / "manifest.json").read_text())
    (given / "manifest.json").write_text(json.dumps(content))
    done = home.run("--predict-only", "--no-lock", "--wheel", wheel, "--python", sys.executable, "--bundle", given)
    assert done.returncode == 4 and "expected a whole bundle" in done.stderr
    assert [path.name for path in home.root.glob("bundle-*")] == [first.name]
    shutil.copytree(MICRO, given, dirs_exist_ok=True)
    (given / "manifest.json").write_text(json.dumps(content))
    home.install(wheel, "--bundle", given)
    assert len(list(home.root.glob("bundle-*"))) == 2, "a service may still have the first one open"
    shutil.rmtree(given)
    second = Path(home.set()["bundle"])
    assert second != first and Bundle.open(second)
    assert home.run("--uninstall").returncode == 0
    assert list(home.root.glob("bundle-*")) == [second], "the one that the settings name stays, for who installs again"


def test_where_there_is_no_lock_file_the_user_says_that_hashes_are_not_wanted(tmp_path: Path) -> None:
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    if (INSTALL / f"predict-{machine}.lock").exists():
        pytest.skip("this machine has a lock file")
    home = Home(tmp_path / "home")
    done = home.run("--predict-only", "--python", sys.executable)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"expected a lock file for {machine}, found none; pass --no-lock" in done.stderr
    assert home.files() == {}


FETCHES = re.compile(r"(?:pip|builder\[@\]\}\"|pip\[@\]\}\"|-m pip) (?:[a-z-]+ )*?(install|wheel|download)[^\n]*")


@pytest.mark.parametrize("name", ["install.sh", "Dockerfile"])
def test_nothing_is_fetched_without_a_hash(name: str) -> None:
    text = (INSTALL / name).read_text()
    calls = [match.group() for match in FETCHES.finditer(text)]
    assert len(calls) >= 4
    for call in calls:
        is_hashed = "--require-hashes" in call and "--only-binary=:all:" in call
        assert is_hashed or "--no-deps" in call and ("install" in call or "--no-build-isolation" in call), call


def test_the_image_is_built_from_the_source_alone() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing but what is named"
    named = {line[1:] for line in lines if line.startswith("!")}
    links = {path.name for path in (ROOT / "edge_nusa").iterdir() if path.is_symlink()}
    assert named == {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "edge_nusa", *links}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--nonsense"], 2, "there is no option --nonsense"),
        (["--bundle"], 2, "--bundle: expected a value"),
        (["--purge"], 2, "--purge: expected --uninstall"),
        (["--set", "threads"], 2, "--set threads: expected KEY=VALUE"),
        (["--token-file", "t", "--store", "s"], 2, "--token-file: expected --sync beside it"),
        (["--sync", "--store", "s"], 2, "--token-file and --store: expected both, to join a fleet"),
        (["--sync", "--store", "s", "--token-file", "enj1.x"], 1, "expected the file of a join token, found none"),
        (["--stop", "page"], 2, "--stop page: expected watch, teach, mqtt, sync or hub"),
        (["--lan"], 2, "--lan: expected --teach beside it"),
        (["--watch", "/", "--camera", "/dev/video0"], 2, "--watch and --camera: expected one of them"),
        (["--watch", "/no/such/folder"], 1, "/no/such/folder: expected a folder"),
        (["--python", "/bin/false"], 1, "/bin/false: expected Python 3.11"),
        (["--wheel", "/no/wheel"], 1, "/no/wheel: expected a wheel"),
    ],
)
def test_a_wrong_option_is_one_line_and_changes_nothing(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    done = home.run(*(["--python", sys.executable] if "--python" not in words else []), *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert said in done.stderr
    assert home.files() == {}


def test_settings_of_an_older_installer_are_told_where_to_go_and_passwords_stay(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    old = home.folder / ".config/edge-nusa/environment"
    old.parent.mkdir(parents=True)
    old.write_text("EDGE_NUSA_TOKEN=x\nEDGE_NUSA_BUNDLE=/b\nEDGE_NUSA_WATCH=/c\n")
    done = home.run("--python", sys.executable)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "expected passwords and tokens alone, found a setting (EDGE_NUSA_BUNDLE=/b); give it by" in done.stderr


@pytest.mark.parametrize(
    ("text", "word"),
    [("/a/b", "/a/b"), ("/a b", '"/a b"'), ("/100%", "/100%%"), ('/a"b\\c', '"/a\\"b\\\\c"'), ("/it's", '"/it\'s"')],
)
def test_a_path_is_written_as_systemd_reads_it(text: str, word: str) -> None:
    assert units.quoted(text) == word


@pytest.mark.parametrize(
    ("found", "is_remote"),
    [
        ({"watch.source": "/camera"}, False),
        ({"watch.source": "http://camera/mjpeg"}, True),
        ({"watch.source": "/camera", "watch.mqtt": "mqtt://b"}, True),
        ({"watch.source": "/camera", "watch.metrics_port": "9100"}, True),
        ({"watch.source": "/camera", "watch.metrics": "/m/a.prom"}, False),
    ],
)
def test_a_watch_gets_the_network_only_where_it_needs_it(found: dict[str, Any], is_remote: bool) -> None:
    assert units.is_remote(found) is is_remote


def test_a_watch_that_needs_the_network_is_otherwise_as_closed_as_before() -> None:
    text = (INSTALL / "edge-nusa-watch.service").read_text()
    before, after = set(text.splitlines()), set(units.opened(text).splitlines())
    assert before - after == {"PrivateNetwork=yes", "IPAddressDeny=any", "RestrictAddressFamilies=none"}
    assert after - before == {"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"}


def test_a_watch_may_write_where_it_was_told_to_write_and_nowhere_else() -> None:
    found = {"state": "/s", "watch.source": "/camera", "services.writable": ["/more"]}
    assert units.written_by("watch", found) == [Path("/s"), Path("/more")]
    found |= {"watch.out": "/o/a", "watch.ledger": "/l/a", "watch.metrics": "/o/m", "watch.keep": "/k"}
    assert units.written_by("watch", found) == [Path(one) for one in ("/s", "/more", "/o", "/l", "/k")]
    assert units.written_by("watch", {**found, "watch.delete": True})[-1] == Path("/camera")
    assert units.written_by("teach", found) == [Path("/s"), Path("/more")]


def test_a_hub_may_write_its_folder_its_store_and_its_mirror_and_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    hub, store, mirror = tmp_path / "edge-nusa" / "hub", tmp_path / "store", tmp_path / "mirror"
    found: dict[str, Any] = {"state": "/s", "services.writable": ["/more"]}
    assert units.written_by("hub", found) == [hub, Path("/more")]
    hub.mkdir(parents=True)
    (hub / "settings.json").write_text(json.dumps({"store": str(store)}))
    found |= {"hub.run.mirror": str(mirror), "hub.run.metrics": str(tmp_path / "m" / "hub.prom")}
    assert units.written_by("hub", found) == [hub, Path("/more")], "what is not mounted is not made"
    for folder in (store, mirror, tmp_path / "m"):
        folder.mkdir()
    assert units.written_by("hub", found) == [hub, mirror, tmp_path / "m", store, Path("/more")]
    found |= {"hub.run.hub": str(tmp_path / "other"), "hub.run.mirror": "oci://host/name"}
    assert units.written_by("hub", found) == [tmp_path / "other", tmp_path / "m", Path("/more")]


def test_a_unit_knows_where_settings_and_state_are_that_the_shell_has_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/my data")
    text = units.unit("[Service]\nReadWritePaths=@READ_WRITE@\n", [Path("/my data/s"), Path("/b")])
    assert text == '[Service]\nEnvironment="XDG_DATA_HOME=/my data"\nReadWritePaths="/my data/s" /b\n'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units_and_finds_them_closed(tmp_path: Path) -> None:
    binary = tmp_path / ".local/share/edge-nusa/venv/bin/edge-nusa"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    (tmp_path / "run").mkdir(mode=0o700)
    variables = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    paths = []
    for name in UNITS:
        paths.append(tmp_path / name)
        paths[-1].write_text((INSTALL / name).read_text().replace("@READ_WRITE@", str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *paths], env=variables, capture_output=True, text=True
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze cannot run here")
    assert (done.returncode, done.stderr) == (0, "")
    for name, bound in (
        ("edge-nusa-watch.service", 50),
        ("edge-nusa-sync.service", 60),
        ("edge-nusa-hub.service", 60),
        ("edge-nusa-mqtt.service", 60),
        ("edge-nusa-teach.service", 60),
    ):
        words = [
            "systemd-analyze",
            "--user",
            "security",
            "--offline=true",
            f"--threshold={bound}",
            str(tmp_path / name),
        ]
        assert subprocess.run(words, env=variables, capture_output=True).returncode == 0, name


def test_there_is_one_set_of_units() -> None:
    found = sorted(
        path.relative_to(ROOT).as_posix()
        for kind in ("service", "timer")
        for path in (ROOT / "device").rglob(f"*.{kind}")
    )
    assert found == [
        f"device/install/{name}"
        for name in (
            "edge-nusa-hub.service",
            "edge-nusa-hub.timer",
            "edge-nusa-mqtt.service",
            "edge-nusa-sync.service",
            "edge-nusa-sync.timer",
            "edge-nusa-teach.service",
            "edge-nusa-watch.service",
        )
    ]


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("edge-nusa-watch.service", ["watch"]),
        ("edge-nusa-sync.service", ["sync", "run"]),
        ("edge-nusa-hub.service", ["hub", "run"]),
        ("edge-nusa-teach.service", ["teach"]),
        ("edge-nusa-mqtt.service", ["mqtt"]),
    ],
)
def test_a_unit_runs_a_command_that_exists_with_options_that_it_has(unit: str, command: list[str]) -> None:
    options = re.findall(rf"ExecStart=.*/edge-nusa {' '.join(command)}(.*)", (INSTALL / unit).read_text())[0]
    listed = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", *command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    for word in re.findall(r"--[a-z-]+", options):
        assert f"{word} " in listed


def test_the_hours_that_the_guide_gives_to_the_timer_are_an_option_of_what_it_starts() -> None:
    words = re.findall(r"install.sh --sync --set sync.run.([a-z]+=\S+)`", (ROOT / "docs" / "fleet.md").read_text())
    assert words == ["between=00:00-06:00"]
    listed = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", "sync", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"--{words[0].split('=')[0]} " in listed


def test_the_drop_in_that_the_guide_gives_to_a_lower_hub_starts_the_same_command_as_the_unit() -> None:
    [command] = re.findall(
        r"^\[Service\]\nExecStartPost=(\S+) hub exchange --format json$", (ROOT / "docs/fleet.md").read_text(), re.M
    )
    unit = (INSTALL / "edge-nusa-hub.service").read_text()
    assert f"\nExecStart={command} hub run " in unit and "\nType=oneshot\n" in unit, "after it has ended"


def test_what_starting_again_does_not_heal_is_not_started_again_and_what_a_later_try_heals_is_no_failure() -> None:
    assert "RestartPreventExitStatus=2\n" in (INSTALL / "edge-nusa-watch.service").read_text()
    codes = re.findall(r"SuccessExitStatus=(.+)", (INSTALL / "edge-nusa-sync.service").read_text())[0].split()
    assert codes == [str(128 + signal.SIGTERM), str(RefusedError.exit_code), str(StoreError.exit_code)]
    for name in ("sync", "hub"):
        assert "RandomizedDelaySec=" in (INSTALL / f"edge-nusa-{name}.timer").read_text()
    hub = re.findall(r"SuccessExitStatus=(.+)", (INSTALL / "edge-nusa-hub.service").read_text())
    assert hub == [str(128 + signal.SIGTERM)], "a hub that cannot publish is what a person should see"


@pytest.mark.parametrize("name", ["predict", "learn"])
def test_a_lock_file_holds_every_dependency_with_a_hash_and_no_cuda(name: str) -> None:
    text = (INSTALL / f"{name}-aarch64.lock").read_text()
    entries = re.findall(
        r"^([a-z0-9._-]+)==([^\s;]+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    versions = {entry[0]: entry[1] for entry in entries}
    assert len(entries) == text.count("==") - text.count("python_version ==")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [line for extra in EVERYWHERE for line in project["optional-dependencies"][extra]]
    learn = project["optional-dependencies"]["learn"] if name == "learn" else []
    for line in [*project["dependencies"], *optional, *learn]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), line
    assert not [package for package in versions if package.startswith(("nvidia", "triton"))]
    assert ("torch" in versions) is (name == "learn")


def test_what_sync_adds_and_what_builds_the_wheel_have_hashes_too() -> None:
    first = (INSTALL / "predict-aarch64.lock").read_text()
    more = (INSTALL / "sync-aarch64.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for line in project["project"]["optional-dependencies"]["sync"]:
        [version] = re.findall(rf"^{canonicalize_name(Requirement(line).name)}==([^\s;]+)", more, re.MULTILINE)
        assert Requirement(line).specifier.contains(version), line
    names = [set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE)) for text in (first, more)]
    assert not names[0] & names[1], "what both have is in the first"
    build = (INSTALL / "build.lock").read_text()
    for line in project["build-system"]["requires"]:
        [version] = re.findall(rf"^{Requirement(line).name}==(\S+)", build, re.MULTILINE)
        assert Requirement(line).specifier.contains(version)
    for text in (more, build):
        assert text.count("--hash=sha256:") >= text.count("==") - text.count("python_version ==") > 0


def test_installer_and_lock_files_give_every_board_the_same_extras() -> None:
    [named] = re.findall(r"extras=([a-z,]+)\$", SCRIPT.read_text())
    [locked] = re.findall(r"^EXTRAS = \((.+)\)$", (INSTALL / "lock.py").read_text(), re.MULTILINE)
    assert named.split(",") == re.findall(r'"(\w+)"', locked) == EVERYWHERE


def test_the_wheel_that_the_installer_makes_has_every_room() -> None:
    [copied] = re.findall(r"tar -cf - pyproject\.toml (.+?)\) \|", (INSTALL / "install.sh").read_text())
    links = {path.name for path in (ROOT / "edge_nusa").iterdir() if path.is_symlink()}
    assert {"edge_nusa", *links} <= set(copied.split())


def test_the_tests_of_the_emulated_board_are_there() -> None:
    [names] = re.findall(r"tests/\*/test_\{([a-z_,]+)\}\.py", (INSTALL / "emulated.sh").read_text())
    for name in names.split(","):
        assert len(list((ROOT / "tests").glob(f"*/test_{name}.py"))) == 1, name
