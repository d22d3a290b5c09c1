"""Which failure is kept and what it says."""

from __future__ import annotations

import msgspec
import pytest

from services.contracts.events import EmailBounced, EmailTemporarilyFailed
from services.storage.core.failures import failures, told
from services.storage.core.part import Part
from tests.support.storage import NOON, bounced, event


def test_the_earliest_permanent_failure_is_kept_whatever_temporary_ones_there_are() -> None:
    events = [
        event(EmailTemporarilyFailed, at=NOON - 5000),
        bounced(at=NOON + 2000),
        bounced(at=NOON),
        event(EmailTemporarilyFailed, at=NOON + 9000),
    ]
    assert failures(Part.of(events)) == {"r1": 2}


def test_of_temporary_failures_the_latest_is_kept_and_the_greatest_id_within_a_millisecond() -> None:
    events = [event(EmailTemporarilyFailed, at=NOON + micros, event_id=id_) for micros, id_ in ((900, "a"), (1, "é"))]
    assert failures(Part.of(events)) == {"r1": 1}


@pytest.mark.parametrize(
    ("code", "enhanced_code", "message", "kept"),
    [
        (550, "5.1.1", "No such user", (550, "5.1.1", "No such user")),
        (550, "5.1.1", "\0", (550, "5.1.1", "Error 5.1.1")),
        (550, " ", None, (550, None, "Error 550")),
        (0, None, "", (0, None, "Error 0")),
        (2**31 - 1, None, None, (2**31 - 1, None, "Error 2147483647")),
        (2**31, None, None, (None, None, "Error")),
    ],
)
def test_a_failure_always_says_something(
    code: int, enhanced_code: str | None, message: str | None, kept: tuple[object, ...]
) -> None:
    failure = msgspec.structs.replace(bounced(), code=code, enhanced_code=enhanced_code, message=message)
    said = told(failure)
    assert (said.code, said.enhanced_code, said.message) == kept


def test_the_kind_of_the_event_says_the_severity() -> None:
    assert told(event(EmailBounced)).severity == "permanent"
    assert told(event(EmailTemporarilyFailed)).severity == "temporary"
