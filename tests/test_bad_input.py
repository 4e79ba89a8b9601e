"""Bad input at the command line: the documented exit code, one line that says what is wrong, and an unchanged state."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO, answer_of, bytes_of, command, current_of, environment, run_cli
from PIL import Image

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import EXIT_CODES
from edge_nusa.files import tensor_file
from edge_nusa.files.identity import Identity
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
FEW = ("--steps", "3")
STOPS_WITHIN_SECONDS = 5
"""What is promised is 2 s; a busy machine is given more."""


def refused(state: Path, code: int, *arguments: str | Path, says: str, env: dict[str, str] | None = None) -> str:
    """Runs it; checks exit code, the one line on stderr with `says` in it, stdout empty but for the reason of each
    picture or of the judge, and that the state kept its bytes."""
    before = bytes_of(state)
    done = run_cli(*arguments, "--state", state, env=env)
    assert done.returncode == code, done.stderr
    assert code in EXIT_CODES
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("edge-nusa: ") and done.stderr.endswith("\n") and done.stderr.count("\n") == 1, (
        done.stderr
    )
    assert all(character.isprintable() for character in done.stderr[:-1])
    assert says in done.stderr
    for line in done.stdout.splitlines():
        said = json.loads(line)
        assert (
            set(said) == {"image", "reason"}
            if arguments[0] == "predict"
            else f"edge-nusa: {said['refused']}\n" == (done.stderr)
        )
    assert bytes_of(state) == before
    return done.stderr


def bomb() -> bytes:
    """A PNG of a few hundred bytes that announces 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(60_001)))
        + chunk(b"IEND", b"")
    )


def cut_jpeg(folder: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)).save(folder / "whole.jpeg")
    data = (folder / "whole.jpeg").read_bytes()
    (folder / "whole.jpeg").unlink()
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("cut.jpg", None, "expected a whole picture, found it cut or damaged"),
        ("text.jpg", b"this is text", "found something else or a damaged header"),
        ("bomb.png", bomb(), "expected 1 to 50000000 pixels"),
        (
            "drawing.jpg",
            EPS,
            "expected the content of a JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PNM, found PostScript",
        ),
        ("empty.png", b"", "expected 1 to 50331648 bytes, found 0"),
    ],
)
def test_a_picture_that_cannot_be_read_teaches_nothing(
    name: str, content: bytes | None, says: str, taught: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "only"
    folder.mkdir()
    (folder / name).write_bytes(cut_jpeg(folder) if content is None else content)
    refused(taught, 1, "learn", "--images", folder, "--label", "thing", *FEW, says=says)
    done = run_cli("predict", folder / name, "--state", taught)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert says in done.stderr and says in json.loads(done.stdout)["reason"]


def test_predict_on_an_unreadable_picture_says_so_in_one_line(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is text")
    refused(taught, 1, "predict", "--quiet", tmp_path / "text.jpg", says="no readable picture (")


def test_bad_files_beside_good_ones_are_set_aside_and_the_good_ones_learned(
    taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pictures.taught["gravel"], tmp_path / "mixed"))
    for name, content in (
        ("a.jpg", EPS),
        ("b.png", bomb()),
        ("c.jpg", cut_jpeg(tmp_path)),
        ("notes.txt", b"notes"),
        ("0.png", b""),
    ):
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "away.jpg").symlink_to(next(pictures.asked["gravel"].iterdir()))
    done = run_cli("learn", "--images", folder, "--label", "gravel", "--state", taught, "--again", *FEW)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["labels"][0]["images"] == 8
    reasons = {os.path.basename(entry["image"]): entry["reason"] for entry in report["quarantined"]}
    assert set(reasons) == {"a.jpg", "b.png", "c.jpg", "notes.txt", "0.png", "pipe.jpg", "away.jpg"}
    assert "a FIFO" in reasons["pipe.jpg"] and "leaves the folder" in reasons["away.jpg"]


