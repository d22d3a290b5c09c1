"""When members were last seen."""

from __future__ import annotations

from services.contracts.events import EmailOpened
from services.storage.core.part import Part
from services.storage.core.text import storable


def last_seen(part: Part) -> dict[str, int]:
    """For each member its latest open, the first of several in one millisecond. The ids are sorted."""
    events, instants = part.events, part.instants
    latest: dict[str, int] = {}
    for index in part.of_type[EmailOpened]:
        member_id = events[index].member_id
        if member_id is None:
            continue
        if instants[index] > instants[latest.setdefault(member_id, index)]:
            latest[member_id] = index
    if not storable("".join(latest)):
        latest = {member_id: index for member_id, index in latest.items() if storable(member_id)}
    return dict(sorted(latest.items()))
