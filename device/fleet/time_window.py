"""Hours of the day in which something may be done, such as 22:00-05:00, by this device's own clock."""

from __future__ import annotations

import re
from datetime import datetime, time

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def is_within(hours: str, now: time | None = None) -> bool:
    """Whether `now` (this clock's time where none is given) is in the hours, which may go over midnight. Raises
    UsageError."""
    match = _HOURS.fullmatch(hours)
    if match is None:
        raise UsageError(f"--between: expected hours such as 01:00-05:00, got {shown(hours)}")
    first, last = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    present = now or datetime.now().time()
    return first <= present < last if first <= last else present >= first or present < last
