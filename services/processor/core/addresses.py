"""When two spellings are one address, and how a row of the database may spell it.

The local part is compared in NFC and lower case, the domain in its ASCII form where it has one. Nothing here
judges whether an address is valid: what has no ASCII form is compared as it is.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import idna

# Far above what mail allows (320 and 253). Longer texts are compared by lower case alone, since normalising
# and Punycode take quadratic time and the text is a stranger's.
_LONGEST_ADDRESS = 1_000
_LONGEST_DOMAIN = 253

_PUNYCODE = "xn--"


def is_plain(address: str) -> bool:
    """Whether lower case is all that its spellings can differ in."""
    return address.isascii() and _PUNYCODE not in address.lower()


def comparison_key(address: str) -> str:
    """The same text for all spellings of one address, and for no other address."""
    return address.lower() if is_plain(address) else _key(address)


def spellings(address: str) -> tuple[str, ...]:
    """What ``lower(member_email)`` of a row may be if the row has this address; the row decides by ``comparison_key``.

    The row may hold the domain in Unicode or in ASCII, composed or decomposed characters, or just what Mailgun was
    given and gives back; and a database lowers each character by itself, or, in the locale C, only ASCII.
    """
    return (address.lower(),) if is_plain(address) else _spellings(address)


@lru_cache(maxsize=4096)
def _key(address: str) -> str:
    if len(address) > _LONGEST_ADDRESS:
        return address.lower()
    local, at, domain = address.rpartition("@")
    return _nfc(_nfc(local).lower()) + at + _ascii_domain(domain)


@lru_cache(maxsize=4096)
def _spellings(address: str) -> tuple[str, ...]:
    received = (address.lower(), "".join(map(str.lower, address)), _lower_ascii(address))
    if len(address) > _LONGEST_ADDRESS:
        return tuple(dict.fromkeys(received))
    local, at, domain = _key(address).rpartition("@")
    in_unicode = _nfc(_unicode_domain(domain))
    derived = [
        each_local + at + each_domain
        for each_local in (local, _nfd(local), _without_final_sigma(local), _without_final_sigma(_nfd(local)))
        for each_domain in (domain, in_unicode, _nfd(in_unicode))
    ]
    return tuple(dict.fromkeys((*received, *derived)))


def _ascii_domain(domain: str) -> str:
    """The domain with its Unicode labels in Punycode, by the mapping of UTS 46, non-transitional."""
    if len(domain) > _LONGEST_DOMAIN:
        return domain.lower()
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
    except idna.IDNAError:
        return _nfc(_nfc(domain).lower())
    return ".".join(label if label.isascii() else _PUNYCODE + _punycode(label) for label in mapped.split("."))


def _unicode_domain(domain: str) -> str:
    """The domain with its Punycode labels in Unicode, where they are Punycode of something."""
    return ".".join(_unicode_label(label) if label.startswith(_PUNYCODE) else label for label in domain.split("."))


def _unicode_label(label: str) -> str:
    try:
        return label.removeprefix(_PUNYCODE).encode().decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _punycode(label: str) -> str:
    return label.encode("punycode").decode("ascii")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _without_final_sigma(text: str) -> str:
    """Python lowers a capital sigma at the end of a word to a final one, which a database does not."""
    return text.replace("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}")


def _lower_ascii(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)
