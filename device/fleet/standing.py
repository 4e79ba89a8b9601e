"""Where a device's updates stand in a round: held, refused for good, passed by as forks, or yet to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_nusa.device.fleet import sent as sents
from edge_nusa.device.fleet.sent import Sent
from edge_nusa.sync import chain
from edge_nusa.sync.round_file import Received, Refusal, short


@dataclass(frozen=True)
class Standing:
    """Each list oldest first. held: their content is in the round; pending: it is not, and no fork's; waiting: those of
    them that this life of the device made and nobody refused; newly_refused: refused for good, and not yet remembered
    as such."""

    held: Sequence[Sent]
    pending: Sequence[Sent]
    waiting: list[Sent]
    newly_refused: Sequence[tuple[Sent, Refusal]]

    @classmethod
    def of(cls, sent: Sequence[Sent], received: Received, round_number: int) -> Standing:
        """Of what a device has of its chain, and what the round of that number says of it."""
        links = sents.links(sent)
        in_round, forks = chain.held(links, received, sents.put(sent)), chain.forks(links, received)
        refused = {one.sha256 for one in sent if one.refusal is not None and one.refusal.round <= round_number}
        holds = in_round - refused
        pending = [one for one in sent if one.sha256 not in holds | forks]
        said = {one.sha256: received.refused.get(short(one.sha256)) for one in sent}
        return cls(
            held=[one for one in sent if one.sha256 in holds],
            pending=pending,
            waiting=[
                one
                for one in pending
                if one.sealed is not None and one.sha256 not in refused and said[one.sha256] is None
            ],
            newly_refused=[
                (one, refusal)
                for one in sent
                if (refusal := said[one.sha256]) is not None and refusal.kind == "refused" and one.refusal is None
            ],
        )
