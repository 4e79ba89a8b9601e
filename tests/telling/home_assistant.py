"""Home Assistant's rules for what is told it, as its MQTT integration checks them (homeassistant/components/mqtt:
discovery.py, schemas.py, sensor.py, binary_sensor.py, util.py as of 2026); written here as assertions.

`Home` goes on: it takes messages as Home Assistant does, and keeps the states that it would show.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jinja2 import Environment

TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
SLUG = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
LONGEST_STATE = 255
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "configuration_url", "suggested_area"}
SHARED = {"availability_topic", "payload_available", "payload_not_available", "qos", "encoding", "state_topic"}
SENSOR = {
    *("platform", "unique_id", "default_entity_id", "name", "icon", "state_topic", "value_template", "device_class"),
    *("options", "state_class", "unit_of_measurement", "suggested_display_precision", "entity_category"),
    *("json_attributes_topic", "json_attributes_template"),
}
BINARY_SENSOR = (SENSOR | {"payload_on", "payload_off"}) - {"options", "state_class", "unit_of_measurement"}
_JINJA = Environment(autoescape=False)


def check_topic(topic: str) -> None:
    """As `valid_topic` and `valid_publish_topic`."""
    assert 0 < len(topic.encode()) <= 65535
    assert not set(topic) & set("+#\0")
    assert all(c >= " " and not "\x7f" <= c <= "\x9f" and ord(c) & 0xFFFF not in (0xFFFE, 0xFFFF) for c in topic)


def check_discovery(topic: str, message: dict[str, Any]) -> None:
    """The message as `DEVICE_DISCOVERY_SCHEMA` and the platforms' schemas have it, without keys that they drop."""
    check_topic(topic)
    assert TOPIC.fullmatch(topic), topic
    assert set(message) <= {"device", "origin", "components"} | SHARED
    assert set(message["device"]) <= DEVICE and message["device"]["identifiers"]
    assert all(isinstance(value, (str, list)) for value in message["device"].values())
    assert message["origin"]["name"] and set(message["origin"]) <= {"name", "sw_version", "support_url"}
    assert message["qos"] in (0, 1, 2)
    check_topic(message["availability_topic"])
    assert message["components"]
    unique = [component["unique_id"] for component in message["components"].values()]
    assert len(set(unique)) == len(unique)
    wished = [component["default_entity_id"] for component in message["components"].values()]
    assert len(set(wished)) == len(wished)
    for component in message["components"].values():
        check_component(component)


def check_component(component: dict[str, Any]) -> None:
    """One entity. `object_id` is gone since 2026.4."""
    platform = component["platform"]
    assert set(component) <= {"sensor": SENSOR, "binary_sensor": BINARY_SENSOR}[platform], component
    domain, _, name = component["default_entity_id"].partition(".")
    assert domain == platform and SLUG.fullmatch(name) and len(component["default_entity_id"]) <= LONGEST_STATE
    check_topic(component["state_topic"])
    _JINJA.parse(component["value_template"])
    if "json_attributes_topic" in component:
        check_topic(component["json_attributes_topic"])
        _JINJA.parse(component.get("json_attributes_template", ""))
    assert component.get("entity_category", "diagnostic") == "diagnostic"
    assert re.fullmatch(r"mdi:[a-z0-9-]+", component["icon"])
    options = component.get("options")
    if options is not None:
        assert component["device_class"] == "enum"
        assert options and not {"state_class", "unit_of_measurement"} & set(component)
        assert len(set(options)) == len(options)
        assert all(isinstance(one, str) and 0 < len(one) <= LONGEST_STATE for one in options)
        assert not {"None", "unknown", "unavailable"} & set(options)
        assert all(one == one.strip() for one in options), "a rendered template is stripped"
    else:
        assert component.get("device_class") != "enum"


class Home:
    """What Home Assistant shows of one board after each message; `warnings` are what it would log."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {}
        self.message: dict[str, Any] = {}
        self.states: dict[str, str | None] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.is_available: bool | None = None
        self.warnings: list[str] = []

    def takes(self, topic: str, data: bytes) -> None:
        """One message, in the order in which a broker gave it."""
        if topic.startswith("homeassistant/device/"):
            self.message = json.loads(data)
            check_discovery(topic, self.message)
            self.components = self.message["components"]
            for name, component in self.components.items():
                state = self.states.setdefault(name, None)
                if state is not None and state not in component.get("options", [state]):
                    self.warnings.append(f"{name} is {state!r}, which is no option any more")
        elif topic == self.message.get("availability_topic"):
            self.is_available = {"online": True, "offline": False}[data.decode()]
        for name, component in self.components.items():
            if topic == component["state_topic"]:
                self._state(name, component, data.decode())
            if topic == component.get("json_attributes_topic"):
                template = component.get("json_attributes_template", "{{ value }}")
                self.attributes[name] = json.loads(rendered(template, data.decode()))

    def _state(self, name: str, component: dict[str, Any], payload: str) -> None:
        state = rendered(component["value_template"], payload)
        if state == "None":
            self.states[name] = None
        elif component["platform"] == "binary_sensor":
            self.states[name] = {component["payload_on"]: "on", component["payload_off"]: "off"}[state]
        elif "unit_of_measurement" in component:
            assert 0 <= float(state) <= 100
            self.states[name] = state
        elif state not in component.get("options", [state]):
            self.warnings.append(f"ignoring the state {state!r} of {name}")
        elif len(state) > LONGEST_STATE:
            self.warnings.append(f"the state of {name} is too long")
        else:
            self.states[name] = state


def rendered(template: str, payload: str) -> str:
    """As `async_render_with_possible_json_value` does it."""
    return _JINJA.from_string(template).render(value=payload, value_json=json.loads(payload)).strip()
