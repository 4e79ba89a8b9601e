"""No traceback ever reaches a person: whatever happens is one line and a documented exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import command, environment, run_cli
from processes import one_line, run_patched

from edge_nusa.cli import ending
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import KEPT, UNFORESEEN, OutputError, ResourceError, UnforeseenError
from edge_nusa.files.os_errors import NO_ROOM, NO_THREAD

IS_ROOT = os.geteuid() == 0
NO_LOCKS = "import fcntl\ndef flock(descriptor, how):\n    raise OSError({}, 'refused')\nfcntl.flock = flock"


def raising(error: str) -> str:
    """A patch by which reading the state raises this."""
    return f"import edge_nusa.device.model as m\ndef known(self):\n    raise {error}\nm.Model.known = known"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            "RuntimeError('so it is')",
            70,
            "unforeseen RuntimeError in <string>:3: so it is; please report it with what this shows: "
            "EDGE_NUSA_DEBUG=1 edge-nusa labels",
        ),
        ("ValueError()", 70, "unforeseen ValueError in <string>:3; please report it"),
        ("RecursionError('maximum recursion depth exceeded')", 70, "unforeseen RecursionError"),
        ("ImportError('no libgomp', name='edge_nusa.nothing')", 70, "unforeseen ImportError"),
        ("ModuleNotFoundError('No module named x', name='edge_nusa.x')", 70, "unforeseen ModuleNotFoundError"),
        ("ModuleNotFoundError('No module named x', name='x')", 2, "expected the package x, found none"),
        ("MemoryError", 5, "out of memory"),
        ("RuntimeError('std::bad_alloc')", 5, "out of memory"),
        ('RuntimeError("can\'t start new thread")', 5, "expected to start a thread"),
        ("RuntimeError('pthread_create failed, error code: 11')", 5, "expected to start a thread"),
        ("OSError(99, 'What is this')", 5, "this command: expected the system to do it, found What is this"),
    ],
)
def test_whatever_is_raised_is_one_line_and_a_documented_code(error: str, code: int, says: str, tmp_path: Path) -> None:
    assert says in one_line(run_patched(raising(error), "labels", "--state", tmp_path), code)


def test_the_traceback_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    done = run_patched(raising("RuntimeError('so it is')"), "labels", "--state", tmp_path, env={"EDGE_NUSA_DEBUG": "1"})
    assert done.returncode == 70
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1].startswith("edge-nusa: unforeseen RuntimeError")
    assert (
        "Traceback"
        not in run_patched(raising("RuntimeError"), "labels", "--state", tmp_path, env={"EDGE_NUSA_DEBUG": "0"}).stderr
    )


def test_an_error_of_any_length_stays_short() -> None:
    told = str(ending.foreseen(ValueError("x" * 5000)))
    assert f"{'x' * ending.LONGEST_WORDS}..." in told
    assert ending.LONGEST_WORDS == 300
    assert "x" * ending.LONGEST_WORDS + ";" in str(ending.foreseen(ValueError("x" * ending.LONGEST_WORDS)))


@pytest.mark.parametrize("words", [*NO_ROOM, *NO_THREAD])
def test_the_libraries_words_for_a_lack_are_a_resource(words: str) -> None:
    assert type(ending.foreseen(RuntimeError(f"deep inside: {words}: 12"))) is ResourceError


def test_the_codes_are_their_own() -> None:
    assert (KEPT, UNFORESEEN, UnforeseenError.exit_code, OutputError.exit_code) == (7, 70, 70, 5)


def test_what_is_neither_paths_nor_a_picture_on_stdin_is_told(taught: Path, pictures: DemoPictures) -> None:
    picture = next(pictures.asked["gravel"].iterdir())
    neither = "expected paths on stdin, one a line, or the bytes of one picture, found something else; give a picture"
    for data, says in [
        (bytes(10**6), "no readable picture (-: expected the content of a JPEG, PNG"),
        (b"x" * 4096 + b"\n", f"-: {neither}"),
        (b"x\n" * 600 + b"a\0b", f"-: {neither}"),
        (b"\n" * 9 + b"a\0b", "no readable picture (-: expected the content of a JPEG, PNG"),
        (picture.read_bytes()[:100], "no readable picture (-: "),
        (b"\xff\xd8\xff" + bytes(48 * 2**20), "-: expected a picture of at most 50331648 bytes on stdin, found more"),
        (b"", "no readable picture (nothing was given)"),
    ]:
        done = subprocess.run(
            command("predict", "-", "--state", taught), input=data, env=environment(), capture_output=True
        )
        text = subprocess.CompletedProcess([], done.returncode, done.stdout.decode(), done.stderr.decode())
        assert says in one_line(text, 1)
    good = run_cli("predict", "-", "--state", taught, stdin=f"\n{picture}\n{'x' * 4095}")
    assert (good.returncode, good.stdout.count("\n")) == (0, 2), "an answer, and why the second path has none"


@pytest.mark.parametrize("name", ["[", "[z-a]", "**/" * 2000, "a" * 5000, "*" * 300 + "b", "\udcff*"])
def test_a_strange_name_is_set_aside(name: str, taught: Path) -> None:
    assert one_line(run_cli("predict", name, "--state", taught), 1)


def test_a_closed_stdin_is_said(taught: Path) -> None:
    words = ["bash", "-c", '"$@" <&-', "bash", *command("predict", "-", "--state", taught)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert one_line(done, 1)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_label_that_the_terminal_lacks_is_shown_in_escapes(
    encoding: str, taught: Path, pictures: DemoPictures
) -> None:
    words = (
        "learn",
        "--images",
        pictures.others["cat"],
        "--label",
        "猫 é",
        "--steps",
        "3",
        "--state",
        taught,
        "--force",
        "--format",
        "human",
    )
    done = subprocess.run(command(*words), env=environment({"PYTHONIOENCODING": encoding}), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "猫 é".encode(encoding, errors="backslashreplace") in done.stdout
    error = run_cli("forget", "犬", "--state", taught, env={"PYTHONIOENCODING": "ascii"})
    assert "\\u72ac" in one_line(error, 1)


def test_eval_without_torch_says_what_to_install(tmp_path: Path) -> None:
    done = run_patched(
        "import sys\nsys.modules['torch'] = None", "eval", "mtil", "--data", tmp_path, "--out", tmp_path / "out"
    )
    assert 'install them with `pip install "edge-nusa[eval]"`' in one_line(done, 2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("module", ["typer", "contextvars", "logging"])
def test_a_signal_while_the_program_is_still_being_loaded_is_one_line(
    module: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """A module that takes for ever to load stands for a slow card."""
    (tmp_path / f"{module}.py").write_text(
        f"import time\nopen({str(tmp_path / 'begun')!r}, 'w').close()\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.modules.pop({module!r}, None); sys.path.insert(0, {str(tmp_path)!r})\nfrom "
            "edge_nusa.cli.main import run\nrun()",
            "labels",
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (tmp_path / "begun").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (code, "")
    assert err.startswith("edge-nusa: stopped by a signal") and err.count("\n") == 1


def test_where_not_even_the_program_can_be_loaded_it_is_one_line() -> None:
    line = one_line(run_patched("import sys\nsys.modules['edge_nusa.cli.ending'] = None", "labels"), 5)
    assert "expected to load the program, found import of edge_nusa.cli.ending halted" in line
    assert line.endswith("end other programs (see `ulimit -a`), or install it again")


@pytest.mark.parametrize(
    ("said", "code", "says"),
    [("std::bad_alloc", 5, "found too few (std::bad_alloc)"), ("this is no graph", 4, "refuses it (this is no graph)")],
)
def test_a_runtime_without_memory_is_told_from_a_damaged_graph(
    said: str, code: int, says: str, taught: Path, pictures: DemoPictures
) -> None:
    patch = (
        "import onnxruntime\nfrom onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException\n"
        f"def refuse(*words, **options):\n    raise RuntimeException({said!r})\nonnxruntime.InferenceSession = refuse"
    )
    assert says in one_line(run_patched(patch, "predict", pictures.others["cat"], "--state", taught), code)


@pytest.mark.skipif(
    not IS_ROOT or shutil.which("setpriv") is None, reason="needs root and setpriv to become a user that nobody knows"
)
def test_a_user_without_a_home_is_asked_for_a_folder(tmp_path: Path) -> None:
    kept = {name: value for name, value in environment().items() if name not in ("HOME", "XDG_DATA_HOME")}
    first = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    if subprocess.run([*first, sys.executable, "-c", "import edge_nusa"], env=kept, capture_output=True).returncode:
        pytest.skip("this interpreter may not be run by another user")
    for words, option in (
        (("labels",), "--state"),
        (("undo",), "--state"),
        (("doctor",), "--state"),
        (("hub", "status"), "--hub"),
    ):
        done = subprocess.run([*first, *command(*words)], env=kept, capture_output=True, text=True)
        assert (
            "expected a home folder for the state, found none: HOME is not an absolute path, and the system does not "
            f"know this user; pass {option} DIR" in one_line(done, 2)
        )
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [*first, *command("labels", "--state", "/tmp/no-such-state")], env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    not IS_ROOT or shutil.which("setpriv") is None or shutil.which("prlimit") is None,
    reason="needs root, setpriv and prlimit",
)
@pytest.mark.parametrize("most", [0, 1, 2])
def test_where_no_thread_can_be_had_it_is_said(most: int, pictures: DemoPictures, tmp_path: Path) -> None:
    first = ["prlimit", f"--nproc={most}", "setpriv", "--reuid", "12346", "--regid", "12346", "--clear-groups"]
    if subprocess.run(
        [*first[:1], "--nproc=99", *first[2:], sys.executable, "-c", "import edge_nusa"],
        env=environment(),
        capture_output=True,
    ).returncode:
        pytest.skip("this interpreter may not be run by another user")
    picture = Path(shutil.copy(next(pictures.asked["gravel"].iterdir()), "/tmp/edge-nusa-asked.png"))
    try:
        picture.chmod(0o644)
        words = command("predict", picture, "--labels", "a,b", "--state", "/tmp/no-such-state", "--threads", "2")
        done = subprocess.run([*first, *words], env=environment({"HOME": "/"}), capture_output=True, text=True)
    finally:
        picture.unlink()
    assert "expected to start a thread, found that the system gives no more" in one_line(done, 5)
    assert done.stdout == ""


@pytest.mark.parametrize("number", [37, 95])
def test_a_file_system_without_locks_is_no_damage(number: int, taught: Path) -> None:
    line = one_line(run_patched(NO_LOCKS.format(number), "forget", "gravel", "--state", taught), 5)
    assert "this file system cannot do it: choose a folder on a local disk" in line


def gravel_again(taught: Path, pictures: DemoPictures) -> tuple[str | Path, ...]:
    """The words that teach a label of the state once more, in few steps."""
    words = ("learn", "--images", pictures.taught["gravel"], "--label", "gravel", "--state", taught)
    return (*words, "--steps", "3", "--again")


@pytest.mark.skipif(
    not IS_ROOT or shutil.which("unshare") is None, reason="needs root and unshare to mount a full folder"
)
@pytest.mark.parametrize("size", ["4k", "64k", "1m"])
def test_a_full_temporary_folder_is_told_as_such(
    size: str, taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    mount = f'mount -t tmpfs -o size={size} tmpfs {tmp_path / "tiny"} || exit 99; TMPDIR={tmp_path / "tiny"} exec "$@"'
    words = command(*gravel_again(taught, pictures))
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", mount, "bash", *words], env=environment(), capture_output=True, text=True
    )
    if done.returncode in (1, 99) and "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"may not mount here: {done.stderr}")
    line = one_line(done, 7)
    assert line.startswith("edge-nusa: the learn is kept as generation ")
    assert "temporary folder" in line and "TMPDIR chooses another" in line
    assert "free some disk space there" in line


def test_a_training_process_that_cannot_write_its_answer_says_so(taught: Path, pictures: DemoPictures) -> None:
    """Its own files are bounded below the size of the cores, as a full disk would, once the head's lesson stands."""
    first = (
        "import resource\nfrom edge_nusa.device.learning import two_commits\ntrain = two_commits.train_apart\n"
        "def bounded(*given):\n    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n    return train(*given)\n"
        "two_commits.train_apart = bounded"
    )
    words = gravel_again(taught, pictures)
    line = one_line(run_patched(first, *words), 7)
    assert "the learn is kept as generation" in line and "temporary folder" in line


