"""The message by which Home Assistant learns of a board and its entities, and the topics of what they show.

One retained message on `homeassistant/device/ID/config` makes one device with five entities (device discovery, since
Home Assistant 2024.11; the rules are home-assistant.io/integrations/mqtt, "Device discovery payload"). What they show
are retained JSON objects on topics of their own, so that each stays at the broker by itself over a restart. An enum's
state must be among its options, so this message is sent again, and first, whenever labels come or go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_nusa import __version__
from edge_nusa.device.telling.board_name import BoardName
from edge_nusa.device.telling.told import NONE_OF_THESE

PREFIX = "homeassistant"
STATUS_TOPIC, ONLINE, OFFLINE = f"{PREFIX}/status", "online", "offline"
QOS = 1
_FIELDS = "'picture': value_json.picture, 'time': value_json.time"


class Topics:
    """The topics of one board."""

    def __init__(self, board: BoardName) -> None:
        base = f"edge-nusa/{board.id}"
        self.config = f"{PREFIX}/device/{board.id}/config"
        self.availability = f"{base}/availability"
        self.board, self.aside, self.answer = f"{base}/board", f"{base}/set-aside", f"{base}/answer"
        self.camera = f"{base}/camera"

    def in_order(self) -> tuple[str, ...]:
        """As they are sent: who knows an entity's options before its state, and its state before that it is there."""
        return self.config, self.board, self.camera, self.aside, self.answer, self.availability


def message(board: BoardName, options: Iterable[str], has_camera: bool = False) -> dict[str, Any]:
    """The discovery message; options: the states that a label may have beside NONE_OF_THESE, as `told.option` writes
    them; has_camera: whether something is known of a camera."""
    topics = Topics(board)
    components = _components(board, topics, [*options, NONE_OF_THESE])
    return {
        "device": {
            "identifiers": [board.id],
            "name": board.name,
            "manufacturer": "edge-nusa",
            "model": "picture classifier taught on the board",
            "sw_version": __version__,
        },
        "origin": {"name": "edge-nusa", "sw_version": __version__},
        "availability_topic": topics.availability,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "qos": QOS,
        "components": components | ({"camera": _camera(board, topics)} if has_camera else {}),
    }


def _components(board: BoardName, topics: Topics, options: list[str]) -> dict[str, Any]:
    seen = f"{{{{ {{{_FIELDS}, 'labels': value_json.labels}} | tojson }}}}"
    return {
        "label": {
            **_entity(board, "sensor", "label", topics.answer, "value_json.label"),
            "name": "Label",
            "icon": "mdi:tag",
            "device_class": "enum",
            "options": options,
            "json_attributes_topic": topics.answer,
            "json_attributes_template": seen,
        },
        "probability": {
            **_entity(board, "sensor", "probability", topics.answer, "value_json.probability"),
            "name": "Probability",
            "icon": "mdi:percent",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "suggested_display_precision": 0,
        },
        "known": {
            **_entity(board, "binary_sensor", "known", topics.answer, "value_json.known"),
            "name": "Known",
            "icon": "mdi:head-question",
            "payload_on": "True",
            "payload_off": "False",
        },
        **_diagnostics(board, topics),
    }


def _diagnostics(board: BoardName, topics: Topics) -> dict[str, Any]:
    reason = f"{{{{ {{{_FIELDS}, 'reason': value_json.reason}} | tojson }}}}"
    return {
        "set_aside": {
            **_entity(board, "sensor", "set_aside", topics.aside, "value_json.picture"),
            "name": "Last picture set aside",
            "icon": "mdi:image-broken-variant",
            "entity_category": "diagnostic",
            "json_attributes_topic": topics.aside,
            "json_attributes_template": reason,
        },
        "generation": {
            **_entity(board, "sensor", "generation", topics.board, "value_json.generation"),
            "name": "Generation",
            "icon": "mdi:school",
            "entity_category": "diagnostic",
            "json_attributes_topic": topics.board,
        },
    }


def _camera(board: BoardName, topics: Topics) -> dict[str, Any]:
    return {
        **_entity(board, "binary_sensor", "camera", topics.camera, "value_json.is_up"),
        "name": "Camera",
        "icon": "mdi:cctv",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "payload_on": "True",
        "payload_off": "False",
        "json_attributes_topic": topics.camera,
        "json_attributes_template": "{{ {'reason': value_json.reason, 'time': value_json.time} | tojson }}",
    }


def _entity(board: BoardName, platform: str, what: str, topic: str, value: str) -> dict[str, Any]:
    """What every entity has. Home Assistant reads JSON's true, false and null as Python's words."""
    return {
        "platform": platform,
        "unique_id": f"{board.id}-{what}",
        "default_entity_id": f"{platform}.{board.slug or 'edge_nusa'}_{what}",
        "state_topic": topic,
        "value_template": f"{{{{ {value} }}}}",
    }