def test_a_folder_with_nothing_in_it_or_none_at_all_is_refused(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "pipe.jpg")
    refused(taught, 1, "learn", "--images", tmp_path / "empty", "--label", "x", says="no pictures for the label 'x'")
    refused(taught, 1, "learn", "--images", tmp_path / "pipes", "--label", "x", says="no pictures for the label 'x'")
    refused(taught, 1, "learn", "--images", tmp_path / "gone", "--label", "x", says="found No such file or directory")
    refused(taught, 1, "learn", "--dataset", tmp_path / "empty", says="it has no sub-folders")
    refused(taught, 1, "learn", "--dataset", tmp_path / "gone", says="expected a folder with a sub-folder of pictures")
    refused(taught, 1, "predict", tmp_path / "gone.jpg", says="found No such file or directory")


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("\u00ad\u200bx", "found the character U+00AD"),
        ("", "expected a name, found nothing"),
        ("a" * 200, "at most 100 characters, found 200"),
        ("\x1b[31mred", "found the character U+001B"),
        ("left\u202eright", "found the character U+202E"),
    ],
)
def test_a_label_that_is_no_name_is_refused(label: str, says: str, taught: Path, pictures: DemoPictures) -> None:
    refused(taught, 1, "learn", "--images", pictures.taught["gravel"], "--label", label, says=says)


def test_options_that_contradict_each_other_are_refused(taught: Path, pictures: DemoPictures, three: Path) -> None:
    one = pictures.taught["gravel"]
    refused(taught, 2, "learn", "--images", one, says=f"expected a label for {one}, found none; write it behind")
    refused(taught, 2, "learn", says="expected pictures and their label, or --dataset DIR, found neither")
    alone = "expected either pictures and their label, or --dataset DIR alone, found both"
    refused(taught, 2, "learn", "--images", one, "--label", "x", "--dataset", three, says=alone)
    refused(taught, 2, "learn", "--dataset", three, "--label", "x", says=alone)
    refused(
        taught,
        2,
        "learn",
        "--dataset",
        three,
        "--recipe",
        "magic",
        says="there is no recipe 'magic'; expected one of device, paper",
    )
    refused(
        taught,
        2,
        "learn",
        "--dataset",
        three,
        "--template",
        "no place",
        says="--template: expected a printable text of at most 200 characters with one {} for the label",
    )
    for size in ("plenty", "0", "-5M", "1.5G", ""):
        refused(
            taught,
            2,
            "learn",
            "--dataset",
            three,
            "--max-memory",
            size,
            says="--max-memory: expected a size such as 512M or 1G",
        )


def test_a_memory_budget_that_cannot_be_kept_is_refused(taught: Path, three: Path) -> None:
    refused(
        taught,
        5,
        "learn",
        "--dataset",
        three,
        "--again",
        "--max-memory",
        "1M",
        says="--max-memory: 1 MiB are too few to learn 24 pictures of 3 labels",
    )
    again = ("learn", "--dataset", three, "--again")
    refused(taught, 5, *again, "--max-memory", "120M", says="allow that much, or teach fewer at once")
    refused(taught, 5, "predict", three, "--max-memory", "1M", says="--max-memory: 1 MiB leave 0 KiB for a picture")


def test_a_mistyped_option_is_one_line_too(taught: Path) -> None:
    refused(taught, 2, "labels", "--nope", says="--nope")
    refused(taught, 2, "learn", "--steps", "many", says="--steps")
    refused(taught, 2, "teech", says="did you mean `edge-nusa teach`?")


