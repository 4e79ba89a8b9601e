"""What programs get of a merge, a publication and a hub's status: the names and their order, as they are documented."""

from __future__ import annotations

from dataclasses import asdict

from edge_nusa.sync.hub.report import (
    DeviceMerge,
    DeviceStatus,
    HubStatus,
    MergedLabels,
    MergeReport,
    Published,
)
from edge_nusa.sync.hub.spelling import Spelling

ROW = DeviceMerge("ab", 2, {"1": "too large"}, ["update 3 is not there yet"])
MADE = MergedLabels(
    labels=["cat", "Mug"], new=["cat"], forgotten=["dog"], spellings=[Spelling("Mug", ["mug"])], alike=[]
)


NOBODY = {"enrolled": [], "refused": [], "waiting": 0, "unread": 0, "over": False}


def test_a_merge_that_made_a_round_names_its_labels() -> None:
    report = MergeReport(round=4, devices=[ROW], made=MADE, seconds=1.5)
    row = {"device": "ab", "updates": 2, "refused": {"1": "too large"}, "notes": ["update 3 is not there yet"]}
    assert report.to_json() == {
        "round": 4,
        "merged": True,
        "devices": [row],
        "joined": NOBODY,
        "labels": ["cat", "Mug"],
        "new": ["cat"],
        "forgotten": ["dog"],
        "spellings": [{"label": "Mug", "also": ["mug"]}],
        "alike": [],
        "seconds": 1.5,
    }
    assert report.labels == ["cat", "Mug"]


def test_a_merge_of_nothing_says_no_labels() -> None:
    report = MergeReport(round=4, devices=[], made=None, seconds=0.1)
    assert report.to_json() == {"round": 4, "merged": False, "devices": [], "joined": NOBODY, "seconds": 0.1}
    assert (report.is_merged, report.labels) == (False, [])


def test_a_publication_and_a_status_say_all_they_have() -> None:
    assert Published(3, "ff", 10, 7).to_json() == {"round": 3, "sha256": "ff", "bytes": 10, "timestamp": 7}
    device = DeviceStatus(
        device="ab",
        name="kitchen",
        revoked=False,
        updates=2,
        round=None,
        seen=None,
        refused={"1": "too large"},
        refused_rounds=["ee"],
    )
    status = HubStatus(fleet="f", store="/store", round=3, labels=["cat"], devices=[device])
    assert status.to_json() == {
        "fleet": "f",
        "store": "/store",
        "round": 3,
        "labels": ["cat"],
        "devices": [asdict(device)],
        "published_round": None,
        "expires": None,
        "has_answered": False,
        "store_note": "",
    }
    assert list(asdict(device)) == [
        "device",
        "name",
        "revoked",
        "updates",
        "round",
        "seen",
        "refused",
        "refused_rounds",
        "last_seen",
        "report",
        "note",
    ]
