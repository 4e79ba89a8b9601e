"""`hub flower` and `sync flower`: a fleet over Flower, the hub's side and a node's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.hub import HubOption, opened_hub
from edge_nusa.cli.hub_rounds import RuleChoice
from edge_nusa.cli.options import BundleOption, FormatOption, StateOption, ThreadsOption

if TYPE_CHECKING:
    from edge_nusa.flower.supernode import Started


def of_hub(
    folder: Annotated[Path, typer.Argument(help="Where to write what Flower needs.")],
    superlink: Annotated[str, typer.Option(help="Where nodes reach the SuperLink: HOST:PORT.")],
    seconds: Annotated[
        int, typer.Option(min=5, max=86_400, help="For how long a round waits for the nodes' answers, twice.")
    ] = 300,
    rule: Annotated[
        RuleChoice, typer.Option(help="`mean` where all devices are yours; `trimmed` bears --malicious bad ones.")
    ] = RuleChoice.MEAN,
    malicious: Annotated[float, typer.Option(min=0.0, max=0.49, help="The share of devices that may be bad.")] = 0.2,
    most_pictures: Annotated[
        int, typer.Option("--most-pictures", min=1, max=10**9, help="Of one device at once; the rest waits.")
    ] = 1000,
    bundle: BundleOption = None,
    hub: HubOption = None,
    format: FormatOption = None,
) -> None:
    """Write what Flower's commands need to run this hub's rounds."""
    from edge_nusa.flower import addresses, recipe
    from edge_nusa.flower.hub_settings import HubSettings

    opened = opened_hub(hub, bundle)
    settings = HubSettings(
        hub=str(opened.folder.absolute()),
        bundle=str(bundle.absolute()) if bundle else "",
        rule=rule.value,
        malicious=malicious,
        most_pictures=most_pictures,
        seconds=seconds,
    )
    files = recipe.write(folder.absolute(), addresses.parsed(superlink), settings)
    output.show({"folder": str(folder.absolute()), "files": list(map(str, files))}, _next_steps(folder), format)


def _next_steps(folder: Path) -> str:
    return (
        f"{folder} has what Flower needs, and no secret yet; on this machine:\n"
        f"  sh {folder}/certificate.sh                makes superlink.pem, for every node, and superlink.key\n"
        f"  sh {folder}/superlink.sh                  the SuperLink, which runs all the time\n"
        f"  sh {folder}/register.sh NODE.pub NAME     lets a node in; NAME: what you called its device\n"
        f"  sh {folder}/round.sh                      a round: all push, the hub merges, all pull"
    )


def of_node(
    superlink: Annotated[str, typer.Argument(help="The hub's SuperLink: HOST:PORT.")],
    certificates: Annotated[
        Optional[Path],
        typer.Option(
            help="The hub's superlink.pem; the system's certificates where none is given.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Where the node's own processes reach it, on this machine alone.")
    ] = 9094,
    bundle: BundleOption = None,
    state: StateOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
) -> None:
    """Take part in the hub's rounds over Flower until it is stopped. Prints what it runs."""
    from edge_nusa.device.model import Model
    from edge_nusa.flower import addresses, supernode

    found = supernode.prepare(Model.open(bundle, state, threads), addresses.parsed(superlink), certificates, port)
    output.show(found, lambda: _started(found), format)
    if not found.is_new:
        found.run()


def _started(found: Started) -> str:
    import shlex

    if found.is_new:
        return (
            f"made a key for this node; bring {found.public_key} to the hub: sh register.sh node.pub "
            f"{found.device[:16]}\nthen run this command again"
        )
    variables = [f"{name}={shlex.quote(value)}" for name, value in found.environment.items()]
    return " ".join((*variables, shlex.join(found.command)))