def test_what_was_never_taught_cannot_be_taken_back(taught: Path, pictures: DemoPictures, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    refused(taught, 1, "forget", "unicorn", says="unicorn")
    refused(empty, 1, "forget", "unicorn", says="unicorn")
    refused(empty, 1, "undo", says="nothing to undo")
    refused(empty, 1, "predict", pictures.others["cat"], says="nothing was learned yet and no labels were offered")
    refused(empty, 1, "predict", pictures.others["cat"], "--labels", "cat,,dog", says="expected a name, found nothing")


def test_a_bundle_that_is_not_there_is_refused(taught: Path, tmp_path: Path) -> None:
    refused(taught, 1, "labels", "--bundle", tmp_path, says="expected a folder with manifest.json")
    refused(
        taught,
        1,
        "labels",
        says="expected a folder with manifest.json",
        env={"EDGE_NUSA_BUNDLE": str(tmp_path / "gone")},
    )


@pytest.mark.parametrize(
    "name", sorted(path.name for path in MICRO.iterdir() if path.is_file() and path.suffix != ".py")
)
def test_one_flipped_bit_in_a_file_of_the_bundle_is_found(name: str, taught: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(MICRO, tmp_path / "bundle"))
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    refused(taught, 4, "labels", "--bundle", bundle, says=name)


def test_a_state_of_another_bundle_is_refused(taught: Path, tmp_path: Path) -> None:
    other = State(tmp_path / "other", replace(Bundle.open(MICRO).manifest.identity, precision="int8", graphs="0" * 64))
    with other.writer():
        other.commit(
            {p.name: p.read_bytes() for p in current_of(taught).iterdir() if p.name != "manifest.json"},
            "learn",
        )
    for words in (("labels",), ("status",), ("forget", "gravel")):
        refused(
            other.folder, 4, *words, says="the same weights at another precision: int8, not fp16; pass the --bundle"
        )


def test_nan_in_a_core_is_refused_however_right_the_hashes_are(taught: Path) -> None:
    files = {p.name: p.read_bytes() for p in current_of(taught).iterdir()}
    basis = Identity(**json.loads(files.pop("manifest.json"))["identity"])
    cores = tensor_file.decode(files["core.safetensors"], "core.safetensors")
    name = sorted(cores)[0]
    cores[name] = cores[name].copy()
    cores[name][0, 0] = np.nan
    state = State(taught, basis)
    with state.writer():
        made = state.commit({**files, "core.safetensors": tensor_file.encode(cores)}, "learn")
    assert (
        made.files["core.safetensors"].sha256
        == hashlib.sha256((made.folder / "core.safetensors").read_bytes()).hexdigest()
    )
    refused(taught, 4, "labels", says=f"core.safetensors: tensor {name!r} holds NaN or infinite numbers")
    assert run_cli("undo", "--state", taught).returncode == 0
    assert run_cli("labels", "--state", taught).returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_training_stops_it_soon_and_leaves_the_heads_lesson(
    number: signal.Signals, code: int, taught: Path, three: Path
) -> None:
    before = answer_of("status", "--state", taught)["generation"]
    words = command("learn", "--dataset", three, "--state", taught, "--steps", "100000", "--again")
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_torch(process.pid)
        trainer = Path(f"/proc/{Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()[0]}")
        time.sleep(3)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < STOPS_WITHIN_SECONDS
        assert not trainer.exists(), "the training process must end with the command"
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err and err.count("\n") == 1
    assert err.startswith(f"edge-nusa: the learn is kept as generation {before + 1}: do not run it again; ")
    assert answer_of("status", "--state", taught)["generation"] == before + 1


def wait_for_torch(pid: int) -> None:
    """Until its training process has torch mapped: its pictures are read then, and training begins within a second
    or two."""
    for _ in range(600):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and "libtorch_cpu" in Path(f"/proc/{children[0]}/maps").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the process did not begin to train within a minute")


def test_the_same_pictures_under_a_second_name_are_refused_and_the_first_name_is_named(
    taught: Path, pictures: DemoPictures
) -> None:
    refused(
        taught,
        3,
        "learn",
        "--images",
        pictures.taught["gravel"],
        "--label",
        "pebbles",
        "--again",
        *FEW,
        says="'pebbles' cannot be told from 'gravel': ",
    )
    words = ("learn", "--images", pictures.taught["gravel"], "--label", "pebbles", *FEW)
    refused(taught, 1, *words, says="every picture of 'pebbles' was taught before as gravel")


def test_a_second_name_that_is_forced_is_told_in_words(taught: Path, pictures: DemoPictures) -> None:
    done = run_cli(
        "learn",
        "--images",
        pictures.taught["gravel"],
        "--label",
        "pebbles",
        "--state",
        taught,
        "--force",
        "--again",
        "--steps",
        "3",
        "--format",
        "human",
    )
    assert done.returncode == 0, done.stderr
    assert (
        "'pebbles' is hardly told apart from 'gravel': more pictures, or is it one thing under two names?"
        in done.stdout
    )
