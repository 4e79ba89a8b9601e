"""What a hub has to tell a larger fleet, and that fleet's round with it as the next round of its own.

Let L be the hub's own round, U the larger fleet's round that L holds, D_1, D_2, ... what was told and U lacks. As on a
device (`edge_nusa.sync.change`) the next change is D = L - (U + D_1 + D_2 + ...), in whole numbers for the head; so
what the larger fleet holds of this hub is at any time what its devices gave, and nothing of which device gave it. The
next round is the larger fleet's newest with the changes that it lacks; what the hub knows of its own devices stays.
"""

from __future__ import annotations

from dataclasses import replace

from edge_nusa.device.fleet.gained import unsent
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.errors import RefusedError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.labels import quoted
from edge_nusa.sync import merging
from edge_nusa.sync.hub import mixtures
from edge_nusa.sync.hub.above import Above
from edge_nusa.sync.hub.shares import Shares
from edge_nusa.sync.merging import Step
from edge_nusa.sync.round_file import Round

_RENAME = "rename it here by `edge-nusa hub rename`"
_WAY_OUT = "take it back here by `edge-nusa hub forget`"
NEXT_SEQUENCE = 2**31
"""Of what was not told yet: after all that was."""


def known(own: Round, above: Above) -> Knowledge:
    """What the hub's fleet knows, as a device of the larger one: based on its round, with the own forgettings since."""
    return replace(own.knowledge, round=above.mark, forgotten=above.untold(own.forgotten), lessons=())


def folded(fleet: Fleet, own: Round, shares: Shares, upper: Round) -> tuple[Round, Shares]:
    """The hub's next round, and what stands beside it. own: its newest; upper: the larger fleet's newest.

    Raises DamagedError where the larger fleet lacks what this hub takes back.
    """
    above, knows, number = shares.above, known(own, shares.above), own.number + 1
    _check_names(own, above, upper)
    base = fleet.base(above.mark)
    fleet.remember_refused(upper)
    gained = unsent(knows, base, fleet.pending(base), fleet.device)
    steps = fleet.pending(upper)
    if not gained.is_empty:
        steps = [*steps, Step(NEXT_SEQUENCE, above.mark.number, gained)]
    found = merging.rebased(upper, steps, fleet.device)
    # own forgettings that came back keep their number: devices that knew them have taught on
    own_forgettings = {key for key, _ in knows.forgotten}
    new = {key for key, when in upper.forgotten.items() if when > above.mark.number} - own_forgettings
    gone = set(own.knowledge.columns) - set(found.columns) - new
    made = replace(
        own,
        number=number,
        knowledge=found,
        forgotten=merging.newest({**own.forgotten, **dict.fromkeys(new, number)}),
        withdrawn=merging.newest({**own.withdrawn, **dict.fromkeys(gone, number)}),
    )
    untold = tuple(pair for pair in gained.forgets if above.mark.number >= upper.forgotten.get(pair[0], 0))
    losses = tuple((found.fusion - mixtures.of(shares.devices.values(), shares.bad)).ravel().tolist())
    taken = Above(mark=upper.knowledge.round, folded=number, forgotten=untold, losses=losses)
    return made, replace(shares.forgetting(sorted(new), number), above=taken, content=None)


def _check_names(own: Round, above: Above, upper: Round) -> None:
    """Raises RefusedError where the larger fleet has renamed what this one still calls by the old name."""
    for one in upper.renamed:
        if one.round > above.mark.number and one.old in own.knowledge.columns:
            name = own.knowledge.names[own.knowledge.columns[one.old]]
            raise RefusedError(
                f"refused: the larger fleet calls {quoted(name)} {quoted(one.new)} since its round {one.round}; "
                f"nothing was changed: {_WAY_OUT if above.is_used else _RENAME} first, and exchange again"
            )
