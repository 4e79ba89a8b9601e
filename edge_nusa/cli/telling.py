"""Whom a watch tells beside its own lines: the options, and the sink that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Optional

import typer

from edge_nusa.cli.options import needs
from edge_nusa.errors import UsageError

if TYPE_CHECKING:
    from edge_nusa.device.telling.board_name import BoardName
    from edge_nusa.device.telling.lines import Lines, Teller
    from edge_nusa.device.telling.mqtt import Mqtt
    from edge_nusa.device.telling.numbers import Numbers
    from edge_nusa.device.watching.line import Line, Sink

BROKER = "A broker, such as Home Assistant's"
"""A group of options."""
MqttOption = Annotated[
    Optional[str],
    typer.Option(
        "--mqtt",
        metavar="URL",
        help="Tell a broker, for Home Assistant: mqtt://USER@HOST:1883, or mqtts:// for TLS.",
        show_default=False,
        rich_help_panel=BROKER,
    ),
]
PasswordFileOption = Annotated[
    Optional[Path],
    typer.Option(
        "--mqtt-password-file",
        help="The broker's password, in a file's first line; or in EDGE_NUSA_MQTT_PASSWORD.",
        show_default=False,
        rich_help_panel=BROKER,
    ),
]
NameOption = Annotated[
    Optional[str],
    typer.Option(
        "--mqtt-name",
        help="What this watch is called there; the host's and the folder's name where none is given.",
        show_default=False,
        rich_help_panel=BROKER,
    ),
]
AuthorityOption = Annotated[
    Optional[Path],
    typer.Option(
        "--mqtt-ca",
        help="The authority of the broker's certificate, as PEM; the system's where none is given.",
        show_default=False,
        rich_help_panel=BROKER,
    ),
]


METRICS = "Prometheus"
MetricsOption = Annotated[
    Optional[Path],
    typer.Option(
        "--metrics",
        metavar="FILE.prom",
        help="Write numbers for Prometheus into this file, for node_exporter's textfile collector.",
        show_default=False,
        rich_help_panel=METRICS,
    ),
]
MetricsPortOption = Annotated[
    Optional[str],
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        help="Give the same numbers to who asks at this port of this board; ADDRESS:PORT for others too.",
        show_default=False,
        rich_help_panel=METRICS,
    ),
]


class MqttWords(NamedTuple):
    """The options about a broker, as they were given."""

    url: str | None
    password_file: Path | None
    name: str | None
    authority: Path | None


def mqtt_of(
    words: MqttWords, watched: Path | tuple[str, str], state: Path, note: Callable[[str], None], option: str
) -> Mqtt:
    """Who tells the broker. option: where its address was given. Raises UsageError, InputError,
    MissingPackageError."""
    with needs("mqtt"):
        import paho.mqtt.client  # noqa: F401 - it is used in a thread, where nobody would be told
    from edge_nusa.device.telling.address import address
    from edge_nusa.device.telling.mqtt import Mqtt

    assert words.url is not None
    broker = address(words.url, words.password_file, words.authority, option)
    return Mqtt(broker, board_name(words.name, watched), state, note)


def hint(words: MqttWords, note: Callable[[str], None]) -> None:
    """Say that others may read the password, where they may."""
    with suppress(OSError):
        if words.password_file is not None and words.password_file.stat().st_mode & 0o077:
            note(f"{words.password_file}: others on this board may read the password; run chmod 600 on it")


def board_name(asked: str | None, watched: Path | tuple[str, str]) -> BoardName:
    """What this watch is called. watched: a folder or file, or a camera's name and what tells it from others."""
    import socket

    from edge_nusa.device.telling.board_name import BoardName, Watched

    found = watched if isinstance(watched, Path) else Watched(*watched)
    return BoardName.of(socket.gethostname(), found, asked)


class MetricsWords(NamedTuple):
    """The options about metrics, as they were given."""

    file: Path | None
    port: str | None


@contextmanager
def beside(
    sink: Sink,
    mqtt: MqttWords,
    metrics: MetricsWords,
    watched: Path | tuple[str, str],
    state: Path,
    note: Callable[[str], None],
) -> Iterator[Sink]:
    """The sink itself where nobody else is told, else one that tells them too, until the block ends."""
    if mqtt.url is None and (given := [name for name, value in mqtt._asdict().items() if value is not None]):
        option = {"password_file": "password-file", "authority": "ca"}.get(given[0], given[0])
        raise UsageError(f"--mqtt-{option}: expected --mqtt URL beside it, found none; add it")
    if mqtt.url is None and metrics == (None, None):
        yield sink
        return
    from edge_nusa.device.telling.lines import Lines

    with ExitStack() as stack:
        tellers: list[Teller] = []
        if metrics != (None, None):
            tellers.append(_counted(metrics, state, note, stack))
        if mqtt.url is not None:
            hint(mqtt, note)
            tellers.append(stack.enter_context(mqtt_of(mqtt, watched, state, note, "--mqtt")))
        yield _Told(sink, Lines(tellers, note))


def _counted(words: MetricsWords, state: Path, note: Callable[[str], None], stack: ExitStack) -> Numbers:
    """What counts, given to the file and the port until the stack ends."""
    with needs("metrics"):
        import prometheus_client  # noqa: F401 - a missing one is told before anything is begun
    from edge_nusa.device.telling.numbers import Numbers
    from edge_nusa.device.telling.prometheus import Port, TextFile

    numbers = Numbers(state, note)
    if words.port is not None:
        stack.enter_context(Port(words.port, numbers))
    if words.file is not None:
        stack.enter_context(TextFile(words.file, numbers, note))
    return numbers


class _Told:
    """Lines in their own sink, and then told."""

    def __init__(self, sink: Sink, lines: Lines) -> None:
        self.sink, self.lines = sink, lines

    def write(self, line: Line) -> None:
        self.sink.write(line)
        self.lines.line(line.to_json())

    def sync(self) -> None:
        """As its own sink does it."""
        self.sink.sync()
