"""`edge-nusa teach` as a person starts it: a process of its own, asked over real HTTP, ended by Ctrl-C."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MICRO, command, environment, run_cli
from page_server import SECONDS, ended, form, served, spoken, taught
from processes import one_line, run_patched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching.pages import STATIC


def client_of(told: dict[str, Any]) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{told['port']}", timeout=SECONDS, trust_env=False)


def test_a_fresh_folder_is_taught_asked_corrected_and_undone(tmp_path: Path, pictures: DemoPictures) -> None:
    with served("--state", tmp_path / "state") as (told, process), client_of(told) as client:
        assert told == {"url": f"http://127.0.0.1:{told['port']}/", "name": None, "port": told["port"], "token": None}
        assert client.get("/").status_code == 200
        for label in ("gravel", "brick wall"):
            answer = client.post("/api/pictures", params={"label": label}, files=form(pictures.taught[label]))
            assert len(answer.json()["pictures"]) == 8
        begun = client.post("/api/lessons", json={"head_only": True})
        assert begun.status_code == 202
        assert taught(client, begun.json()["lesson"])["state"] == "done"
        asked = sorted(pictures.asked["gravel"].iterdir())[0].read_bytes()
        answer = client.post("/api/predict?why=1", content=asked).json()
        assert answer["best"] == "gravel" and answer["why"]["label"] == "gravel"
        assert client.post("/api/pictures?label=brick wall", content=asked).status_code == 200
        assert client.post("/api/undo").json()["returned"] == 16
        assert client.get("/api/labels").json()["generation"] == 0
        ended(process)
    assert json.loads(run_cli("labels", "--state", tmp_path / "state").stdout)["labels"] == []


def test_ctrl_c_ends_it_while_a_lesson_trains_and_streams_are_open(tmp_path: Path, pictures: DemoPictures) -> None:
    with served("--state", tmp_path / "state") as (told, process), client_of(told) as client:
        for label in ("gravel", "brick wall"):
            client.post("/api/pictures", params={"label": label}, files=form(pictures.taught[label]))
        with socket.create_connection(("127.0.0.1", told["port"])) as stream:
            stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            client.post("/api/lessons")
            ends = time.monotonic() + SECONDS
            while client.get("/api/lessons/1").json()["state"] != "training text" and time.monotonic() < ends:
                time.sleep(0.02)
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
            assert len(children) >= 2, "one decodes, one trains"
            ended(process)
    time.sleep(1.0)
    left = [pid for pid in children if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)]
    assert left == [], "no child is left over"
    status = json.loads(run_cli("status", "--state", tmp_path / "state").stdout)
    assert status["labels"] == 2, "the head's lesson stands"


def _state(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_it_in_time(number: signal.Signals, tmp_path: Path) -> None:
    with served("--state", tmp_path / "state") as (_, process):
        ended(process, number)


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = one_line(run_cli("teach", "--port", str(port), "--state", tmp_path / "state"), 5)
    assert line == (
        f"edge-nusa: --port: expected a free port, found that {port} is in use by another program; pass another, or 0 "
        "for any that is free"
    )


def test_two_pages_beside_each_other_serve_one_state(tmp_path: Path, taught_once: Path) -> None:
    with served("--state", taught_once) as (first, _), served("--state", taught_once) as (second, _):
        assert first["port"] != second["port"]
        with client_of(first) as one, client_of(second) as other:
            assert one.get("/api/labels").json() == other.get("/api/labels").json()


def test_in_a_network_the_address_has_the_token_and_a_code_to_scan(tmp_path: Path) -> None:
    token = "a-token-of-the-tests-0123456789"
    env = {"EDGE_NUSA_TOKEN": token}
    with served("--state", tmp_path / "state", "--lan", env=env) as (told, _), client_of(told) as client:
        assert told["token"] == token and told["url"].endswith(f":{told['port']}/?token={token}")
        assert client.get("/api/labels").status_code == 401
        assert client.get("/api/labels", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/", params={"token": token}).status_code == 200
        assert client.get("/api/labels").status_code == 200
        own = f"http://127.0.0.1:{told['port']}"
        assert client.post("/api/undo", json={"to": 7}).status_code == 403
        assert client.post("/api/undo", json={"to": 7}, headers={"Origin": own}).status_code == 400
        assert client.get("/api/labels", headers={"Host": "rebound.example"}).status_code == 400
    words = command("teach", "--port", "0", "--lan", "--state", tmp_path / "state", "--format", "human")
    process = subprocess.Popen(words, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        assert sum("█" in line or "▄" in line or "▀" in line for line in lines) > 10
        assert any(f"?token={token}" in line for line in lines)
    finally:
        process.kill()
        process.communicate()


def test_a_token_that_is_easy_to_guess_is_one_clear_line(tmp_path: Path) -> None:
    done = run_cli("teach", "--lan", "--state", tmp_path / "state", env={"EDGE_NUSA_TOKEN": "guess"})
    assert "EDGE_NUSA_TOKEN: expected 16 to 128 letters" in one_line(done, 2)


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "segno", "python_multipart"])
def test_a_missing_package_is_one_clear_line(package: str, tmp_path: Path) -> None:
    done = run_patched(f"import sys\nsys.modules[{package!r}] = None", "teach", "--state", tmp_path / "state")
    line = one_line(done, 2)
    assert line.startswith("edge-nusa: teach needs packages that are missing here (")
    assert line.endswith('install them with `pip install "edge-nusa[page]"`')


def test_without_its_packages_every_other_command_is_as_before(taught_once: Path) -> None:
    patch = "import sys\nfor name in ('starlette', 'uvicorn', 'segno', 'anyio'):\n    sys.modules[name] = None"
    assert run_patched(patch, "labels", "--state", taught_once).returncode == 0
    assert run_patched(patch, "teach", "--help").returncode == 0


def test_a_missing_camera_is_one_clear_line(tmp_path: Path) -> None:
    line = one_line(run_cli("teach", "--camera", "gopher://x", "--port", "0", "--state", tmp_path / "state"), 2)
    assert "gopher://x: expected a camera's device such as /dev/video0" in line


def test_a_video_in_a_cameras_place_is_answered(tmp_path: Path, taught_once: Path, pictures: DemoPictures) -> None:
    pytest.importorskip("av", reason="needs PyAV, which the extra camera brings")
    import av
    from PIL import Image

    video = tmp_path / "gravel.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for path in sorted(pictures.asked["gravel"].iterdir()):
            image = Image.open(path).convert("RGB").resize((256, 256))
            for packet in stream.encode(av.VideoFrame.from_image(image)):
                container.mux(packet)
        container.mux(stream.encode())
    with served("--state", taught_once, "--camera", video) as (told, process), client_of(told) as client:
        ends = time.monotonic() + SECONDS
        while (answer := client.get("/api/camera/answer")).status_code != 200 and time.monotonic() < ends:
            time.sleep(0.2)
        assert answer.json()["best"] == "gravel"
        assert client.get("/api/camera").json()["source"] == str(video)
        ended(process)


def test_where_the_bundle_is_exchanged_it_ends_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(MICRO, folder)
    with served("--state", tmp_path / "state", "--bundle", folder) as (told, process), client_of(told) as client:
        assert client.get("/api/health").json()["status"] == "ok"
        with socket.create_connection(("127.0.0.1", told["port"])) as stream:
            stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            folder.rename(tmp_path / "old")
            shutil.copytree(MICRO, folder)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 4
    assert "expected the file that was verified when it was opened, found it changed since" in said
    assert said.count("\n") == 1, said


def test_no_path_on_the_wire_leaves_the_folder_of_the_page(tmp_path: Path) -> None:
    with served("--state", tmp_path / "state") as (told, _):
        for path in (b"/static/../app.py", b"/static/%2e%2e/app.py", b"/static//etc/passwd", b"/../../etc/passwd"):
            request = b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            assert spoken(told["port"], request).startswith(b"HTTP/1.1 404 "), path


def test_what_is_no_http_does_not_end_it(tmp_path: Path) -> None:
    with served("--state", tmp_path / "state") as (told, _), client_of(told) as client:
        for bytes_of_strangers in (b"\x00" * 100, b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"SSH-2.0-x\r\n"):
            spoken(told["port"], bytes_of_strangers, b"\r\n\r\n", seconds=2)
        assert client.get("/api/health").status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_first_command_of_the_document_answers(tmp_path: Path, taught_once: Path, pictures: DemoPictures) -> None:
    with served("--state", taught_once) as (told, _):
        asked = sorted(pictures.asked["gravel"].iterdir())[0]
        words = ["curl", "-s", "--data-binary", f"@{asked}", f"http://127.0.0.1:{told['port']}/api/predict"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
        assert json.loads(done.stdout)["best"] == "gravel", done.stdout


def test_the_page_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    here = {f"edge_nusa/device/teaching/static/{path.name}" for path in STATIC.iterdir()}
    assert here <= set(names)
    assert "edge_nusa/device/teaching/static/index.html" in names
