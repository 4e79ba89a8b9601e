"""The numbers of a watch as Prometheus reads them: parsed, named by its conventions, scraped, and written whole."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Listener, Mosquitto, wait_until
from conftest import run_cli
from processes import one_line, run_patched
from store_servers import free_port
from test_mqtt_commands import Started
from watch_lines import ANSWERED

from edge_nusa.device.board import linux
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.telling import prometheus
from edge_nusa.device.telling.learned import Learned, LearnedFolder
from edge_nusa.device.telling.lines import Lines
from edge_nusa.device.telling.numbers import SECONDS, Numbers
from edge_nusa.device.telling.prometheus import Port, TextFile, place_of, registry
from edge_nusa.device.telling.reasons import KINDS, kind_of
from edge_nusa.errors import ResourceError, UsageError
from edge_nusa.files import durable

client = pytest.importorskip("prometheus_client")
UNITS = ("_seconds", "_bytes", "_celsius", "_info", "_total")
PLAIN = {"edge_nusa_generation", "edge_nusa_labels", "edge_nusa_camera_up", "edge_nusa_throttled"}


def parsed(text: str) -> dict[str, float]:
    """Each sample by its name and labels, as Prometheus' own parser reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def lint(text: str) -> list[str]:
    """What `promtool check metrics` complains of, of its rules those that fit."""
    from prometheus_client.parser import text_string_to_metric_families

    faults = []
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        if not re.fullmatch(r"edge_nusa_[a-z_]+", name):
            faults.append(f"{name}: expected small letters and our prefix")
        if not family.documentation.endswith("."):
            faults.append(f"{name}: expected a sentence of help")
        if family.type in ("unknown", "untyped"):
            faults.append(f"{name}: expected a type")
        if family.type == "gauge" and name.endswith("_total"):
            faults.append(f"{name}: a gauge is no total")
        if not name.endswith(UNITS) and name not in PLAIN:
            faults.append(f"{name}: expected a unit")
        if re.search(r"milli|percent|_ms$|minutes|hours|kilo|mega", name):
            faults.append(f"{name}: expected a base unit")
        if not {label for sample in family.samples for label in sample.labels} <= {
            "le",
            "reason",
            "condition",
            "version",
        }:
            faults.append(f"{name}: a label whose values nobody bounds")
    return faults


class Counted:
    """The numbers of a watch that writes lines."""

    def __init__(self, state: Path) -> None:
        self.notes: list[str] = []
        self.numbers = Numbers(state, self.notes.append)
        self.lines = Lines([self.numbers], self.notes.append)

    def text(self) -> str:
        return str(client.generate_latest(registry(self.numbers)).decode())

    def found(self) -> dict[str, float]:
        return parsed(self.text())


@pytest.fixture
def counted(taught: Path) -> Counted:
    return Counted(taught)


def test_lines_are_counted_by_what_became_of_each(counted: Counted) -> None:
    for changed in ({}, {"best": None, "known": 0.1}, {"seconds": 3.0}, {"seconds": 99.0}, {"seconds": None}):
        counted.lines.line({**ANSWERED, **changed})
    for reason in ("expected a whole picture, found it cut or damaged", "it is as it is", "expected a readable file"):
        counted.lines.line({"image": "a.jpg", "reason": reason, "time": "t"})
    found = counted.found()
    assert found["edge_nusa_pictures_answered_total"] == 5 and found["edge_nusa_pictures_unknown_total"] == 1
    aside = {kind: found[f"edge_nusa_pictures_set_aside_total{{reason={kind}}}"] for kind in KINDS}
    assert {kind: count for kind, count in aside.items() if count} == {"damaged": 1, "other": 1, "unreadable": 1}
    assert found["edge_nusa_picture_seconds_count"] == 4
    assert found["edge_nusa_picture_seconds_sum"] == pytest.approx(0.041 * 2 + 3 + 99)
    buckets = [found[f"edge_nusa_picture_seconds_bucket{{le={end}}}"] for end in [*map(str, SECONDS), "+Inf"]]
    assert buckets == [0, 0, 0, 2, 2, 2, 2, 2, 2, 3, 3, 4]
    assert found["edge_nusa_last_line_timestamp_seconds"] == pytest.approx(time.time(), abs=60)


