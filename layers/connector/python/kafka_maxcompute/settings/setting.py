"""One setting: how its value is read, which values are allowed, and its default."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, get_args

from kafka_maxcompute.settings import time_zone

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_maxcompute.settings.names import NameRule

SHOWN_CHARACTERS = 80
"""Most characters of a wrong value that a fault repeats."""

SECRET_PREFIX, CERTIFICATE_PREFIX = "CONNECTOR_SECRET_", "CONNECTOR_CA_"
"""Prefixes of variables that references may name; references never read another variable of the function."""
SECRET_EXPECTED = f"env:{SECRET_PREFIX}... of a variable, or kms:NAME of a secret in KMS"

# Prefixes of keys of Alibaba Cloud accounts and temporary roles; the text before an @ may be a login, and the query of
# an address a signature.
_SECRET = re.compile(r"\A(LTAI|STS\.)|@|//.*\?")
# A host's name, an IPv4 or a bracketed IPv6 address; Kafka's clients accept no other form of RFC 3986.
_SERVER = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_SERVERS = re.compile(rf"{_SERVER}(?:,{_SERVER})*")
_LAST_PORT = 65_535
# No part that parsers of addresses read in different ways: no login, escape, backslash, or letters beyond ASCII.
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/(?!\.{0,2}(?:/|\Z))[A-Za-z0-9._~-]+)*/?"
)
# KMS: a secret's name has 1 to 64 letters, digits and _ / + = . @ - (CreateSecret, 2016-01-20).
_REFERENCE = re.compile(rf"env:{SECRET_PREFIX}[A-Za-z0-9_]+|kms:[A-Za-z0-9_/+=.@-]{{1,64}}")
_CERTIFICATES = re.compile(rf"env:{CERTIFICATE_PREFIX}[A-Za-z0-9_]+")
# The forms that Python 3.10's `datetime.fromisoformat` accepts. Later versions accept more, but a setting has to mean
# the same with each version.
_ISO_TEXT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{3}(?:[0-9]{3})?)?)?(?:[zZ]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_WHOLE = re.compile(r"-?[0-9]{1,18}")
UNREADABLE = (LookupError, TypeError, ValueError)
FIRST_EPOCH_MS, LAST_EPOCH_MS = 946_684_800_000, 9_999_999_999_999
"""The numbers that are read as epoch milliseconds: from 2000-01-01 to 2286-11-20, the last one of 13 digits. A smaller
number may be a date such as 20261129 or epoch seconds, a greater one such a date with its time."""
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read: `read` raises one of `UNREADABLE` for a value that isn't as `expected` says.

    If `hidden`, a wrong value may be a secret and is never shown.
    """

    expected: str
    read: Callable[[object], object]
    hidden: bool = False

    def fault(self, name: str, value: object) -> str:
        """Return the fault of a value that can't be read, without a remedy."""
        shown_value = "something else, which isn't shown" if self.hidden else shown(value)
        return f"{name}: expected {self.expected}, found {shown_value}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a connector.

    `item` is the setting's item of the connector document, "" if it has none. With `default` None the setting must be
    given, unless `derived` is a default made of earlier settings, such as "connect-{name}"; `meaning` says what it is.
    """

    item: str
    kind: Kind
    default: str | int | bool | None = None
    derived: str = ""
    meaning: str = ""

    @property
    def required(self) -> bool:
        """Whether the setting must be given."""
        return self.default is None and not self.derived


def named(rule: NameRule) -> Kind:
    """A name that keeps a rule."""

    def read(value: object) -> str:
        text = _text(value)
        if not rule.allows(text):
            raise ValueError(rule.expected)
        return text

    return Kind(rule.expected, read)


def choice(literal: object) -> Kind:
    """One of the values of a Literal type; upper and lower case don't matter."""
    return one_of(*get_args(literal))


def one_of(*allowed: str) -> Kind:
    """One of some words; upper and lower case don't matter."""
    by_lower_case = {value.lower(): value for value in allowed}

    def read(value: object) -> str:
        return by_lower_case[_text(value).lower()]

    return Kind(f"one of {', '.join(allowed)}" if len(allowed) > 1 else allowed[0], read)


def unseen(kind: Kind) -> Kind:
    """Return the kind with hidden values: a user may have written a password by mistake."""
    return replace(kind, hidden=True)


def number(*allowed: int) -> Kind:
    """One of a few whole numbers."""

    def read(value: object) -> int:
        parsed = _whole(value)
        if parsed not in allowed:
            raise ValueError(parsed)
        return parsed

    return Kind(f"one of {', '.join(map(str, allowed))}", read)


def whole(least: int, most: int, what: str = "a whole number") -> Kind:
    """A whole number within two bounds."""

    def read(value: object) -> int:
        parsed = _whole(value)
        if not least <= parsed <= most:
            raise ValueError(parsed)
        return parsed

    return Kind(f"{what} from {least} to {most}", read)


