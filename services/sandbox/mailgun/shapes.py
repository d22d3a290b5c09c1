"""Items of the Events API in the shapes that Mailgun gives them. Pure: all that varies is passed in."""

from __future__ import annotations

import base64
import random
from typing import Any, Literal

import msgspec

TAGS = ("bulk-email", "newsletter")
_SENDING_IP = "192.0.2.25"


class Mail(msgspec.Struct, frozen=True, gc=False):
    """One mail to one person, as its events tell of it."""

    recipient: str
    domain: str
    """The sending domain."""
    message_id: str | None
    """Without brackets; None: the header is missing."""
    email_id: str | None
    """The user variable; None: there are no variables."""
    subject: str = "News"


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a receiving server did not take a mail."""

    code: int
    enhanced_code: str | None
    message: str
    reason: str
    bounce_type: str = "soft"


class Reader(msgspec.Struct, frozen=True, gc=False):
    """Who opened or clicked: a program and the place where it runs."""

    ip: str
    client_name: str
    client_os: str
    client_type: str
    device_type: str
    user_agent: str
    country: str
    region: str
    city: str
    bot: str | None = None


SUPPRESSED = {
    605: ("suppress-bounce", "Not delivering to previously bounced address"),
    606: ("suppress-unsubscribe", "Not delivering to unsubscribed address"),
    607: ("suppress-complaint", "Not delivering to a user who marked your messages as spam"),
}


def new_id(rng: random.Random) -> str:
    """An event id: 16 random bytes in URL-safe Base64, 22 characters."""
    return base64.urlsafe_b64encode(rng.randbytes(16))[:22].decode()


def accepted(mail: Mail, timestamp: float, event_id: str) -> dict[str, Any]:
    """Mailgun took the mail for this person."""
    return {
        **_begin("accepted", timestamp, event_id, "info"),
        "method": "HTTP",
        "envelope": {"transport": "smtp", "sender": _sender(mail), "targets": mail.recipient},
        "flags": {"is-authenticated": True, "is-test-mode": False},
        "message": {"attachments": [], "headers": _headers(mail), "recipients": [mail.recipient], "size": 10472},
        "storage": _storage(mail, event_id),
        **_recipient(mail),
        "originating-ip": "203.0.113.10",
        **_end(mail),
    }


def delivered(mail: Mail, timestamp: float, event_id: str, *, attempt: int = 1) -> dict[str, Any]:
    """The receiving server took it."""
    return {
        **_begin("delivered", timestamp, event_id, "info"),
        **_transport(mail, event_id),
        "primary-dkim": f"pdk1._domainkey.{mail.domain}",
        "delivery-status": {
            **_session(mail, attempt),
            "code": 250,
            "message": f"2.0.0 OK {int(timestamp)} - smtp",
            "description": None,
            "enhanced-code": "2.0.0",
        },
        **_end(mail),
    }


def bounced(mail: Mail, timestamp: float, event_id: str, refusal: Refusal, *, attempt: int = 1) -> dict[str, Any]:
    """The receiving server refused it for good."""
    return {
        **_begin("failed", timestamp, event_id, "error"),
        "severity": "permanent",
        "reason": refusal.reason,
        **_transport(mail, event_id),
        "delivery-status": {**_refused(mail, refusal, attempt), "bounce-type": refusal.bounce_type},
        **_end(mail),
    }


def temporarily_failed(
    mail: Mail, timestamp: float, event_id: str, refusal: Refusal, *, attempt: int = 1
) -> dict[str, Any]:
    """One attempt failed; another will follow."""
    return {
        **_begin("failed", timestamp, event_id, "warn"),
        "severity": "temporary",
        "reason": refusal.reason,
        **_transport(mail, event_id),
        "delivery-status": {**_refused(mail, refusal, attempt), "retry-seconds": 600 * attempt},
        **_end(mail),
    }


def suppressed(mail: Mail, timestamp: float, event_id: str, code: Literal[605, 606, 607]) -> dict[str, Any]:
    """Mailgun did not even try: the address is on one of its lists. The text stands in the description."""
    reason, description = SUPPRESSED[code]
    return {
        **_begin("failed", timestamp, event_id, "error"),
        "severity": "permanent",
        "reason": reason,
        **_transport(mail, event_id),
        "delivery-status": {
            "attempt-no": 1,
            "message": "",
            "code": code,
            "description": description,
            "session-seconds": 0.0,
        },
        **_end(mail),
    }


def delayed_bounce(mail: Mail, timestamp: float, event_id: str) -> dict[str, Any]:
    """A bounce by mail, after a delivered event: without variables and tags, whatever the mail had."""
    return {
        **_begin("failed", timestamp, event_id, "error"),
        "severity": "permanent",
        "reason": "generic",
        "storage": _storage(mail, event_id),
        "delivery-status": {
            "bounce-code": "5.1.1",
            "message": "smtp; 550-5.1.1 mailbox does not exist",
            "code": 550,
            "description": "Your message could not be delivered to one or more recipients.",
            "enhanced-code": "5.1.1",
        },
        "user-variables": {},
        "flags": {"is-delayed-bounce": True},
        "envelope": {},
        "message": {"headers": _headers(mail), "size": 275},
        "recipient": mail.recipient,
    }


def opened(mail: Mail, timestamp: float, event_id: str, reader: Reader, *, delivered_at: float) -> dict[str, Any]:
    """The pixel was loaded."""
    return {
        **_begin("opened", timestamp, event_id, "info"),
        **_engaged(mail, reader),
        "delivered-at": int(delivered_at),
        **_end(mail),
    }


def clicked(
    mail: Mail, timestamp: float, event_id: str, reader: Reader, *, delivered_at: float, url: str
) -> dict[str, Any]:
    """A link was followed."""
    return {
        **_begin("clicked", timestamp, event_id, "info"),
        **_engaged(mail, reader),
        "delivered-at": int(delivered_at),
        "url": url,
        **_end(mail),
    }


def unsubscribed(mail: Mail, timestamp: float, event_id: str, reader: Reader) -> dict[str, Any]:
    """The recipient wants no more; the event lacks the variables and tags of the mail."""
    return {
        **_begin("unsubscribed", timestamp, event_id, "info"),
        **_engaged(mail, reader),
        "tags": ["*"],
        "campaigns": [],
        "user-variables": [],
        "storage": [],
    }


def complained(mail: Mail, timestamp: float, event_id: str) -> dict[str, Any]:
    """The recipient called it spam."""
    return {
        **_begin("complained", timestamp, event_id, "warn"),
        "message": {"headers": _headers(mail), "size": 11002},
        **_recipient(mail),
        "envelope": {"sending-ip": _SENDING_IP},
        "storage": _storage(mail, event_id),
        **_end(mail),
    }


def _begin(event: str, timestamp: float, event_id: str, log_level: str) -> dict[str, Any]:
    return {"event": event, "id": event_id, "timestamp": timestamp, "log-level": log_level}


def _end(mail: Mail) -> dict[str, Any]:
    variables = {} if mail.email_id is None else {"email-id": mail.email_id}
    return {"tags": TAGS, "campaigns": [], "user-variables": variables}


def _sender(mail: Mail) -> str:
    return f"news@{mail.domain}"


def _headers(mail: Mail) -> dict[str, str]:
    headers = {"to": mail.recipient, "from": f"Example News <{_sender(mail)}>", "subject": mail.subject}
    return headers if mail.message_id is None else {**headers, "message-id": mail.message_id}


def _recipient(mail: Mail) -> dict[str, str]:
    provider = "Google Workspace" if mail.recipient.endswith("m") else "Other"
    host = mail.recipient.rpartition("@")[2]
    return {"recipient": mail.recipient, "recipient-domain": host, "recipient-provider": provider}


def _storage(mail: Mail, event_id: str) -> dict[str, str]:
    key = f"BAABAQ{event_id}"
    url = f"https://storage-us-east4.api.mailgun.net/v3/domains/{mail.domain}/messages/{key}"
    return {"url": url, "key": key, "region": "us-east4", "env": "production"}


def _transport(mail: Mail, event_id: str) -> dict[str, Any]:
    return {
        "flags": {"is-routed": False, "is-authenticated": True, "is-system-test": False, "is-test-mode": False},
        "message": {"attachments": [], "headers": _headers(mail), "size": 10472},
        "storage": _storage(mail, event_id),
        **_recipient(mail),
        "envelope": {
            "transport": "smtp",
            "sender": _sender(mail),
            "targets": mail.recipient,
            "sending-ip": _SENDING_IP,
        },
    }


def _session(mail: Mail, attempt: int) -> dict[str, Any]:
    return {
        "attempt-no": attempt,
        "session-seconds": 0.563,
        "mx-host": f"mx1.{mail.recipient.rpartition('@')[2]}",
        "mx-host-ip": "198.51.100.77",
        "certificate-verified": True,
        "tls": True,
        "utf8": True,
        "first-delivery-attempt-seconds": 0.122,
    }


def _refused(mail: Mail, refusal: Refusal, attempt: int) -> dict[str, Any]:
    told = {"code": refusal.code, "message": refusal.message, "description": None}
    return {**_session(mail, attempt), **told, "enhanced-code": refusal.enhanced_code}


def _engaged(mail: Mail, reader: Reader) -> dict[str, Any]:
    return {
        "message": {"headers": {} if mail.message_id is None else {"message-id": mail.message_id}},
        **_recipient(mail),
        "ip": reader.ip,
        "client-info": {
            "client-type": reader.client_type,
            "client-os": reader.client_os,
            "device-type": reader.device_type,
            "client-name": reader.client_name,
            "user-agent": reader.user_agent,
            "bot": reader.bot,
        },
        "geolocation": {"country": reader.country, "region": reader.region, "city": reader.city, "timezone": "UTC"},
    }