def test_a_line_does_not_wait_for_a_disk_that_is_slow(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, goes_on = threading.Event(), threading.Event()

    def slow(folder: LearnedFolder) -> Learned:
        reads.set()
        goes_on.wait(30)
        return Learned(7)

    monkeypatch.setattr(LearnedFolder, "look", slow)
    found: list[int] = []
    looking = threading.Thread(target=lambda: found.append(counted.numbers.learned()[0].generation), daemon=True)
    looking.start()
    assert reads.wait(10)
    telling = threading.Thread(target=lambda: counted.lines.line(ANSWERED), daemon=True)
    telling.start()
    telling.join(10)
    assert not telling.is_alive() and counted.numbers.counts().answered == 1 and found == []
    goes_on.set()
    looking.join(10)
    assert found == [7]


@pytest.mark.parametrize(("seconds", "first"), [(0.005, "0.005"), (0.0051, "0.01"), (0.0, "0.005")])
def test_a_bucket_holds_what_is_not_above_its_end(counted: Counted, seconds: float, first: str) -> None:
    counted.lines.line({**ANSWERED, "seconds": seconds})
    found = counted.found()
    assert next(end for end in map(str, SECONDS) if found[f"edge_nusa_picture_seconds_bucket{{le={end}}}"]) == first


def test_what_the_board_knows_is_told(counted: Counted, taught: Path) -> None:
    found = counted.found()
    assert (found["edge_nusa_generation"], found["edge_nusa_labels"]) == (1, 3)
    size = sum(p.stat().st_size for p in (taught / "generations" / "000001").iterdir() if p.name != "manifest.json")
    assert found["edge_nusa_state_bytes"] == size
    assert found["edge_nusa_last_lesson_timestamp_seconds"] == pytest.approx(time.time(), abs=3600)
    assert "edge_nusa_last_sync_timestamp_seconds" not in found and "edge_nusa_camera_up" not in found
    assert found["edge_nusa_build_info{version=0.1.0}"] == 1


def test_an_empty_state_is_generation_0_without_a_lesson(tmp_path: Path) -> None:
    found = Counted(tmp_path / "none").found()
    assert found["edge_nusa_generation"] == 0 and "edge_nusa_last_lesson_timestamp_seconds" not in found


def test_the_last_exchange_with_a_fleet_is_the_newest_change_of_what_it_leaves(counted: Counted, taught: Path) -> None:
    for name, when in (("metadata", 1), ("sent", 2000), ("bases", 1000)):
        (taught / "sync" / name).mkdir(parents=True)
        os.utime(taught / "sync" / name, (when, when))
    (taught / "sync" / "metadata" / "timestamp.json").write_text("{}")
    os.utime(taught / "sync" / "metadata" / "timestamp.json", (3000, 3000))
    assert counted.found()["edge_nusa_last_sync_timestamp_seconds"] == 3000


def test_a_lost_camera_and_one_that_is_back_are_told(counted: Counted) -> None:
    counted.lines.line({"camera": "/dev/video0", "state": "lost", "reason": "it is gone", "time": "t"})
    found = counted.found()
    assert found["edge_nusa_camera_up"] == 0 and found["edge_nusa_pictures_answered_total"] == 0
    assert found["edge_nusa_last_line_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    counted.lines.line({"camera": "/dev/video0", "state": "back", "reason": "", "time": "t"})
    assert counted.found()["edge_nusa_camera_up"] == 1 and counted.notes == []


def test_heat_and_power_are_told_where_the_board_tells_them(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux, "SYS", tmp_path)
    assert not [name for name in counted.found() if "celsius" in name or "throttled" in name]
    (tmp_path / "class" / "thermal" / "thermal_zone0").mkdir(parents=True)
    (tmp_path / "class" / "thermal" / "thermal_zone0" / "temp").write_text("48312\n")
    firmware = tmp_path / "devices" / "platform" / "soc" / "soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    found = counted.found()
    assert found["edge_nusa_temperature_celsius"] == 48.312
    throttled = {name: value for name, value in found.items() if "throttled" in name}
    assert len(throttled) == 8 and sum(throttled.values()) == 4
    assert throttled["edge_nusa_throttled{condition=under-voltage now}"] == 1
    assert throttled["edge_nusa_throttled{condition=frequency capped now}"] == 0


def test_names_and_units_are_prometheus_conventions_and_no_series_is_unbounded(counted: Counted) -> None:
    counted.lines.line(ANSWERED)
    counted.lines.line({"camera": "c", "state": "lost", "reason": "", "time": "t"})
    text = counted.text()
    assert lint(text) == [] and len(parsed(text)) < 60
    before = len(parsed(text))
    for number in range(100):
        counted.lines.line({**ANSWERED, "image": f"{number}.jpg", "best": f"label {number}"})
        counted.lines.line({"image": f"{number}.jpg", "reason": f"reason {number}", "time": "t"})
    assert len(counted.found()) == before and "mug" not in counted.text()


REAL = [
    ("size", "expected 1 to 50331648 bytes, found 0; replace or scale down the picture"),
    ("size", "expected sides of at most 100 to 1, found 1 x 500; crop the picture"),
    ("not_a_picture", "not a picture by its name: expected .jpg, .png; if it is one, rename it or convert it"),
    ("not_a_picture", "a video, which is not read; save single pictures of it as JPEG"),
    ("not_a_picture", "expected the content of a JPEG, found text"),
    ("damaged", "expected a whole picture, found its header cut or damaged; replace it"),
    ("unreadable", "expected a regular file, found a FIFO"),
    ("unreadable", "expected a readable picture or folder, found no permission; change its permissions"),
    ("changing", "it changes at every look and could not be had whole in between (it changed while it was read)"),
    ("killed", "expected a picture that can be opened, found that the watch was killed while it opened this one"),
    ("killed", "expected a picture that can be decoded in 300 MiB, found one that ended its decoder (SIGKILL)"),
    ("too_many", "expected at most 100000 files, found more; only those that came or changed last are answered"),
    ("other", "something new"),
]


@pytest.mark.parametrize(("kind", "reason"), REAL)
def test_a_reason_is_of_a_kind(kind: str, reason: str) -> None:
    assert kind_of(reason) == kind


def test_real_files_that_are_set_aside_are_of_kinds_that_fit(
    taught: Path, tmp_path: Path, pictures: DemoPictures
) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "text.jpg").write_text("no picture")
    (camera / "empty.png").write_bytes(b"")
    (camera / "film.mp4").write_bytes(b"x")
    whole = sorted(pictures.asked["gravel"].iterdir())[0].read_bytes()
    (camera / "cut.png").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(camera / "pipe.jpg")
    done = run_cli("watch", camera, "--once", "--every", "0.05", "--state", taught, "--metrics", tmp_path / "m.prom")
    assert done.returncode == 0, done.stderr
    found = parsed((tmp_path / "m.prom").read_text())
    aside = {kind: found[f"edge_nusa_pictures_set_aside_total{{reason={kind}}}"] for kind in KINDS}
    assert {kind: count for kind, count in aside.items() if count} == {
        "size": 1,
        "not_a_picture": 2,
        "damaged": 1,
        "unreadable": 1,
    }


def test_a_watch_writes_its_numbers_into_a_file_whole_and_for_others_to_read(
    taught: Path, tmp_path: Path, pictures: DemoPictures
) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    words = ("--once", "--every", "0.05", "--state", taught, "--format", "json")
    done = run_cli("watch", pictures.asked["gravel"], *words, "--metrics", folder / "edge-nusa.prom")
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == 8
    assert [path.name for path in folder.iterdir()] == ["edge-nusa.prom"]
    text = (folder / "edge-nusa.prom").read_text()
    found = parsed(text)
    assert lint(text) == []
    assert found["edge_nusa_pictures_answered_total"] == 8 == found["edge_nusa_picture_seconds_count"]
    assert 0 < found["edge_nusa_picture_seconds_sum"] < 60
    assert (folder / "edge-nusa.prom").stat().st_mode & 0o444 == 0o444 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_file_is_written_again_and_again_and_by_rename(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "WRITE_SECONDS", 0.05)
    path = tmp_path / "m.prom"
    with TextFile(path, counted.numbers, counted.notes.append):
        first = path.stat().st_ino
        counted.lines.line(ANSWERED)
        wait_until(lambda: parsed(path.read_text())["edge_nusa_pictures_answered_total"] == 1, "the next writing")
        assert path.stat().st_ino != first


def test_a_disk_that_refuses_is_noted_once_and_ends_nothing(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "WRITE_SECONDS", 0.02)

    def full(path: Path, data: bytes) -> None:
        raise ResourceError("write: expected room, found none")

    with TextFile(tmp_path / "m.prom", counted.numbers, counted.notes.append):
        monkeypatch.setattr(durable, "write_asked", full)
        time.sleep(0.3)
    assert counted.notes == ["the metrics are not written: write: expected room, found none"]


def test_a_file_that_node_exporter_passes_by_and_one_that_cannot_be_written_are_refused_at_once(
    counted: Counted, tmp_path: Path, taught: Path
) -> None:
    with pytest.raises(UsageError, match=r"--metrics: expected a name that ends with \.prom"):
        TextFile(tmp_path / "m.txt", counted.numbers, counted.notes.append)
    done = run_cli("watch", tmp_path, "--state", taught, "--metrics", tmp_path / "none" / "m.prom")
    assert "expected its folder to be there, found none" in one_line(done, 1)


@pytest.fixture
def scraped(taught: Path, tmp_path: Path, pictures: DemoPictures) -> Iterator[tuple[int, Path]]:
    """A watch that gives its numbers at a port, and its folder."""
    camera, port = tmp_path / "camera", free_port()
    camera.mkdir()
    words = ("--every", "0.05", "--state", taught, "--metrics-port", str(port))
    started = Started(tmp_path, "watch", camera, *words)
    yield port, camera
    assert started.end() == 143 and "Traceback" not in started.text()


def scrape(port: int, path: str = "/metrics") -> tuple[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode(), answer.headers


def test_who_asks_at_the_port_gets_the_numbers_of_now(scraped: tuple[int, Path], pictures: DemoPictures) -> None:
    port, camera = scraped

    def is_there() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_there, "the port")
    text, headers = scrape(port)
    assert headers["Content-Type"].startswith("text/plain; version=") and lint(text) == []
    assert parsed(text)["edge_nusa_pictures_answered_total"] == 0
    shutil.copy(sorted(pictures.asked["gravel"].iterdir())[0], camera / "first.png")
    wait_until(lambda: parsed(scrape(port)[0])["edge_nusa_pictures_answered_total"] == 1, "the answer to be counted")
    others = [one for one in _addresses() if not one.startswith("127.")]
    for address in others:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((address, port)) != 0, "only this board is answered"


def _addresses() -> list[str]:
    return [str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("9101", ("127.0.0.1", 9101)),
        ("0.0.0.0:9101", ("0.0.0.0", 9101)),
        ("[::]:1", ("::", 1)),
        ("a:65535", ("a", 65535)),
    ],
)
def test_a_port_is_this_boards_alone_unless_an_address_is_given(place: str, expected: tuple[str, int]) -> None:
    assert place_of(place) == expected


