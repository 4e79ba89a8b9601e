# mypy: ignore-errors
"""What a board sends, checked by Home Assistant's own schemas and templates, where a Home Assistant is at hand.

    python tests/telling/real_home_assistant.py write messages.json    with the board's packages
    python tests/telling/real_home_assistant.py check messages.json    with those of Home Assistant

No test runs it, since Home Assistant needs another Python; `home_assistant.py` has the same rules as assertions.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

SHARED = ("availability_topic", "payload_available", "payload_not_available", "state_topic", "qos")


def written(path: Path) -> None:
    """Messages of boards and labels of every kind, and the states that each is to give."""
    sys.path[:0] = [str(Path(__file__).parents[1])]
    from awkward_labels import AWKWARD
    from test_discovery import HOSTS, RESERVED, answered

    from edge_nusa.device.telling.board_name import BoardName
    from edge_nusa.device.telling.discovery import Topics, message
    from edge_nusa.device.telling.told import of_line, option

    labels = [*AWKWARD, *RESERVED[:4], "x" * 300]
    aside = of_line({"image": "a/ü'\"{{ x }}.jpg", "reason": 'r{% raw %}"', "time": "t"})
    nothing = answered(best=None, known=0.2)
    said = [
        ("/answer", nothing.to_json(), {"label": "none of these", "probability": "80.0", "known": "False"}),
        ("/set-aside", aside.to_json(), {"set_aside": aside.picture}),
        ("/board", {"generation": 3, "labels": 2, "last_lesson": None}, {"generation": "3"}),
        ("/camera", {"is_up": False, "reason": "r", "time": "t"}, {"camera": "False"}),
    ]
    for label in labels:
        answer = answered(best=label, labels=[{"label": label, "probability": 0.5}])
        said.append(("/answer", answer.to_json(), {"label": option(label), "probability": "50.0", "known": "True"}))
    boards = [BoardName.of(host, Path("/srv/картинки + #1"), machine=b"1") for host in HOSTS]
    options = [option(label) for label in labels]
    told = [(Topics(board).config, message(board, options, has_camera=True), said) for board in boards]
    path.write_text(json.dumps(told))


async def checked(path: Path) -> None:
    """All of them, by Home Assistant; prints how many checks, and the keys that this version of it does not know."""
    from homeassistant import core
    from homeassistant.components.mqtt import binary_sensor, sensor
    from homeassistant.components.mqtt.discovery import TOPIC_MATCHER
    from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
    from homeassistant.components.mqtt.util import valid_publish_topic
    from homeassistant.helpers import frame
    from homeassistant.helpers.template import Template

    home, count, dropped = core.HomeAssistant(str(path.parent)), 0, set()
    frame.async_setup(home)

    def rendered(template: str, payload: dict) -> str:
        return Template(template, home).async_render_with_possible_json_value(json.dumps(payload), "no template")

    for topic, message, said in json.loads(path.read_text()):
        valid_publish_topic(topic)
        assert TOPIC_MATCHER.fullmatch(topic.removeprefix("homeassistant/")), topic
        DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(message)))
        for name, component in message["components"].items():
            config = {key: message[key] for key in (*SHARED, "device", "origin") if key in message} | component
            platform = {"sensor": sensor, "binary_sensor": binary_sensor}[config.pop("platform")]
            dropped |= set(config) - set(platform.DISCOVERY_SCHEMA(dict(config)))
            count += 1
            for ending, payload, states in said:
                if config["state_topic"].endswith(ending):
                    state = rendered(config["value_template"], payload)
                    assert state == states[name] and state in config.get("options", [state]), (name, state)
                    count += 1
                if config.get("json_attributes_topic", "").endswith(ending):
                    json.loads(rendered(config.get("json_attributes_template", "{{ value }}"), payload))
                    count += 1
    print(f"{count} checks; keys that this Home Assistant does not know: {sorted(dropped) or 'none'}")


if __name__ == "__main__":
    place = Path(sys.argv[2])
    written(place) if sys.argv[1] == "write" else asyncio.run(checked(place))
