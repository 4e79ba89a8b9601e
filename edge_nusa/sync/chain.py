"""The chain of a device's updates: which of them a round holds, which stand beside the chain, and which link is next.

Every update names the envelope before it. Several lives of one device (a card restored from a backup, a clone) extend
the same chain; where two of them followed the same link at once, the hub takes one, and the other is a fork, whose
content has to be sent again. A device removes links that every round it may go back to holds, so what it has of its
chain is an end of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_nusa.sync.round_file import Received, short


@dataclass(frozen=True)
class Link:
    """One update: its number, the SHA-256 of its envelope, and of the one before it ("": none)."""

    sequence: int
    sha256: str
    before: str


def is_known(links: Sequence[Link], received: Received) -> bool:
    """Whether these links say where a round stands in the chain; if not, another life of the device sent more."""
    return received.last == "" or any(received.last in (link.sha256, link.before) for link in links)


def held(links: Sequence[Link], received: Received, put: Collection[str] = ()) -> set[str]:
    """SHA-256 of the links whose content is in a round. put: of those that came into the store: where nobody has the
    links in between any more, these are taken to be in the chain, unless the round says otherwise."""
    by_hash = {link.sha256: link for link in links}
    if received.last in by_hash:
        walked = list(_back(by_hash, received.last))
        found = {link.sha256 for link in walked}
        if walked[-1].before:
            found |= {link.sha256 for link in links if link.sequence < walked[-1].sequence and link.sha256 in put}
    else:
        found = {link.sha256 for link in links if link.sequence < received.through and link.sha256 in put}
    refused = {link.sha256: received.refused.get(short(link.sha256)) for link in links}
    in_others = {sha256 for sha256, entry in refused.items() if entry is not None and entry.kind == "known"}
    return {sha256 for sha256 in found if refused[sha256] is None} | in_others


def forks(links: Sequence[Link], received: Received) -> set[str]:
    """SHA-256 of the links that a round has passed by: refused as forks, or with another link at their place."""
    by_hash = {link.sha256: link for link in links}
    taken = {link.sequence: link.sha256 for link in _back(by_hash, received.last)}
    named = {sha256 for sha256 in by_hash if _is_fork(sha256, received)}
    beside = {link.sha256 for link in links if taken.get(link.sequence, link.sha256) != link.sha256}
    return _with_followers(links, named | beside)


def unsent_beside(links: Sequence[Link], adopted: Collection[str], stored: Collection[str]) -> set[str]:
    """SHA-256 of own links that never came into the store while another life's took their place: they are made anew.

    adopted: of links that another life sent; stored: `short` hashes that the store lists.
    """
    places = {link.before for link in links if link.sha256 in adopted}
    late = {
        link.sha256
        for link in links
        if link.sha256 not in adopted and link.before in places and short(link.sha256) not in stored
    }
    return _with_followers(links, late)


def tip(links: Iterable[Link], received: Received) -> tuple[int, str]:
    """(number, SHA-256) of the link that the next update follows: from where a round stands on along the chain, by
    the hub's own choice, the smaller hash, where it forks."""
    following: dict[str, list[Link]] = {}
    for link in links:
        if not _is_fork(link.sha256, received):
            following.setdefault(link.before, []).append(link)
    number, last = received.through, received.last
    while found := [link for link in following.get(last, ()) if link.sequence == number + 1]:
        chosen = min(found, key=lambda link: link.sha256)
        number, last = chosen.sequence, chosen.sha256
    return number, last


def connected(links: Sequence[Link], to: Collection[str]) -> list[Link]:
    """Those that follow one of the hashes `to`, directly or by others of them, in their order."""
    reached, found = set(to), list[Link]()
    for link in sorted(links, key=lambda link: (link.sequence, link.sha256)):
        if link.before in reached:
            reached.add(link.sha256)
            found.append(link)
    return found


def _is_fork(sha256: str, received: Received) -> bool:
    entry = received.refused.get(short(sha256))
    return entry is not None and entry.kind == "fork"


def _back(by_hash: dict[str, Link], last: str) -> Iterator[Link]:
    """The link of this hash and those before it, as far as they are there."""
    while (link := by_hash.get(last)) is not None:
        yield link
        last = link.before


def _with_followers(links: Sequence[Link], some: set[str]) -> set[str]:
    """These and all that follow them."""
    return some | {link.sha256 for link in connected(links, some)}
