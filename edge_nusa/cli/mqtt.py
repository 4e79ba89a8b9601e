"""The command `mqtt`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import QuietOption, StateOption
from edge_nusa.cli.telling import AuthorityOption, MqttWords, NameOption, PasswordFileOption, hint, mqtt_of
from edge_nusa.errors import BrokerError

if TYPE_CHECKING:
    from edge_nusa.device.telling.broker import Broker

ONCE_SECONDS = 15.0


def mqtt(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `edge-nusa watch --out FILE` writes; it may come later.")
    ],
    broker: Annotated[
        str,
        typer.Option(
            "--broker",
            metavar="URL",
            envvar="EDGE_NUSA_BROKER",
            help="The broker: mqtt://USER@HOST:1883, or mqtts:// for TLS.",
            show_default=False,
        ),
    ],
    password_file: PasswordFileOption = None,
    name: NameOption = None,
    authority: AuthorityOption = None,
    every: Annotated[float, typer.Option(min=0.05, max=3600, help="Seconds between two looks at the file.")] = 0.5,
    once: Annotated[bool, typer.Option("--once", help="Tell what is there and end.")] = False,
    state: StateOption = None,
    quiet: QuietOption = False,
) -> None:
    """Tell a broker what a watch answers, for Home Assistant."""
    from edge_nusa.device.telling.followed import Followed
    from edge_nusa.device.telling.lines import FollowedLines, Lines

    note = (lambda text: None) if quiet else output.note
    words = MqttWords(broker, password_file, name, authority)
    told = (lambda text: None) if once else note
    hint(words, note)
    with mqtt_of(words, file, state or _usual_state(), told, "--broker") as teller:
        note(f"telling {teller.broker.address.shown} as {teller.board.name} ({teller.board.id})")
        followed = FollowedLines(Followed(file), Lines([teller], note), note)
        if once:
            followed.look()
            _wait(teller.broker)
        else:
            followed.run(every)


def _usual_state() -> Path:
    """Where the state is by itself. Settings or an option that name it spare this process the runtime."""
    from edge_nusa.settings.shared import chosen_folder

    chosen = chosen_folder("state")
    if chosen is not None:
        return chosen
    from edge_nusa.device.opened import default_folder

    return default_folder("state")


def _wait(broker: Broker) -> None:
    """Until the broker has all. Raises BrokerError where it does not take it in time."""
    end = time.monotonic() + ONCE_SECONDS
    while not broker.is_told():
        if time.monotonic() > end or broker.fault:
            raise BrokerError(f"{broker.address.shown}: {broker.fault or 'it does not take what is told'}")
        time.sleep(0.02)
