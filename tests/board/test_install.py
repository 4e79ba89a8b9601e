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
import tomllib
from pathlib import Path

import pytest
from conftest import MICRO, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        self.settings = folder / ".config/edge-nusa/environment"
        self.report = folder.with_suffix(".report")
        """What pip last installed."""

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PIP_NO_DEPS": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_REPORT": str(self.report),
        }
        return subprocess.run(["bash", SCRIPT, *map(str, words)], env=kept, capture_output=True, text=True, timeout=300)

    def install(self, wheel: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        done = self.run("--predict-only", "--no-lock", "--wheel", wheel, "--python", sys.executable, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def extras(self) -> list[str]:
        """The extras that edge-nusa was last installed with."""
        return list(json.loads(self.report.read_text())["install"][0].get("requested_extras", []))

    def files(self) -> dict[str, str]:
        """Everything but the inside of the environment: names, and contents or where a link goes."""
        found = [p for p in self.folder.rglob("*") if not re.search(r"venv-\w+/", str(p))]
        return {str(p): os.readlink(p) if p.is_symlink() else p.read_text() if p.is_file() else "" for p in found}


@pytest.mark.slow
def test_installing_twice_is_installing_once_and_uninstalling_leaves_what_was_learned(
    wheel: Path, tmp_path: Path
) -> None:
    home, camera, unsure = Home(tmp_path / "home"), tmp_path / "camera", tmp_path / "unsure"
    camera.mkdir()
    unsure.mkdir()
    home.install(
        wheel, "--watch", camera, "--watch-options", "--labels cat,dog", "--writable", unsure, "--sync", "--quiet"
    )
    first = home.files()
    assert home.extras() == ["sync"]
    assert "the environment is there already" in home.install(wheel).stdout
    assert home.files() == first
    settings = home.settings.read_text()
    assert f"EDGE_NUSA_WATCH={camera}\n" in settings
    assert "EDGE_NUSA_WATCH_OPTIONS=--labels cat,dog\n" in settings
    assert sorted(path.name for path in home.units.iterdir()) == sorted(UNITS)
    for unit in home.units.glob("*.service"):
        assert f"ReadWritePaths={home.root}/state {unsure}\n" in unit.read_text()
    command = home.folder / ".local/bin/edge-nusa"
    variables = {"PATH": os.environ["PATH"], "HOME": str(home.folder), "PYTHONPATH": sysconfig.get_path("purelib")}
    assert (
        "usage"
        in subprocess.run([command, "--help"], env=variables, capture_output=True, text=True, check=True).stdout.lower()
    )
    (home.root / "state" / "learned").write_text("kept")
    assert home.run("--uninstall").returncode == 0
    assert [p.name for p in home.root.iterdir()] == ["state"]
    assert not command.is_symlink()
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
    home.settings.write_text(home.settings.read_text() + "EDGE_NUSA_THREADS=2\n")
    assert home.extras() == []
    before = os.readlink(home.root / "venv")
    broken = tmp_path / "edge_nusa-9.9.9-py3-none-any.whl"
    broken.write_bytes(b"no wheel")
    failed = home.run("--predict-only", "--no-lock", "--wheel", broken, "--python", sys.executable)
    assert failed.returncode != 0
    assert os.readlink(home.root / "venv") == before
    assert [p.name for p in home.root.glob("venv-*")] == [Path(before).name]
    home.install(wheel, "--watch-options", "--top 1")
    lines = home.settings.read_text().splitlines()
    assert {"EDGE_NUSA_THREADS=2", "EDGE_NUSA_WATCH_OPTIONS=--top 1", f"EDGE_NUSA_WATCH={camera}"} <= set(lines)


@pytest.mark.slow
def test_a_bundle_is_kept_as_a_copy_beside_the_one_in_use_and_never_written_in_place(
    wheel: Path, tmp_path: Path
) -> None:
    home, given = Home(tmp_path / "home"), Path(shutil.copytree(MICRO, tmp_path / "given"))
    home.install(wheel, "--bundle", given)
    [first] = home.root.glob("bundle-*")
    assert f"EDGE_NUSA_BUNDLE={first}\n" in home.settings.read_text()
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
    second = Path(re.findall("EDGE_NUSA_BUNDLE=(.+)", home.settings.read_text())[0])
    assert second != first and Bundle.open(second)
    assert home.run("--uninstall").returncode == 0 and not list(home.root.glob("bundle-*"))


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


def test_a_folder_that_a_unit_could_misread_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "my pictures"
    odd.mkdir()
    done = Home(tmp_path / "home").run("--python", sys.executable, "--watch", odd)
    assert done.returncode == 1
    assert "a path without spaces" in done.stderr


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
    for name, bound in (("edge-nusa-watch.service", 50), ("edge-nusa-sync.service", 60)):
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
        for name in ("edge-nusa-sync.service", "edge-nusa-sync.timer", "edge-nusa-watch.service")
    ]


@pytest.mark.parametrize(
    ("unit", "command"), [("edge-nusa-watch.service", ["watch"]), ("edge-nusa-sync.service", ["sync", "run"])]
)
def test_a_unit_runs_a_command_that_exists_with_options_that_it_has(unit: str, command: list[str]) -> None:
    options = re.findall(rf"ExecStart=.*/edge-nusa {' '.join(command)} (.+)", (INSTALL / unit).read_text())[0]
    listed = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", *command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    for word in re.findall(r"--[a-z-]+", options):
        assert f"{word} " in listed


def test_the_hours_that_the_guide_gives_to_the_timer_are_an_option_of_what_it_starts() -> None:
    words = re.findall(r'install.sh --sync "([^"]+)"', (ROOT / "docs" / "fleet.md").read_text())
    assert words == ["--between 00:00-06:00"]
    listed = subprocess.run(
        [sys.executable, "-m", "edge_nusa.cli.main", "sync", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{words[0].split()[0]} " in listed


def test_what_starting_again_does_not_heal_is_not_started_again_and_what_a_later_try_heals_is_no_failure() -> None:
    assert "RestartPreventExitStatus=2\n" in (INSTALL / "edge-nusa-watch.service").read_text()
    codes = re.findall(r"SuccessExitStatus=(.+)", (INSTALL / "edge-nusa-sync.service").read_text())[0].split()
    assert codes == [str(128 + signal.SIGTERM), str(RefusedError.exit_code), str(StoreError.exit_code)]
    assert "RandomizedDelaySec=" in (INSTALL / "edge-nusa-sync.timer").read_text()


@pytest.mark.parametrize("name", ["predict", "learn"])
def test_a_lock_file_holds_every_dependency_with_a_hash_and_no_cuda(name: str) -> None:
    text = (INSTALL / f"{name}-aarch64.lock").read_text()
    entries = re.findall(
        r"^([a-z0-9._-]+)==([^\s;]+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    versions = {entry[0]: entry[1] for entry in entries}
    assert len(entries) == text.count("==") - text.count("python_version ==")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [*project["dependencies"], *(project["optional-dependencies"]["learn"] if name == "learn" else [])]:
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


def test_the_wheel_that_the_installer_makes_has_every_room() -> None:
    [copied] = re.findall(r"tar -cf - pyproject\.toml (.+?)\) \|", (INSTALL / "install.sh").read_text())
    links = {path.name for path in (ROOT / "edge_nusa").iterdir() if path.is_symlink()}
    assert {"edge_nusa", *links} <= set(copied.split())


def test_the_tests_of_the_emulated_board_are_there() -> None:
    [names] = re.findall(r"tests/\*/test_\{([a-z_,]+)\}\.py", (INSTALL / "emulated.sh").read_text())
    for name in names.split(","):
        assert len(list((ROOT / "tests").glob(f"*/test_{name}.py"))) == 1, name