def seconds(most: int) -> Kind:
    """A whole number of seconds from 0."""
    return whole(0, most, "whole seconds")


def some_of(*allowed: str) -> Kind:
    """A list of some of these words."""
    return listed(one_of(*allowed), f"a list of {', '.join(allowed)}")


def listed(kind: Kind, expected: str) -> Kind:
    """A list of values of a kind, whose order doesn't matter."""

    def read(value: object) -> frozenset[object]:
        if not isinstance(value, list):
            raise TypeError(value)
        return frozenset(map(kind.read, value))

    return Kind(expected, read)


def content(expected: str = "text", fewest: int = 0) -> Kind:
    """Text that is kept as it is, of at least `fewest` characters; a number isn't converted to text."""

    def read(value: object) -> str:
        if not isinstance(value, str) or len(value) < fewest:
            raise TypeError(value)
        return value

    return Kind(expected, read)


def flag() -> Kind:
    """True or false."""

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        if text not in _TRUE | _FALSE:
            raise ValueError(text)
        return text in _TRUE

    return Kind("true or false", read)


def address() -> Kind:
    """The address of a service, without the slash at its end."""

    def read(value: object) -> str:
        text = _text(value)
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
            raise ValueError
        return text.rstrip("/")

    return Kind("an http or https address without login, query or fragment", read)


def servers() -> Kind:
    """Addresses of Kafka brokers, without spaces."""

    def read(value: object) -> str:
        text = re.sub(r"\s*,\s*", ",", _text(value).strip())
        ports = [int(server.rpartition(":")[2]) for server in text.split(",")] if _SERVERS.fullmatch(text) else [0]
        if not 0 < min(ports) <= max(ports) <= _LAST_PORT:
            raise ValueError
        return text

    return Kind("host:port, more than one separated by commas", read)


def login() -> Kind:
    """A user's name, of any printable characters, as SCRAM and PLAIN accept them."""

    def read(value: object) -> str:
        text = _text(value)
        if not text.isprintable():
            raise ValueError
        return text

    return Kind("a user's name, of printable characters", read, hidden=True)


def secret() -> Kind:
    """A reference to a secret, never the secret itself."""

    def read(value: object) -> str:
        text = _text(value)
        if not _REFERENCE.fullmatch(text):
            raise ValueError
        return text

    return Kind(SECRET_EXPECTED, read, hidden=True)


def certificates() -> Kind:
    """A reference to certificates of authorities."""

    def read(value: object) -> str:
        text = _text(value)
        if not _CERTIFICATES.fullmatch(text) and not (text.startswith("/") and text.isprintable()):
            raise ValueError
        return text

    return Kind(
        f"env:{CERTIFICATE_PREFIX}... of a variable with PEM text, or the absolute path of a PEM file",
        read,
        hidden=True,
    )


def zone() -> Kind:
    """A time zone, kept as text."""

    def read(value: object) -> str:
        text = _text(value)
        time_zone.parse(text)
        return text

    return Kind(time_zone.EXPECTED, read)


def instant(earliest: str) -> Kind:
    """A point in time as epoch milliseconds, from these or from an ISO date or time (UTC unless it has an offset)."""
    floor = _epoch_ms(earliest)

    def read(value: object) -> int:
        milliseconds = _epoch_ms(_text(value))
        if milliseconds < floor:
            raise ValueError(milliseconds)
        return milliseconds

    return Kind(
        f"an ISO date or time such as 2000-01-01T00:00:00Z, not before {earliest}, or milliseconds since 1970, "
        f"from {FIRST_EPOCH_MS} (the year 2000) to {LAST_EPOCH_MS} (2286)",
        read,
    )


def shown(value: object) -> str:
    """Return a wrong value for a fault's text: shortened, and hidden if it looks like a secret."""
    text = repr(value)
    if _SECRET.search(str(value)):
        return "a value that looks like a secret and isn't shown"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"


def _text(value: object) -> str:
    """Return a value that has to be text; whole numbers count as text, since YAML and JSON read digits as numbers."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(value)
    return str(value)


def _whole(value: object) -> int:
    """Return a whole number, also from its digits."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(value)
    if not _WHOLE.fullmatch(str(value)):
        raise ValueError(value)
    return int(value)


def _epoch_ms(text: str) -> int:
    """Return the epoch milliseconds of ISO text; digits alone are epoch milliseconds already."""
    if text.isascii() and text.isdecimal():
        milliseconds = int(text)
        if not FIRST_EPOCH_MS <= milliseconds <= LAST_EPOCH_MS:
            raise ValueError(milliseconds)
        return milliseconds
    if not _ISO_TEXT.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(re.sub(r"[zZ]\Z", "+00:00", text))
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
    return int(moment.timestamp() * 1_000)
