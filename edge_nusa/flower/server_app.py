"""The ServerApp that a SuperLink runs: one round of the hub that `edge-nusa hub flower` wrote down.

Which hub, by which rule, and how long it waits is in a file that the environment names: whoever may start a run chooses
nothing of it.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from edge_nusa.files import durable
from edge_nusa.flower import hub_settings
from edge_nusa.flower.grid import GridNodes
from edge_nusa.flower.turns import NodeReport, RoundOfTurns
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.report import MergeReport

LOG = logging.getLogger("flwr")
app = ServerApp()


@app.main()  # type: ignore[untyped-decorator]  # flwr is not where mypy runs
def main(grid: Grid, context: Context) -> None:
    """Run one round."""
    path = Path(os.environ[hub_settings.VARIABLE])
    found = hub_settings.read(path)
    hub = Hub(Path(found.hub), Bundle.open(Path(found.bundle) if found.bundle else embedded_bundle()))
    done = RoundOfTurns(hub, GridNodes(grid, found.seconds), found.merge).run()
    durable.replace_file(path.with_name(hub_settings.REPORT), json.dumps(done.to_json(), allow_nan=False).encode())
    for report in done.nodes:
        LOG.info("edge-nusa: %s", of_node(report))
    for line in of_merge(done.merged):
        LOG.info("edge-nusa: %s", line)
    LOG.info("edge-nusa: round %d is published", done.round)


def of_node(report: NodeReport) -> str:
    """What became of a node, as a line."""
    who = report.device[:16] or f"node {report.node}"
    sent = f"sent updates {', '.join(map(str, report.updates))}" if report.updates else "nothing new"
    return f"{who}: {sent}, is on round {report.round}" + (f"; left out: {report.left_out}" if report.left_out else "")


def of_merge(merged: MergeReport) -> list[str]:
    """What the hub refused or passed over."""
    refused = [
        f"refused: update {number} of {row.device[:16]}: {why}"
        for row in merged.devices
        for number, why in row.refused.items()
    ]
    return refused + [f"passed over: {row.device[:16]}: {note}" for row in merged.devices for note in row.notes]
