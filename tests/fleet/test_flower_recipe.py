"""What `hub flower` and `sync flower` write and would run, and the guard under which Flower's processes run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import MICRO, ROOT, run_cli
from fleet_world import Member, new_hub

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.flower import addresses, guard, hub_settings, recipe, supernode
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.stores.open import open_store


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hub, Member]:
    folder = tmp_path_factory.mktemp("recipe")
    hub = new_hub(folder)
    return hub, Member(folder, hub, "a")


@pytest.fixture(scope="module")
def written(joined: tuple[Hub, Member], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flower of") / "it's here"
    words = ("hub", "flower", folder, "--superlink", "hub.example:8443", "--hub", joined[0].folder, "--rule", "trimmed")
    done = run_cli(*words, "--seconds", "60", "--most-pictures", "50", "--malicious", "0.1", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["folder"] == str(folder) and f"{folder}/superlink.sh" in found["files"]
    return folder


def environment_of(script: str) -> dict[str, str]:
    lines = [line.removeprefix("export ") for line in script.splitlines() if line.startswith("export ")]
    return {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)}


def test_every_script_has_the_safe_defaults_and_names_this_hub(written: Path, joined: tuple[Hub, Member]) -> None:
    for name in ("certificate.sh", "superlink.sh", "register.sh", "round.sh"):
        text = (written / name).read_text()
        assert subprocess.run(["sh", "-n", written / name]).returncode == 0
        assert os.access(written / name, os.X_OK) and "umask 077" in text and "set -e" in text
        found = environment_of(text)
        assert found["FLWR_TELEMETRY_ENABLED"] == "0" and found["FLWR_DISABLE_UPDATE_CHECK"] == "1"
        assert found["FLWR_HOME"] == str(written) and found["PATH"].startswith(f"{written}/bin{os.pathsep}")
        assert found["EDGE_NUSA_FLOWER_ROUND"] == str(written / "round.json")
    settings = hub_settings.read(written / "round.json")
    assert (settings.hub, settings.bundle) == (str(joined[0].folder), str(MICRO))
    assert (settings.rule, settings.malicious, settings.most_pictures, settings.seconds) == ("trimmed", 0.1, 50, 60)


def test_the_superlink_asks_for_registered_keys_over_tls_and_installs_nothing(written: Path) -> None:
    words = shlex.split((written / "superlink.sh").read_text().splitlines()[-1])
    assert words[:6] == ["exec", "flower-superlink", "--host", "0.0.0.0", "--port", "8443"]
    assert {"--enable-supernode-auth", "--disable-runtime-dependency-installation"} <= set(words)
    for option, name in (("--ssl-certfile", "superlink.pem"), ("--ssl-keyfile", "superlink.key")):
        assert words[words.index(option) + 1] == str(written / name)
    assert words[words.index("--ssl-ca-certfile") + 1] == str(written / "superlink.pem") and "--insecure" not in words


def test_the_bundle_is_without_code_and_names_what_is_installed(written: Path) -> None:
    assert [path.name for path in (written / "app").rglob("*")] == ["pyproject.toml"]
    found = tomllib.loads((written / "app" / "pyproject.toml").read_text())
    components = found["tool"]["flwr"]["app"]["components"]
    assert components == {
        "serverapp": "edge_nusa.flower.server_app:app",
        "clientapp": "edge_nusa.flower.client_app:app",
    }
    for reference in components.values():
        assert (ROOT / (reference.split(":")[0].replace(".", "/") + ".py")).is_file()
    connection = tomllib.loads((written / "config.toml").read_text())["superlink"]
    assert connection["default"] == "hub" and connection["hub"]["address"] == "hub.example:8443"
    assert (
        connection["hub"]["root-certificates"] == str(written / "superlink.pem") and "insecure" not in connection["hub"]
    )


@pytest.mark.parametrize(
    ("address", "listens", "names"),
    [
        ("127.0.0.1:8000", "127.0.0.1", "IP:127.0.0.1,DNS:localhost"),
        ("localhost:8000", "127.0.0.1", "DNS:localhost,IP:127.0.0.1"),
        ("10.0.0.7:8000", "0.0.0.0", "IP:10.0.0.7,DNS:localhost,IP:127.0.0.1"),
        ("[fd00::7]:8000", "::", "IP:fd00::7,DNS:localhost,IP:127.0.0.1"),
        ("hub.example:8000", "0.0.0.0", "DNS:hub.example,DNS:localhost,IP:127.0.0.1"),
    ],
)
def test_a_superlink_listens_where_its_address_is_and_its_certificate_says_so(
    address: str, listens: str, names: str, tmp_path: Path
) -> None:
    recipe.write(tmp_path / "f", addresses.parsed(address), hub_settings.HubSettings(hub="/h"))
    assert f"flower-superlink --host {listens} --port 8000 " in (tmp_path / "f" / "superlink.sh").read_text()
    subprocess.run(["sh", tmp_path / "f" / "certificate.sh"], check=True, capture_output=True)
    assert f"subjectAltName={names} " in (tmp_path / "f" / "certificate.sh").read_text()
    assert (tmp_path / "f" / "superlink.key").stat().st_mode & 0o077 == 0
    assert b"BEGIN CERTIFICATE" in (tmp_path / "f" / "superlink.pem").read_bytes()


def test_a_folder_of_something_else_is_left_alone_and_an_own_one_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    settings = hub_settings.HubSettings(hub="/h")
    with pytest.raises(InputError, match="choose another folder"):
        recipe.write(tmp_path / "mine", addresses.parsed("a:1"), settings)
    assert os.listdir(tmp_path / "mine") == ["letter.txt"]
    for port in (1, 2):
        recipe.write(tmp_path / "own", addresses.parsed(f"a:{port}"), settings)
    assert "--port 2 " in (tmp_path / "own" / "superlink.sh").read_text()


def test_a_node_makes_its_key_once_and_says_what_it_would_run(
    joined: tuple[Hub, Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

    monkeypatch.setattr(supernode, "_program", lambda: "/bin/flower-supernode")
    member, certificate = joined[1], tmp_path / "superlink.pem"
    with pytest.raises(InputError, match="bring it from the hub"):
        supernode.prepare(member.model, addresses.parsed("hub:1"), certificate, 9094)
    certificate.write_text("x")
    made = supernode.prepare(member.model, addresses.parsed("hub:1"), certificate, 9094)
    home = member.part / "flower"
    private = (home / "node.key").read_bytes()
    public: object = load_ssh_private_key(private, None).public_key()
    assert made.is_new and public == load_ssh_public_key((home / "node.pub").read_bytes())
    assert getattr(getattr(public, "curve", None), "name", "") == "secp384r1"
    assert (home / "node.key").stat().st_mode & 0o077 == 0 and made.device == member.key
    again = supernode.prepare(member.model, addresses.parsed("hub:1"), None, 7)
    assert not again.is_new and (home / "node.key").read_bytes() == private
    key = ["--auth-supernode-private-key", str(home / "node.key"), "--host", "127.0.0.1", "--port"]
    start = ["/bin/flower-supernode", "--superlink", "hub:1"]
    assert made.command == [*start, "--root-certificates", str(certificate), *key, "9094"]
    assert again.command == [*start, *key, "7"]
    found = made.environment
    assert found["FLWR_TELEMETRY_ENABLED"] == "0" and found["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert found["FLWR_HOME"] == str(home) and found["PATH"].split(os.pathsep)[0] == str(home / "bin")
    assert found["EDGE_NUSA_STATE"] == str(member.model.state.folder) and found["EDGE_NUSA_BUNDLE"] == str(MICRO)
    assert found["EDGE_NUSA_THREADS"] == "1"


def test_without_flower_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingPackageError, match=r'pip install "edge-nusa\[fleet,sync\]"'):
        supernode._program()


def test_the_commands_refuse_what_is_no_address_and_a_state_of_no_fleet(tmp_path: Path) -> None:
    found = run_cli("sync", "flower", "nowhere", "--state", tmp_path)
    assert (found.returncode, "HOST:PORT, such as hub.example:8000" in found.stderr) == (2, True)
    found = run_cli("sync", "flower", "hub.example:8000", "--state", tmp_path)
    assert found.returncode == 1 and "expected a state that belongs to a fleet" in found.stderr


def test_a_place_that_only_flower_reaches_says_which_command_does() -> None:
    store = open_store("flower://hub.example:8000")
    for ask in (
        lambda: store.list("a"),
        lambda: store.get("a", 1),
        lambda: store.get_part("a", 0, 1),
        lambda: store.put_new("a", b""),
        lambda: store.head("a"),
    ):
        with pytest.raises(StoreError, match="run `edge-nusa sync flower HOST:PORT`"):
            ask()


GUARDED = """
import sys
from pathlib import Path
from edge_nusa.flower import guard
guard.shut(Path({shut!r}))
sys.path.insert(0, {entry!r})
import {module}
print(Path({module}.__file__).parent)
"""


def imported(shut: Path, entry: Path, module: str) -> subprocess.CompletedProcess[str]:
    text = GUARDED.format(shut=str(shut), entry=str(entry), module=module)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-P", "-c", text], env=env, capture_output=True, text=True, timeout=60)


def test_nothing_in_a_bundles_folder_is_imported_by_its_name_or_in_the_place_of_another(tmp_path: Path) -> None:
    app = tmp_path / "home" / "apps" / "evil.1"
    app.mkdir(parents=True)
    for name in ("wicked", "colorsys"):
        (app / f"{name}.py").write_text("raise SystemExit('ran')")
    (tmp_path / "link").symlink_to(app)
    for entry in (app, tmp_path / "link", app / ".." / "evil.1"):
        found = imported(tmp_path / "home" / "apps", entry, "wicked")
        assert found.returncode == 1 and "No module named 'wicked'" in found.stderr
    found = imported(tmp_path / "home" / "apps", app, "colorsys")
    assert found.returncode == 0 and str(tmp_path) not in found.stdout
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "kind.py").touch()
    found = imported(tmp_path / "home" / "apps", tmp_path / "good", "kind")
    assert found.stdout.strip() == str(tmp_path / "good")


def guarded(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "FLWR_HOME"}
    program = [sys.executable, "-P", "-m", "edge_nusa.flower.guard", *words]
    env |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(program, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("flwr-agentapp",), "expected flwr-clientapp or flwr-serverapp"),
        (("flwr-clientapp", "--allow-runtime-dependency-installation"), "it is not run"),
        (("flwr-clientapp",), "expected FLWR_HOME in the environment"),
        (("flwr-serverapp",), "expected FLWR_HOME in the environment"),
    ],
)
def test_the_guard_runs_nothing_but_our_two_kinds_of_tasks(words: tuple[str, ...], said: str) -> None:
    found = guarded(*words)
    assert found.returncode == 3 and said in found.stderr


def test_on_the_path_every_task_but_the_allowed_one_is_shut(tmp_path: Path) -> None:
    guard.put_on_path(tmp_path / "a b", guard.CLIENT)
    assert sorted(path.name for path in (tmp_path / "a b").iterdir()) == sorted(guard.TASKS)
    for task in guard.TASKS:
        env = {"PATH": f"{tmp_path / 'a b'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [str(tmp_path / "a b" / task), "x y"], env=env, capture_output=True, text=True, timeout=60
        )
        wanted = "expected FLWR_HOME" if task == guard.CLIENT else f"{task} is shut here"
        assert done.returncode != 0 and wanted in done.stderr
