"""What telling costs: a line told to a broker and to Prometheus, and the service that follows a watch's file.

    python tests/telling/measure_telling.py [--lines 2000]

Starts mosquitto on loopback. Prints a table; a line is told as `watch` does it, so its time is what a picture takes
longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from brokers import Mosquitto, wait_until
from conftest import command, environment
from test_mqtt import BOARD, at
from watch_lines import ANSWERED

from edge_nusa.device.telling.lines import Lines, Teller
from edge_nusa.device.telling.mqtt import Mqtt
from edge_nusa.device.telling.numbers import Numbers


def microseconds(tellers: list[Teller], count: int) -> tuple[float, float]:
    """Of a line: the median and the ninety-ninth of a hundred."""
    lines, times = Lines(tellers, print), []
    for number in range(count):
        line = {**ANSWERED, "image": f"{number}.jpg"}
        began = time.perf_counter()
        lines.line(line)
        times.append(1e6 * (time.perf_counter() - began))
        time.sleep(0.001)
    return median(times), sorted(times)[99 * count // 100]


def service(folder: Path, url: str, state: Path) -> tuple[int, float, float]:
    """Resident KiB, processor seconds until it is there, and in a minute in which nothing comes."""
    process = subprocess.Popen(
        command("mqtt", folder / "answers.jsonl", "--broker", url, "--state", state, "--quiet"), env=environment()
    )
    time.sleep(5)
    began = _processor_seconds(process.pid)
    time.sleep(20)
    idle = 3 * (_processor_seconds(process.pid) - began)
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    process.terminate()
    process.wait()
    return resident, began, idle


def _processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=2000)
    count = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as name:
        folder, state = Path(name), Path(name) / "state"
        broker = Mosquitto(folder / "broker").start()
        rows: list[tuple[str, Callable[[], list[Teller]]]] = [
            ("nobody but its own file", list),
            ("Prometheus", lambda: [Numbers(state, print)]),
        ]
        for what, made in rows:
            print(f"{what}: median {microseconds(made(), count)[0]:.0f} us")
        for what, port in (("a broker that is there", broker.port), ("a broker that is away", 1)):
            with Mqtt(at(port), BOARD, state, lambda text: None) as mqtt:
                if port != 1:
                    wait_until(mqtt.broker.is_told, "the broker")
                middle, slow = microseconds([mqtt], count)
            print(f"{what}: median {middle:.0f} us, of a hundred the slowest {slow:.0f} us")
        resident, starts, idle = service(folder, broker.url, state)
        print(f"the service: {resident / 1024:.1f} MiB, starts in {starts:.2f} s of processor, {idle:.2f} s a minute")
        print(f"a message of an answer: {len(json.dumps(ANSWERED))} bytes of line")
        broker.kill()


if __name__ == "__main__":
    main()