def test_folders_that_are_missing_or_no_folders_are_told_as_wrong_use(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "move away what is there" in one_line(run_cli("undo", "--state", tmp_path / "file" / "state"), 2)
    assert "check the path, or choose another" in one_line(run_cli("undo", "--state", tmp_path / ("x" * 300)), 2)
    line = one_line(run_cli("report", "--out", tmp_path / "no" / "page.html", "--state", taught), 1)
    assert line.endswith(
        "expected its folder to be there, found none; make it with `mkdir -p`, or choose another place"
    )


@pytest.mark.parametrize("stderr", ["closed", "full", "gone"])
def test_where_stderr_is_no_use_the_exit_code_says_it_alone(stderr: str, tmp_path: Path) -> None:
    """A signal before the program is loaded too, and an error where it is."""
    stopping = "import os, signal\nimport edge_nusa.cli.main as m\n"
    early = stopping + "m._settle_streams = lambda: os.kill(os.getpid(), signal.SIGTERM)"
    (tmp_path / "file").write_text("x")
    redirection = {"closed": "2>&-", "full": "2>/dev/full", "gone": "2> >(true); sleep 0"}[stderr]
    line = f'"$@" {redirection.partition(";")[0]}'
    for patch, arguments, code in (
        (early, ("status", "--state", str(tmp_path / "state")), 143),
        ("", ("undo", "--state", str(tmp_path / "file")), 2),
    ):
        program = f"import time\ntime.sleep(0.2)\n{patch}\nfrom edge_nusa.cli.main import run\nrun()"
        words = ["bash", "-c", line, "bash", sys.executable, "-c", program, *arguments]
        assert subprocess.run(words, env=environment(), capture_output=True, timeout=60).returncode == code


@pytest.mark.parametrize("error", ["ValueError('bad\\nname')", "re.error('no')", "RecursionError()"])
def test_a_pattern_that_is_none_keeps_no_other_picture_from_its_answer(
    error: str, taught: Path, pictures: DemoPictures
) -> None:
    patch = f"import glob, re\ndef refused(name):\n    raise {error}\nglob.glob = refused"
    picture = next(iter(sorted(pictures.others["cat"].iterdir())))
    done = run_patched(patch, "predict", "[a-", picture, "x" * 300, "--state", taught)
    assert (done.returncode, done.stdout.count("\n"), done.stderr.count("\n")) == (0, 3, 2)
    assert done.stderr.startswith("set aside: [a-: expected a path or a pattern, found ")
    assert done.stderr.endswith("x: expected a picture or a folder, found File name too long; check the path\n")
    assert "expected a path or a pattern" in one_line(run_patched(patch, "predict", "[a-", "--state", taught), 1)
