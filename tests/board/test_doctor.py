"""The doctor on boards made of files: what it finds, what it advises, and that no broken package ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from conftest import MICRO
from hollow_bundles import hollow_bundle, hollow_manifest
from identities import identity

from edge_nusa.device.board import doctor, footprint, linux, torch_check
from edge_nusa.device.board.doctor import examine, probe
from edge_nusa.device.board.findings import Finding
from edge_nusa.device.board.measure import child, edge_nusa_words
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import MissingPackageError
from edge_nusa.files.file_record import FileRecord
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.tokenizer import TokenizerSpec
from edge_nusa.state.state import State

PI = """processor\t: 0
Features\t: fp asimd evtstrm crc32 asimddp
CPU part\t: 0xd0b

processor\t: 1
Features\t: fp
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
PC = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz: fast\nflags\t\t: fpu sse4_2 avx2\n"
MEMORY = "MemTotal:        {} kB\nMemFree: 10 kB\nMemAvailable:    {} kB\nHugePages_Total: 0\nDamaged line\n"
FIRMWARE = "devices/platform/soc/soc:firmware/get_throttled"
SOUND_MODULES = {
    "numpy": "",
    "onnxruntime": "def get_available_providers(): return ['CPUExecutionProvider']\n",
    "torch": "",
}
KILLED = "import os, signal; os.kill(os.getpid(), signal.{})"


