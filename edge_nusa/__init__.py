"""edge-nusa: null-space continual learning of CLIP on a small board; this room runs everywhere.

    from edge_nusa import Model

    model = Model.open()
    model.learn({"my mug": "photos/mug", "my cup": "photos/cup"})
    print(model.predict("kitchen.jpg").best)

`Model` and `Picture` are loaded when they are first named, so that importing this loads nothing else (docs/python.md).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_nusa.device.model import Model as Model
    from edge_nusa.pictures.picture import Picture as Picture

__all__ = ["Model", "Picture", "__version__"]

__version__ = "0.1.0"

# onnxruntime's Linux packages (seen in 1.32) write a device id and a database under ~/.cache and send usage data over
# the network unless this is set before their first import; disable_telemetry_events() does not undo the former.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_PUBLIC = {"Model": "edge_nusa.device.model", "Picture": "edge_nusa.pictures.picture"}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is asked for. Raises AttributeError for another one."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