@pytest.mark.parametrize("place", ["", "x", "0", "65536", ":9101", "-1", "9101x", "１２", "1" * 9])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="--metrics-port: expected PORT or ADDRESS:PORT, found something else"):
        place_of(place)


def test_who_says_nothing_at_the_port_is_let_go(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "REQUEST_SECONDS", 0.3)
    port = free_port()
    with Port(str(port), counted.numbers), socket.create_connection(("127.0.0.1", port), 10) as silent:
        assert silent.recv(1) == b""


def test_a_port_that_is_taken_is_one_line(taught: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli("watch", tmp_path, "--state", taught, "--metrics-port", str(port))
    line = one_line(done, 1)
    assert f"--metrics-port: expected a free port at 127.0.0.1, found {port} that cannot be had" in line


def test_without_the_package_one_line_says_what_to_install(taught: Path, tmp_path: Path) -> None:
    patch = "import sys\nsys.modules['prometheus_client'] = None"
    done = run_patched(patch, "watch", tmp_path, "--state", taught, "--metrics", tmp_path / "m.prom")
    line = one_line(done, 2)
    assert line.startswith("edge-nusa: metrics needs packages that are missing here") and '"edge-nusa[metrics]"' in line


def test_a_watch_tells_a_broker_and_prometheus_at_once(taught: Path, tmp_path: Path, pictures: DemoPictures) -> None:
    pytest.importorskip("paho.mqtt.client")
    broker = Mosquitto(tmp_path / "broker").start()
    listener = Listener(broker.port)
    words = ("--once", "--every", "1", "--state", taught, "--mqtt", broker.url, "--metrics", tmp_path / "m.prom")
    assert run_cli("watch", pictures.asked["gravel"], *words).returncode == 0
    assert parsed((tmp_path / "m.prom").read_text())["edge_nusa_pictures_answered_total"] == 8
    assert listener.last("/answer")["picture"].endswith(".png")
    listener.close()
    broker.kill()
