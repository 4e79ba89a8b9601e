"""Measures the page's server beside the library: `python tests/teaching/measure_page.py`, about a minute.

Prints one line of JSON: memory of the server and of the child that decodes for it, and of a question of each size of
picture the milliseconds by the clock (the median, and the least) and of the processor (server and child together),
over HTTP and by `Model.predict`. The embedded model on one thread.
"""

from __future__ import annotations

import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from PIL import Image

from edge_nusa import Model
from edge_nusa.device.demo.pictures import write_pictures

SIZES = ((256, 256), (1280, 960), (4000, 3000))
ROUNDS, WARM = 40, 5
TICKS = os.sysconf("SC_CLK_TCK")


def mib(pid: int) -> dict[str, int]:
    """Resident memory of a process now, and at most."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) >> 10 for name in ("VmRSS", "VmHWM")}


def processor(*pids: int) -> float:
    """Seconds that processes took."""
    rows = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(row[11]) + int(row[12]) for row in rows) / TICKS


def children(pid: int) -> list[int]:
    told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in told.split()]


def timed(ask: Callable[[], object], took: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of one question."""
    for _ in range(WARM):
        ask()
    clock, began = [], took()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ask()
        clock.append(time.perf_counter() - start)
    found = {"median": statistics.median(clock), "least": min(clock), "processor": (took() - began) / ROUNDS}
    return {name: round(1000 * seconds, 1) for name, seconds in found.items()}


def sized(path: Path, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.open(path).convert("RGB").resize(size).save(file, "JPEG", quality=90)
    return file.getvalue()


def measured(folder: Path) -> dict[str, object]:
    pictures, state = write_pictures(folder / "pictures"), folder / "state"
    words = [sys.executable, "-m", "edge_nusa.cli.main", "teach", "--port", "0", "--format", "json", "--threads", "1"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_NUSA_")}
    server = subprocess.Popen([*words, "--state", str(state)], stdout=subprocess.PIPE, text=True, env=env)
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    memory = {"begun": mib(server.pid)}
    with httpx.Client(base_url=f"http://127.0.0.1:{told['port']}", timeout=300, trust_env=False) as client:
        for label, taught in pictures.taught.items():
            files = [("files", (path.name, path.read_bytes())) for path in sorted(taught.iterdir())]
            client.post("/api/pictures", params={"label": label}, files=files)
        client.post("/api/lessons", json={"head_only": True})
        while client.get("/api/lessons").json()["state"] != "done":
            time.sleep(0.05)
        memory["taught"] = mib(server.pid)
        model, asked = Model.open(None, state, threads=1), sorted(pictures.asked["gravel"].iterdir())[0]
        questions: dict[str, object] = {}
        for size in SIZES:
            data = sized(asked, size)
            questions[f"{size[0]} x {size[1]}"] = {
                "http": timed(
                    lambda data=data: client.post("/api/predict", content=data).raise_for_status(),  # type: ignore[misc]
                    lambda: processor(server.pid, *children(server.pid)),
                ),
                "library": timed(lambda data=data: model.predict(data), time.process_time),  # type: ignore[misc]
            }
        began = time.perf_counter()
        client.post("/api/predict?why=1", content=data).raise_for_status()
        why = round(time.perf_counter() - began, 2)
        memory |= {"asked": mib(server.pid), "decodes": mib(children(server.pid)[0])}
    server.send_signal(signal.SIGINT)
    began = time.perf_counter()
    server.wait()
    ended = round(time.perf_counter() - began, 2)
    load = os.getloadavg()[0]
    return {"memory": memory, "questions": questions, "why_seconds": why, "ended_seconds": ended, "load": load}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measured(Path(place)), allow_nan=False))
