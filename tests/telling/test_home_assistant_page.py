"""docs/home-assistant.md shows the messages that are sent, entities that exist, and what Prometheus really reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from conftest import ROOT
from home_assistant import Home, check_discovery
from watch_lines import ANSWERED

from edge_nusa.device.telling.board_name import BoardName
from edge_nusa.device.telling.discovery import Topics, message
from edge_nusa.device.telling.numbers import Numbers
from edge_nusa.device.telling.told import Aside, of_line

PAGE = (ROOT / "docs" / "home-assistant.md").read_text(encoding="utf-8")
BOARD = BoardName.of("kitchenpi", Path("/home/me/bin"), "kitchen bin", b"the machine of the page")
MESSAGES = dict(re.findall(r"^`([\w/-]+)`\n```json\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_messages_of_the_page_are_those_that_are_sent() -> None:
    topics = Topics(BOARD)
    rows = [{"label": "full", "probability": 0.9412}, {"label": "empty", "probability": 0.0391}]
    time = "2026-11-26T20:00:00.000+00:00"
    answer = of_line({**ANSWERED, "image": "/home/me/bin/0412.jpg", "best": "full", "labels": rows, "time": time})
    aside = of_line({"image": "/home/me/bin/0413.jpg", "reason": "expected a whole picture", "time": time})
    assert not isinstance(answer, Aside) and isinstance(aside, Aside)
    sent = {
        topics.config: message(BOARD, ["full", "empty"]),
        topics.board: {"generation": 3, "labels": 2, "last_lesson": 1795723200},
        topics.answer: answer.to_json(),
        topics.aside: aside.to_json(),
    }
    check_discovery(topics.config, sent[topics.config])
    assert {topic: json.loads(text) for topic, text in MESSAGES.items()} == sent


def test_the_automation_of_the_page_names_entities_and_states_that_there_are() -> None:
    home, topics = Home(), Topics(BOARD)
    for topic in topics.in_order():
        if topic in MESSAGES:
            home.takes(topic, MESSAGES[topic].encode())
    every = {**home.components, **message(BOARD, [], has_camera=True)["components"]}
    entities = {component["default_entity_id"] for component in every.values()}
    named = set(re.findall(r"\b(?:binary_)?sensor\.[a-z_]+", PAGE))
    assert named and named <= entities
    states = set(re.findall(r"^ +to: (.+)$", PAGE, re.MULTILINE)) - {'"unavailable"'}
    assert states and {state.strip('"') for state in states} <= {*home.components["label"]["options"], "on", "off"}
    assert home.states["label"] == "full" and home.warnings == []


def test_every_number_of_the_page_is_one_that_prometheus_is_told_of(tmp_path: Path) -> None:
    import prometheus_client

    from edge_nusa.device.telling.prometheus import registry

    numbers = Numbers(tmp_path, lambda text: None)
    numbers.tell(of_line(ANSWERED))
    numbers.tell(of_line({"camera": "c", "state": "lost", "reason": "", "time": "t"}))
    told = prometheus_client.generate_latest(registry(numbers)).decode()
    where = {"edge_nusa_temperature_celsius", "edge_nusa_throttled"} | {
        f"edge_nusa_last_{what}_timestamp_seconds" for what in ("lesson", "sync")
    }
    found = set(re.findall(r"^(edge_nusa_\w+)", told, re.MULTILINE)) | where
    named = set(re.findall(r"\bedge_nusa_[a-z_]+", PAGE))
    families = {name for name in named if not name.endswith(("_bucket", "_count", "_sum"))}
    assert families - found - {"edge_nusa_picture_seconds"} == set()
    of_table = {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}
    assert of_table <= named | {"edge_nusa_build_info"} and "edge_nusa_build_info" in named
