"""What publishing and pulling a bundle takes: bytes, seconds and memory of each command, in a process of its own.

    PYTHONPATH=. python tests/fleet/measure_bundles.py            # the embedded model, and one with 600 MB more

The larger one is the embedded model with a further file of random bytes, so that nothing is shared or packed. Stores: a
folder, and Python's own web server over a mirror of it. docs/bundles.md has what came out.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from store_servers import free_port, serving

from edge_nusa.files.file_record import FileRecord, file_sha256
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import Bundle, embedded_bundle

MORE_BYTES = 600_000_000


def enlarged(folder: Path) -> Path:
    """The embedded bundle with another file."""
    shutil.copytree(embedded_bundle(), folder)
    with (folder / "more.bin").open("wb") as file:
        for start in range(0, MORE_BYTES, 1 << 20):
            file.write(secrets.token_bytes(min(1 << 20, MORE_BYTES - start)))
    found = Bundle.open(embedded_bundle()).manifest
    more = FileRecord(file_sha256(folder / "more.bin"), MORE_BYTES)
    made = replace(found, model="larger", files={**found.files, "more.bin": more})
    (folder / "manifest.json").write_bytes(manifests.encode(made))
    return folder


def measured(name: str, folder: Path, *words: str | Path) -> None:
    """Run a command and print its seconds and the most memory it had."""
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "EDGE_NUSA_HUB": str(folder / "hub")}
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "edge_nusa", *map(str, words)], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, words
    seconds, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    print(f"{name:<40} {seconds:7.1f} s  {cpu:6.1f} s of processor  {usage.ru_maxrss / 1024:6.1f} MiB", flush=True)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="measure-") as name, ExitStack() as stack:
        folder = Path(name)
        root, store, www = folder / "hub" / "root.json", folder / "store", folder / "www"
        measured("hub init", folder, "hub", "init", store)
        measured("hub bundles, none", folder, "hub", "bundles")
        port = free_port()
        for bundle, given in (("lite", embedded_bundle()), ("larger", enlarged(folder / "larger"))):
            print(f"{bundle}: {size_of(given)} bytes")
            measured(f"publish-bundle {bundle}", folder, "hub", "publish-bundle", given)
            measured(f"publish-bundle {bundle}, again", folder, "hub", "publish-bundle", given)
            measured(f"publish-bundle {bundle}, to a mirror", folder, "hub", "publish-bundle", given, "--mirror", www)
            if bundle == "lite":
                words = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(www), str(port)]
                stack.enter_context(serving(words, port, folder / "log"))
            for kind, place in (("folder", str(store)), ("http", f"http://127.0.0.1:{port}")):
                words = ["pull", place, bundle, "--root", str(root), "--out", str(folder / f"{bundle}-{kind}")]
                measured(f"pull {bundle}, {kind}", folder, *words)
                measured(f"pull {bundle}, {kind}, again", folder, *words)
                shutil.rmtree(folder / f"{bundle}-{kind}")
        print(
            f"the store: {size_of(store)} bytes, {sum(1 for one in (store / 'bundles').iterdir())} objects of bundles"
        )


if __name__ == "__main__":
    main()
