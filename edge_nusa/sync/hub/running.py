"""What keeps a fleet going, as a timer runs it: a merge, then a publication where one is due; what stops the one does
not stop the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import EdgeNusaError, tried
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.sync.hub.publishing import offers_bundles_alone
from edge_nusa.sync.hub.report import MergeReport, Published
from edge_nusa.sync.trust import own_targets
from edge_nusa.sync.trust.own_rounds import OwnPublication, published

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub
    from edge_nusa.sync.hub.merge import MergeSettings

RENEW_SHARE = 1 / 3
"""Of the days that a publication is believed: signed anew once no more are left. Of thirty days ten remain for whoever
has to notice that a hub has stopped."""


@dataclass(frozen=True, kw_only=True)
class Newest:
    """What there is to publish. number, sha256: of the newest merged round; records: the SHA-256 of what stands beside
    it, with the list of devices; days: for how many a publication is believed."""

    number: int
    sha256: str
    records: str
    days: int


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What became of each: the report, or the error that stopped it. reason: why there was a publication, "" for none
    was due; mirrored: how many objects were copied to the mirror, None where there is none or it failed."""

    merge: MergeReport | None
    publish: Published | None
    reason: str
    mirrored: int | None
    merge_error: EdgeNusaError | None
    publish_error: EdgeNusaError | None
    mirror_error: EdgeNusaError | None

    @property
    def errors(self) -> dict[str, EdgeNusaError]:
        """Those that there are, by what they stopped."""
        found = {"merge": self.merge_error, "publish": self.publish_error, "mirror": self.mirror_error}
        return {name: error for name, error in found.items() if error is not None}

    @property
    def exit_code(self) -> int:
        """0 where all went well or nothing was to be done; else that of the first error."""
        return next((error.exit_code for error in self.errors.values()), 0)

    def to_json(self) -> dict[str, Any]:
        """What `hub run --format json` prints."""
        errors = self.errors
        return {
            "merge": self.merge.to_json() if self.merge else None,
            "publish": self.publish.to_json() if self.publish else None,
            "reason": self.reason,
            "mirrored": self.mirrored,
            **{
                f"{name}_error": str(errors[name]) if name in errors else None
                for name in ("merge", "publish", "mirror")
            },
        }


def run(hub: Hub, settings: MergeSettings, mirror: str | None = None) -> Ran:
    """Merge what is new, publish where that is due, and bring a mirror up to date. No error of ours is raised."""
    merged, merge_error = tried(lambda: hub.merge(settings))
    due, publish_error = tried(lambda: reason_of(hub))
    done = None
    if due:
        done, publish_error = tried(hub.publish)
    copied, mirror_error = tried(lambda: hub.mirror(mirror)) if mirror is not None else (None, None)
    return Ran(
        merge=merged,
        publish=done,
        reason=due or "",
        mirrored=copied,
        merge_error=merge_error,
        publish_error=publish_error,
        mirror_error=mirror_error,
    )


def reason_of(hub: Hub) -> str:
    """Why a publication is due now, "" where none is. Raises StoreError, TrustError, DamagedError."""
    repository = hub.repository()
    if offers_bundles_alone(hub):
        found = own_targets.newest(hub.store, repository.root().signed)
        return why_anew(found.expires if found else None, hub.settings.expiry.timestamp_days, datetime.now(UTC))
    return why_due(newest(hub), published(repository), datetime.now(UTC))


def newest(hub: Hub) -> Newest | None:
    """What this hub has to publish; None before the first merge."""
    number, data = hub.newest()
    if data is None:
        return None
    records = hub.publications().name_of(hub.files())
    return Newest(number=number, sha256=sha256_hex(data), records=records, days=hub.settings.expiry.timestamp_days)


def why_due(here: Newest | None, there: OwnPublication | None, now: datetime) -> str:
    """Why what is here is to be published, in words; "" where the store has it, and for long enough."""
    if here is None:
        return ""
    if there is None:
        return why_anew(None, here.days, now)
    if there.announced.sha256 != here.sha256:
        return f"round {here.number} is new"
    if there.announced.records != here.records:
        return "the devices or tokens are others than at the last publication"
    return why_anew(there.expires, here.days, now)


def why_anew(expires: datetime | None, days: int, now: datetime) -> str:
    """Why what was published is to be signed anew, in words; "" where it is believed for long enough. expires: of what
    the store has, None where it has nothing of this hub's keys; days: for how many a publication is believed."""
    if expires is None:
        return "the store has no publication of this hub"
    if expires - now <= RENEW_SHARE * timedelta(days=days):
        return f"the last publication is believed until {expires:%Y-%m-%d %H:%M} UTC alone"
    return ""
