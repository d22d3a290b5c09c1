"""How the simulator behaves: its account, its clockwork and its faults. Written in Python or in YAML.

A fault is switched on by its presence in the list. It strikes a share of the requests (``rate``), and only those in
its windows: of request numbers and of seconds, both counted from the moment the scenario was put in force.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec
import yaml

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class ScenarioError(ValueError):
    """A scenario cannot be read; the text says where and why."""


class ResetUnit(StrEnum):
    """How ``X-RateLimit-Reset`` gives its instant; sources contradict each other."""

    NONE = "none"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """When a fault strikes."""

    rate: Share = 1.0
    from_request: Count = 0
    to_request: Count | None = None
    """Not this one any more."""
    from_second: Seconds = 0.0
    to_second: Seconds | None = None
    domain: str | None = None
    """Only requests for this domain."""

    def covers(self, *, number: int, seconds: float, domain: str) -> bool:
        """Whether a request lies in the windows; the rate is not asked."""
        return (
            self.from_request <= number
            and (self.to_request is None or number < self.to_request)
            and self.from_second <= seconds
            and (self.to_second is None or seconds < self.to_second)
            and self.domain in {None, domain}
        )


class TooManyRequests(_Fault, frozen=True, kw_only=True, tag="too_many_requests"):
    """429 in all its forms."""

    body: Literal["json", "text", "retry_seconds"] = "json"
    retry_after_seconds: Seconds | None = 1.0
    """None: no such header."""
    retry_after_as: Literal["seconds", "date"] = "seconds"
    reset_seconds: Seconds = 1.0
    reset_unit: ResetUnit = ResetUnit.NONE


class UsedUp(_Fault, frozen=True, kw_only=True, tag="used_up"):
    """A page as asked, with ``X-RateLimit-Remaining: 0``."""

    reset_seconds: Seconds = 1.0
    reset_unit: ResetUnit = ResetUnit.SECONDS


class ServerError(_Fault, frozen=True, kw_only=True, tag="server_error"):
    """5xx with a page of HTML, as gateways answer."""

    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 503


class Refused(_Fault, frozen=True, kw_only=True, tag="refused"):
    """401 as text; 402, 403, 404 as JSON."""

    status: Literal[401, 402, 403, 404] = 401


class Slow(_Fault, frozen=True, kw_only=True, tag="slow"):
    """The answer takes so much longer."""

    seconds: Seconds


class CutAnswer(_Fault, frozen=True, kw_only=True, tag="cut_answer"):
    """The connection closes when this share of the body has been sent."""

    share: Share = 0.5


class CutJson(_Fault, frozen=True, kw_only=True, tag="cut_json"):
    """A complete answer by HTTP's rules, holding this share of the JSON."""

    share: Share = 0.5


class ForeignNext(_Fault, frozen=True, kw_only=True, tag="foreign_next"):
    """The links lead to another host."""

    base_url: str = "http://mailgun.example.net"


class EmptyPaging(_Fault, frozen=True, kw_only=True, tag="empty_paging"):
    """``paging`` is an empty object."""


class NoNext(_Fault, frozen=True, kw_only=True, tag="no_next"):
    """Items, and all links but ``next``."""


class Oversized(_Fault, frozen=True, kw_only=True, tag="oversized"):
    """The body is blown up to this size."""

    size_bytes: Count = 33 * 1024 * 1024


class OddItems(_Fault, frozen=True, kw_only=True, tag="odd_items"):
    """Items of wrong types stand among the real ones; they are no events and in no truth."""

    count: Count = 3


Fault: TypeAlias = (
    TooManyRequests
    | UsedUp
    | ServerError
    | Refused
    | Slow
    | CutAnswer
    | CutJson
    | ForeignNext
    | EmptyPaging
    | NoNext
    | Oversized
    | OddItems
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about the simulated service that can be chosen."""

    seed: int = 1
    api_key: str = "key-simulator"
    sending_keys: tuple[str, ...] = ()
    """Keys that may only send: 403."""
    domains: tuple[str, ...] = ()
    """Known besides those that events are added for."""
    other_region: dict[str, Literal[401, 404]] = {}
    """Domains of the other region, and how asking for them here is answered."""
    retention_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30 * 86_400.0
    end_inclusive: bool = False
    latency_seconds: Seconds = 0.0
    """How long every answer takes at least."""
    public_base_url: str | None = None
    """What links begin with; None: the host that the client asked."""
    faults: tuple[Fault, ...] = ()


def read_scenario(text: str | bytes) -> Scenario:
    """A scenario out of YAML (or JSON).

    Raises:
        ScenarioError: it is no YAML, or has a wrong key or value; the text names it.

    """
    try:
        return msgspec.convert(yaml.safe_load(text) or {}, Scenario)
    except yaml.YAMLError as error:
        raise ScenarioError(f"the scenario is no YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise ScenarioError(f"the scenario is wrong: {error}") from None
