"""edge-nusa: null-space continual learning of CLIP on a small board; this room runs everywhere."""

import os

__version__ = "0.1.0"

# onnxruntime's Linux packages (seen in 1.32) write a device id and a database under ~/.cache and send usage data over
# the network unless this is set before their first import; disable_telemetry_events() does not undo the former.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
