"""The ClientApp that a SuperNode runs: the turn of this device, whose state and bundle the environment names.

Nothing that the SuperLink sends chooses them. Started by `edge-nusa sync flower` alone.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from edge_nusa.device.model import Model
from edge_nusa.errors import EdgeNusaError
from edge_nusa.flower import node
from edge_nusa.flower.grid import ANSWER, COMMON, QUESTION, bytes_in, with_bytes

STATE, BUNDLE, THREADS = "EDGE_NUSA_STATE", "EDGE_NUSA_BUNDLE", "EDGE_NUSA_THREADS"
FAILED = "the turn failed; the node's log has the words"
LOG = logging.getLogger("flwr")
app = ClientApp()


@app.query()  # type: ignore[untyped-decorator]  # flwr is not where mypy runs
def query(message: Message, context: Context) -> Message:
    """Take the turn that the hub asks for. Raises EdgeNusaError with the same words whatever fails, as Flower sends an
    error's words to the hub, and they may name a label: this node's log has them."""
    try:
        model = Model.open(_path(BUNDLE), _path(STATE), int(os.environ.get(THREADS) or 0))
        done = node.turned(model, bytes_in(message, QUESTION), bytes_in(message, COMMON))
    except Exception:
        LOG.exception("edge-nusa: the turn failed")
        raise EdgeNusaError(FAILED) from None
    LOG.info("edge-nusa: %s", done.words)
    return Message(with_bytes(**{ANSWER: done.answer.encode()}), reply_to=message)


def _path(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None