class Board:
    """A board of files: /proc and /sys in a folder, and packages that a child process imports in place of the real
    ones."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys, self.modules = folder / "proc", folder / "sys", folder / "modules"
        self.bundle, self.state = folder / "bundle", folder / "state"
        for name, code in SOUND_MODULES.items():
            self.module(name, code)
        self.put(self.proc / "cpuinfo", PI)
        self.put(self.proc / "meminfo", MEMORY.format(4_000_000, 3_000_000))
        self.put(self.sys / "class/rtc/rtc0/name", "rtc")

    def put(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def module(self, name: str, code: str) -> None:
        self.put(self.modules / f"{name}.py", code)

    def examined(self) -> dict[str, Finding]:
        findings = examine(self.bundle, self.state)
        by_name = {finding.name: finding for finding in findings}
        assert len(by_name) == len(findings)
        assert all(finding.next_step for finding in findings if finding.status != "ok")
        return by_name


@pytest.fixture
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board(tmp_path)
    monkeypatch.setattr(linux, "PROC", made.proc)
    monkeypatch.setattr(linux, "SYS", made.sys)
    monkeypatch.setenv("PYTHONPATH", str(made.modules))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return made


def learn(state: State, number: int) -> None:
    with state.writer():
        state.commit({"labels.json": str(number).encode()}, f"learn {number}")


def test_a_sound_board_has_nothing_but_ok(pi: Board) -> None:
    bundle = hollow_bundle(pi.bundle)
    learn(State(pi.state, bundle.manifest.identity), 1)
    found = pi.examined()
    assert {finding.status for finding in found.values()} == {"ok"}
    assert found["processor"].found == "Raspberry Pi 5 Model B Rev 1.0"
    assert found["instruction sets"].found == "asimd asimddp"
    assert found["memory"].found == "2929 of 3906 MiB available"
    assert found["onnxruntime providers"].found == "CPUExecutionProvider"
    assert found["bundle"].found == "hollow fp32, 10 files, 0 MiB, every SHA-256 right"
    assert found["state"].found == "1 generations, every SHA-256 right"
    assert found["state's current generation"].found.startswith("1 (learn 1, 20")
    assert found["python"].found.startswith(".".join(map(str, sys.version_info[:2])))
    assert {f"package {name}" for name in doctor.PACKAGES} <= set(found)


def test_examining_writes_nothing(pi: Board) -> None:
    hollow_bundle(pi.bundle)
    before = sorted(path for path in pi.proc.parent.rglob("*") if "__pycache__" not in path.parts)
    assert pi.examined()["state's current generation"].found == "empty: nothing was learned yet"
    assert sorted(path for path in pi.proc.parent.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_torch_killed_by_a_signal_is_a_warning_because_predict_still_works(pi: Board) -> None:
    pi.module("torch", KILLED.format("SIGILL"))
    found = pi.examined()["import torch"]
    assert (found.status, found.found) == (
        "warning",
        "killed by SIGILL; the package was built for another processor; predict and watch work without it, and learn "
        "teaches the head",
    )
    assert "pip install --force-reinstall torch" in found.next_step


def test_a_torch_that_does_not_answer_may_only_be_slow(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    pi.module("torch", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 2)
    found = pi.examined()["import torch"]
    assert (found.status, found.found) == (
        "warning",
        "no answer within 2 s; predict and watch work without it, and learn teaches the head",
    )
    assert found.next_step.startswith(
        "teach with --head-only, or to train texts too, end other programs and ask again; where it stays so, install "
        "it again"
    )


def test_an_onnxruntime_killed_by_a_signal_is_an_error(pi: Board) -> None:
    pi.module("onnxruntime", KILLED.format("SIGSEGV"))
    found = pi.examined()
    assert (found["import onnxruntime"].status, found["import onnxruntime"].found) == ("error", "killed by SIGSEGV")
    assert found["onnxruntime providers"].status == "error"


def test_an_import_error_is_said_by_its_last_line(pi: Board) -> None:
    pi.module("onnxruntime", "raise ImportError('libgomp.so.1: cannot open shared object file')")
    assert pi.examined()["import onnxruntime"].found == "ImportError: libgomp.so.1: cannot open shared object file"


def test_without_numpy_the_bundle_is_not_examined_and_the_doctor_ends_well(pi: Board) -> None:
    hollow_bundle(pi.bundle)
    pi.module("numpy", KILLED.format("SIGILL"))
    found = pi.examined()
    assert found["import numpy"].status == "error"
    assert found["bundle"].found == "not examined, because numpy cannot be imported"


def test_importing_the_doctor_imports_no_native_package() -> None:
    code = (
        "import sys, edge_nusa.device.board.doctor; sys.exit(bool({'numpy', 'onnxruntime', 'torch', 'PIL'} & "
        "set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_packages_that_are_missing_are_errors_but_torch_is_optional(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.version", nothing)
    found = pi.examined()
    assert {found[f"package {name}"].status for name in doctor.PACKAGES} == {"error"}
    assert (found["import torch"].status, found["import torch"].found) == (
        "ok",
        "not installed; predict and watch work without it, and learn teaches the head",
    )
    assert 'pip install "edge-nusa[learn]"' in found["import torch"].next_step


def test_no_cpu_provider_is_an_error(pi: Board) -> None:
    pi.module("onnxruntime", "def get_available_providers(): return ['OtherProvider']\n")
    found = pi.examined()["onnxruntime providers"]
    assert (found.status, found.found) == ("error", "OtherProvider")


def test_a_probe_does_not_import_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert probe("import numpy").failure == ""


def test_a_probe_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.2)
    assert probe("import time; time.sleep(60)").failure == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("code", "failure"),
    [("raise SystemExit(3)", "exit code 3"), ("import os; os.kill(os.getpid(), 40)", "killed by signal 40")],
)
def test_other_ends_of_a_probe_are_said_too(code: str, failure: str) -> None:
    assert probe(code).failure == failure


def test_little_memory_and_little_disk_are_said(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    pi.put(pi.proc / "meminfo", MEMORY.format(500_000, 100_000))
    monkeypatch.setattr(doctor, "LITTLE_DISK_BYTES", 1 << 62)
    found = pi.examined()
    assert (found["memory"].status, found["disk"].status) == ("warning", "warning")
    assert found["disk"].found.endswith(f"free at {pi.state.parent}")
    monkeypatch.setattr(doctor, "TOO_LITTLE_DISK_BYTES", 1 << 62)
    assert pi.examined()["disk"].status == "error"


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ("0\n", "ok", "no under-voltage, no throttling"),
        (
            "50005\n",
            "warning",
            "under-voltage now, throttled now, under-voltage since the start, throttled since the start",
        ),
        ("0x1\n", "warning", "under-voltage now"),
    ],
)
def test_under_voltage_of_a_raspberry_pi_is_said(pi: Board, text: str, status: str, found: str) -> None:
    pi.put(pi.sys / FIRMWARE, text)
    power = pi.examined()["power"]
    assert (power.status, power.found) == (status, found)


def test_the_hottest_sensor_counts_and_unreadable_ones_do_not(pi: Board) -> None:
    for zone, text in enumerate(["45123\n", "81500\n", "", "nonsense"]):
        pi.put(pi.sys / f"class/thermal/thermal_zone{zone}/temp", text)
    heat = pi.examined()["temperature"]
    assert (heat.status, heat.found) == ("warning", "81.5 °C at the hottest sensor")


def test_what_the_system_does_not_tell_is_left_out(pi: Board) -> None:
    (pi.proc / "cpuinfo").unlink()
    (pi.proc / "meminfo").unlink()
    pi.put(pi.sys / FIRMWARE, "nonsense")
    found = pi.examined()
    assert {"memory", "temperature", "power"}.isdisjoint(found)
    assert found["processor"].found
    assert found["instruction sets"].found == "none of those that speed up inference"


def test_the_processor_of_a_pc_is_read(pi: Board) -> None:
    pi.put(pi.proc / "cpuinfo", PC)
    found = pi.examined()
    assert (found["processor"].found, found["instruction sets"].found) == ("Some CPU @ 2.00GHz: fast", "sse4_2 avx2")


def test_large_pages_come_with_advice(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 16384)
    found = pi.examined()["memory page"]
    assert (found.status, found.found) == ("ok", "16384 bytes")
    assert "kernel=kernel8.img" in found.next_step


def test_a_missing_bundle_and_a_changed_file_are_errors(pi: Board) -> None:
    found = pi.examined()
    assert found["bundle"].status == "error"
    assert "no bundle in" in found["bundle"].found
    assert found["state's current generation"].status == "warning"
    hollow_bundle(pi.bundle)
    (pi.bundle / "tokenizer.json").write_bytes(b"tokenizer.jsoN")
    assert "tokenizer.json: expected SHA-256" in pi.examined()["bundle"].found


def test_a_damaged_current_generation_is_an_error_and_an_older_one_a_warning(pi: Board) -> None:
    state = State(pi.state, hollow_bundle(pi.bundle).manifest.identity)
    for number in (1, 2, 3):
        learn(state, number)
    (pi.state / "generations/000002/labels.json").write_bytes(b"9")
    found = pi.examined()
    assert (found["state"].status, found["state"].found) == ("warning", "2 sound generations, damaged: 000002")
    assert found["state's current generation"].status == "ok"
    (pi.state / "generations/000003/labels.json").write_bytes(b"9")
    now = pi.examined()["state's current generation"]
    assert (now.status, "edge-nusa undo" in now.next_step, "000003" in now.found) == ("error", True, True)


def test_the_state_of_another_bundle_is_an_error(pi: Board) -> None:
    hollow_bundle(pi.bundle)
    learn(State(pi.state, identity()), 1)
    found = pi.examined()["state's current generation"]
    assert found.status == "error"
    assert "belongs to another bundle" in found.found


def test_the_real_packages_of_this_environment_can_be_imported() -> None:
    assert (
        probe("import onnxruntime; print(*onnxruntime.get_available_providers())")
        .output.split()
        .count("CPUExecutionProvider")
        == 1
    )


def test_under_voltage_is_read_from_the_newer_places_too(pi: Board) -> None:
    pi.put(pi.sys / "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n")
    assert pi.examined()["power"].found == "under-voltage now"
    (pi.sys / "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled").unlink()
    pi.put(pi.sys / "class/hwmon/hwmon3/name", "rpi_volt\n")
    for alarm, status in (("1\n", "warning"), ("0\n", "ok")):
        pi.put(pi.sys / "class/hwmon/hwmon3/in0_lcrit_alarm", alarm)
        assert pi.examined()["power"].status == status


def test_a_clock_before_the_release_is_a_warning_and_a_missing_one_is_said(
    pi: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pi.sys / "class/rtc/rtc0/name").unlink()
    (pi.sys / "class/rtc/rtc0").rmdir()
    assert "no hardware clock" in pi.examined()["clock"].found
    monkeypatch.setattr("time.time", lambda: 0.0)
    clock = pi.examined()["clock"]
    assert (clock.status, clock.found[:16]) == ("warning", "1970-01-01 00:00")
    assert "timedatectl" in clock.next_step


@pytest.mark.parametrize(("available_kb", "limit", "status", "said"), [
    (3_000_000, "max", "ok", ""),
    (250_000, "max", "warning", "learn may not fit while it trains the text: --head-only or --max-memory leaves"),
    (127_200, "max", "warning", "learn may not fit, not even of the head:"),
    (50_000, "max", "warning", "predict may not fit"),
    (3_000_000, str(64 << 20), "warning", "predict may not fit"),
])  # fmt: skip
def test_what_fits_is_said_by_free_memory_and_by_a_containers_limit(
    pi: Board, available_kb: int, limit: str, status: str, said: str
) -> None:
    hollow_bundle(pi.bundle)
    pi.put(pi.proc / "meminfo", MEMORY.format(4_000_000, available_kb))
    pi.put(pi.sys / "fs/cgroup/memory.max", limit + "\n")
    room = pi.examined()["room for the bundle"]
    assert room.status == status
    assert said in room.next_step
    assert ("64 MiB allowed" in room.found) is limit.isdecimal()


def test_learning_on_an_old_processor_tries_torch_in_a_child_first(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    pi.module("torch", KILLED.format("SIGILL"))
    torch_check.check_processor()  # this board has dot products: nothing is tried
    pi.put(pi.proc / "cpuinfo", PI.replace(" asimddp", ""))
    with pytest.raises(MissingPackageError, match=r"training needs a torch .*killed by SIGILL.*docs/board.md"):
        torch_check.check_processor()


def test_a_torch_that_is_slow_on_an_old_processor_is_not_refused(pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 3)
    tried = pi.proc / "tried"
    pi.module("torch", f"open({str(tried)!r}, 'w').close(); import time; time.sleep(60)")
    pi.put(pi.proc / "cpuinfo", PI.replace(" asimddp", ""))
    torch_check.check_processor()
    assert tried.exists(), "it was tried, and given up after three seconds"


@pytest.mark.parametrize("bundle", [MICRO, embedded_bundle()], ids=["micro", "lite"])
def test_the_estimate_of_memory_is_near_what_is_measured(
    bundle: Path, pictures: DemoPictures, three: Path, tmp_path: Path
) -> None:
    need = footprint.estimate(Bundle.open(bundle).manifest)
    common = ("--bundle", bundle, "--threads", "1", "--state", tmp_path / "new")
    learned = child(edge_nusa_words("learn", "--dataset", three, "--steps", "5", *common))
    asked = child(edge_nusa_words("predict", pictures.asked["gravel"], *common))
    assert 0.6 < asked.peak_rss_bytes / need.predict_bytes < 1.7
    assert 0.6 < learned.peak_rss_bytes / need.learn_bytes < 1.7
    alone = child(edge_nusa_words("learn", "--dataset", three, "--head-only", "--again", *common))
    assert 0.6 < alone.peak_rss_bytes / need.head_bytes < 1.7


def test_other_programs_are_what_all_cores_did_less_what_this_process_did(
    pi: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    clock, own = iter([100.0, 110.0]), iter([3.0, 7.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("time.process_time", lambda: next(own))
    idle_and_waiting = 123_456
    pi.put(pi.proc / "stat", f"cpu  1000 200 300 {idle_and_waiting} 5000 10 20 0 0 0\ncpu0 1 2 3\n")
    neighbours = linux.Neighbours()
    # 10 seconds: all cores worked 900 ticks more, this process 4 seconds of them
    pi.put(pi.proc / "stat", f"cpu  1500 400 450 {2 * idle_and_waiting} 9000 20 60 0 0 0\n")
    assert neighbours.cores() == pytest.approx((900 * tick - 4) / 10)


@pytest.mark.parametrize("text", [None, "", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9\n"])
def test_where_linux_has_no_books_other_programs_are_not_known(pi: Board, text: str | None) -> None:
    if text is not None:
        pi.put(pi.proc / "stat", text)
    assert linux.Neighbours().cores() is None


def test_a_text_tower_that_reads_whole_texts_is_estimated_with_all_of_its_positions() -> None:
    short = hollow_manifest()
    long = replace(short, text=replace(short.text, size=77, causal=False))
    needed = [footprint.estimate(one, labels=100).learn_bytes for one in (short, long)]
    text, rows = long.text, 64 + 32
    steps = [4 * rows * tokens * (10 * text.width + 2 * text.mlp_width + text.heads * tokens) for tokens in (16, 77)]
    kept = [8 * 100 * tokens * text.width for tokens in (16, 77)]
    assert needed[1] - needed[0] == steps[1] - steps[0] + kept[1] - kept[0]


def test_a_hubs_tokenizer_is_estimated_by_the_size_of_its_file() -> None:
    plain = hollow_manifest()
    files = {**plain.files, "tokenizer.json": FileRecord("", 1 << 30)}
    large = replace(plain, files=files)
    from_hub = replace(large, tokenizer=TokenizerSpec(kind="file"))
    assert footprint.estimate(large) == footprint.estimate(plain), "CLIP's own is part of the program"
    more = replace(from_hub, files={**files, "tokenizer.json": FileRecord("", (1 << 30) + 1)})
    assert footprint.estimate(more).learn_bytes - footprint.estimate(from_hub).learn_bytes == 24
    assert footprint.estimate(from_hub).predict_bytes == footprint.estimate(plain).predict_bytes


def test_a_package_that_is_onnxruntime_under_another_name_is_no_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return "1.31.1"

    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    assert doctor._package("onnxruntime").found == "onnxruntime-gpu 1.31.1"
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"onnxruntime": ["onnxruntime"]})
    assert doctor._package("onnxruntime").found == "not installed"
