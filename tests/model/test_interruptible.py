"""A call into C that a signal can end."""

from __future__ import annotations

import atexit
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from conftest import environment

from edge_nusa.model import interruptible as module
from edge_nusa.model.interruptible import interruptible


class Told(Exception):
    """What a signal becomes."""


@pytest.fixture
def soon() -> Iterator[None]:
    """A signal a fifth of a second from now."""

    def tell(number: int, frame: object) -> None:
        raise Told

    before = signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_what_the_call_returns_or_raises_comes_back() -> None:
    assert interruptible(lambda: 3, lambda: None) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, lambda: None)


def test_only_the_main_thread_lets_another_one_work() -> None:
    found: list[bool] = []

    def ask() -> None:
        found.append(interruptible(threading.current_thread, lambda: None) is threading.current_thread())

    ask()
    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert found == [False, True]


def test_a_signal_stops_the_call_and_goes_on_its_way(soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, kept = threading.Event(), list[object]()
    monkeypatch.setattr(atexit, "register", kept.append)
    monkeypatch.setattr(atexit, "unregister", kept.remove)
    began = time.monotonic()
    with pytest.raises(Told):
        interruptible(lambda: stopped.wait(30), stopped.set)
    assert stopped.is_set() and time.monotonic() - began < 0.2 + module.GRACE_SECONDS
    assert kept == [], "a call that stopped is not left behind"


def test_a_call_that_does_not_stop_is_left_behind_after_its_grace(soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    monkeypatch.setattr(atexit, "register", kept.append)
    over = threading.Event()
    began = time.monotonic()
    with pytest.raises(Told):
        interruptible(lambda: over.wait(30), lambda: None)
    assert module.GRACE_SECONDS <= time.monotonic() - began < 10
    over.set()
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("raised", "code"), [("SystemExit(143)", 143), ("KeyboardInterrupt()", 130), ("SystemExit('words')", 1)]
)
def test_a_process_that_leaves_a_call_behind_ends_with_the_signals_code(raised: str, code: int) -> None:
    program = (
        "import signal, threading\nfrom edge_nusa.model.interruptible import interruptible\n"
        f"def tell(*given):\n    raise {raised}\nsignal.signal(signal.SIGALRM, tell)\nsignal.setitimer(0, 0.2)\n"
        "interruptible(lambda: threading.Event().wait(60), lambda: None)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, timeout=50)
    assert done.returncode == code and time.monotonic() - began < 30
