"""The entry point: signals and missing streams are seen to before anything large is imported; then the commands run.

Only the smallest modules are imported above, so that Ctrl-C is answered from the first moment on.
"""

from __future__ import annotations

import os
import sys

from edge_nusa.cli import signals

STOPPED = frozenset(128 + number for number in signals.SIGNALS)
"""The exit codes of a command that a signal ended."""


def run() -> None:
    """Run the command line; every failure is one line on stderr and an exit code of `errors.EXIT_CODES`."""
    signals.listen()
    try:
        code = _ended()
    except signals.Stopped as stopped:  # before `ending` could tell it
        _say("stopped by a signal")
        code = int(str(stopped.code))
    if code in STOPPED:
        os._exit(code)  # all is tidied up, and nobody waits for a picture that another thread is still decoding
    signals.let_go()
    raise SystemExit(code)


def _ended() -> int:
    """The exit code of the command, told by `ending`; where not even that can be loaded, by one line here."""
    try:
        _settle_streams()
        from edge_nusa.cli import ending
    except (ImportError, OSError, MemoryError) as error:
        found = str(error) or type(error).__name__
        next_step = "end other programs (see `ulimit -a`), or install it again"
        _say(f"expected to load the program, found {found}; {next_step}")
        return 5
    return ending.code_of(_commands)


def _say(text: str) -> None:
    """On stderr, without anything that may not be loaded; where that is closed or refuses, the exit code says it
    alone."""
    try:  # noqa: SIM105 - contextlib is not loaded yet
        os.write(2, f"edge-nusa: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


def _commands() -> int:
    from edge_nusa.cli import ending, output

    signals.guard(ending.last_words())
    from edge_nusa.cli.app import app
    from edge_nusa.cli.later import program

    output.listen()
    return program(app)(standalone_mode=False) or 0


def _settle_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed, or the next file opened would take its number and get
    what is written to it; and let a stream show as an escape what its encoding lacks."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    run()
