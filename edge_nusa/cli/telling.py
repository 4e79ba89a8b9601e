"""Whom a watch tells beside its own lines: the options, and the sink that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Optional

import typer

from edge_nusa.cli.options import needs
from edge_nusa.errors import UsageError

if TYPE_CHECKING:
    from edge_nusa.device.telling.board_name import BoardName
    from edge_nusa.device.telling.lines import Lines
    from edge_nusa.device.telling.mqtt import Mqtt
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


class MqttWords(NamedTuple):
    """The options about a broker, as they were given."""

    url: str | None
    password_file: Path | None
    name: str | None
    authority: Path | None


def mqtt_of(words: MqttWords, watched: Path, state: Path, note: Callable[[str], None], option: str) -> Mqtt:
    """Who tells the broker. option: where its address was given. Raises UsageError, InputError,
    MissingPackageError."""
    with needs("mqtt"):
        import paho.mqtt.client  # noqa: F401 - it is used in a thread, where nobody would be told
    from edge_nusa.device.telling.address import address
    from edge_nusa.device.telling.mqtt import Mqtt

    assert words.url is not None
    broker = address(words.url, words.password_file, words.authority, option)
    return Mqtt(broker, board_name(words.name, watched), state, note)


def board_name(asked: str | None, watched: Path) -> BoardName:
    """What this watch is called."""
    import socket

    from edge_nusa.device.telling.board_name import BoardName

    return BoardName.of(socket.gethostname(), watched, asked)


@contextmanager
def beside(sink: Sink, mqtt: MqttWords, watched: Path, state: Path, note: Callable[[str], None]) -> Iterator[Sink]:
    """The sink itself where nobody else is told, else one that tells them too, until the block ends."""
    if mqtt.url is None:
        if given := [name for name, value in zip(mqtt._fields[1:], mqtt[1:], strict=True) if value is not None]:
            raise UsageError(f"--mqtt-{given[0].replace('_', '-')}: expected --mqtt URL beside it, found none; add it")
        yield sink
        return
    from edge_nusa.device.telling.lines import Lines

    with ExitStack() as stack:
        tellers = [stack.enter_context(mqtt_of(mqtt, watched, state, note, "--mqtt"))]
        yield _Told(sink, Lines(tellers, note))


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
