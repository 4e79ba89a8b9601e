"""A call into C that a signal can end: it runs in another thread, and the main one, which signals reach, waits for it.

Python answers a signal between two of its own steps; onnxruntime's `run` is one step, however long it takes.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
GRACE_SECONDS = 1.0
"""How long a call that was told to stop may take for it; after that the process ends without it."""


def interruptible(call: Callable[[], Found], stop: Callable[[], None]) -> Found:
    """What `call` returns or raises. On a signal `stop` is called, and the signal's exception goes on its way.

    Only the main thread gets signals, so that elsewhere this is a plain call.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    found: list[Found] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the thread that asked
            failed.append(error)
        finally:
            done.set()

    working = threading.Thread(target=work, name="edge-nusa-graph", daemon=True)
    working.start()
    try:
        done.wait()
    except BaseException as error:
        leave = _Leaving(error)
        atexit.register(leave)
        stop()
        if done.wait(GRACE_SECONDS):
            atexit.unregister(leave)
        raise
    working.join()
    if failed:
        raise failed[0]
    return found[0]


class _Leaving:
    """Ends the process where a call did not stop: the interpreter would wait for it, or fall over what it holds."""

    def __init__(self, error: BaseException) -> None:
        code = error.code if isinstance(error, SystemExit) else None
        self.code = code if isinstance(code, int) else 130 if isinstance(error, KeyboardInterrupt) else 1

    def __call__(self) -> None:
        os._exit(self.code)
