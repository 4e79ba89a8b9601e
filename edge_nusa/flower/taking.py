"""What the hub takes out of a node's answer into its store: updates that an enrolled device signed, and a report of
where it stands, and nothing else.

Whether an update may be merged is judged later, by the hub's own inbox, as of every update that lies in the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_nusa.errors import DamagedError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.flower.messages import Answer
from edge_nusa.sync import board_report, parcel
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.whole_step import MOST_UPDATES, UpdateLimits
from edge_nusa.sync.parcel import Cover, Parcel
from edge_nusa.sync.stores.store import put

MOST_TAKEN = 3 * MOST_UPDATES
"""Updates of an answer: more than a merge takes of a device, and few enough for anybody's disk."""
MOST_REPORTS = 1
"""Of an answer: a pull makes one at most."""


def device_of(devices: Mapping[str, Device], answer: Answer) -> Device:
    """The enrolled device that an answer says it is of. Raises TrustError for another one."""
    found = devices.get(answer.device)
    if found is None or found.is_revoked:
        state = "it was revoked" if found else "it is not enrolled: `edge-nusa hub enroll device.pub`"
        raise TrustError(f"device {answer.device[:16]}: expected one that takes part, found that {state}")
    return found


def take(hub: Hub, device: Device, answer: Answer, limits: UpdateLimits) -> list[int]:
    """Put the updates and the report of an answer into the hub's store; the updates' numbers.

    Raises TrustError or DamagedError for an answer that holds anything but updates and a report of this device in their
    places, which puts nothing; StoreError where the store does not take them, or has others at their places.
    """
    objects = dict(answer.puts.wholes)
    report = _report(hub, device, objects)
    updates = _updates(device, answer, objects, limits)
    for one in updates:
        parcel.send(hub.store, one)
    for key, envelope in report.items():
        put(hub.store, key, envelope)
    return [one.cover.sequence for one in updates]


def _report(hub: Hub, device: Device, objects: dict[str, bytes]) -> dict[str, bytes]:
    """The report among the objects, taken out of them and verified; empty where there is none."""
    found = {key: objects.pop(key) for key in list(objects) if key.startswith(f"{board_report.FOLDER}/")}
    if len(found) > MOST_REPORTS:
        raise DamagedError(
            f"device {device.key.keyid[:16]}: expected at most {MOST_REPORTS} report, found {len(found)}; use the same "
            "edge-nusa on hub and devices"
        )
    for key, envelope in found.items():
        made = board_report.opened(envelope, device.key, hub.settings.fleet, hub.keys, key)
        if board_report.place_of(device.key.keyid, made.number, envelope) != key:
            raise TrustError(f"{key}: expected a report in its own place, found that of another; nothing was taken")
    return found


def _updates(device: Device, answer: Answer, objects: dict[str, bytes], limits: UpdateLimits) -> list[Parcel]:
    """The updates among an answer's objects, taken out of them and verified, in the order of their numbers."""
    found = list[Parcel]()
    envelopes = [key for key in objects if _is_envelope(key)]
    if len(envelopes) > MOST_TAKEN or answer.puts.lists or answer.puts.parts or answer.puts.missing:
        raise DamagedError(
            f"device {device.key.keyid[:16]}: expected at most {MOST_TAKEN} whole updates, found something else; use "
            "the same edge-nusa on hub and devices"
        )
    for key in envelopes:
        envelope = objects.pop(key)
        cover = parcel.opened_cover(envelope, device.key, key)
        if parcel.envelope_key(cover, sha256_hex(envelope)) != key:
            raise TrustError(f"{key}: expected an update in its own place, found that of another; nothing was taken")
        found.append(Parcel(cover, envelope, _numbers(objects, cover, limits)))
    if objects:
        raise DamagedError(f"{min(objects)}: expected updates with their numbers, found more; nothing was taken")
    return sorted(found, key=lambda one: one.cover.sequence)


def _is_envelope(key: str) -> bool:
    return "/" in key and parcel.read_key(key) is not None


def _numbers(objects: dict[str, bytes], cover: Cover, limits: UpdateLimits) -> bytes:
    """The sealed numbers that a cover names, taken out of the objects."""
    key = parcel.numbers_key(cover)
    numbers = objects.pop(key, b"")
    if cover.size > limits.size or (len(numbers), sha256_hex(numbers)) != (cover.size, cover.sha256):
        raise DamagedError(
            f"{key}: expected the {cover.size} bytes that the device signed, at most {limits.size}, found "
            f"{len(numbers)}; nothing was taken"
        )
    return numbers
