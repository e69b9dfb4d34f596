"""MTA-STS as text (RFC 8461): a domain's TXT record, its policy file, and which mail hosts a policy lets us speak to.

Guarantees: what is valid is read as the RFC says, unknown fields are ignored, and the first of a repeated one counts;
what is not valid is no record, or `BadPolicy`, and never half a policy. Refuses to guess: two records are none. Pure:
it fetches nothing and knows no clock.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_SIZE: Final = 64 * 1024  # octets of a policy file (RFC 8461 3.3)
MAX_AGE: Final = 31_557_600  # seconds (RFC 8461 3.2)
MAX_HOSTS: Final = 1_000

_RECORD = re.compile(r"v=STSv1[ \t]*;")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*\S)[ \t]*")
_AGE = re.compile(r"[0-9]{1,10}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PATTERN = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


class BadPolicy(ValueError):
    """The policy file is not one; the message says why."""


class Mode(StrEnum):
    """What a domain asks of senders whose session would break its policy."""

    NONE = "none"
    TESTING = "testing"  # tell (RFC 8460), deliver all the same
    ENFORCE = "enforce"  # do not deliver


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as published: `hosts` are patterns in lower case, `max_age` is in seconds."""

    mode: Mode
    hosts: tuple[str, ...] = ()
    max_age: int = 0

    def matches(self, host: str) -> bool:
        """Whether one of the patterns covers this MX host; `*` is one whole label, the first (RFC 8461 4.1)."""
        host = host.lower().removesuffix(".")
        _, dot, parent = host.partition(".")
        return host in self.hosts or (bool(dot) and f"*.{parent}" in self.hosts)


NO_POLICY: Final = Policy(Mode.NONE)


def record_id(texts: Iterable[str]) -> str | None:
    """The policy id in a name's TXT records; None without an MTA-STS record, or with several (RFC 8461 3.1)."""
    ours = [text for text in texts if _RECORD.match(text)]
    if len(ours) != 1:
        return None
    pairs = [field.strip(" \t").partition("=") for field in ours[0].split(";")]
    found = next((value for name, _, value in pairs if name == "id"), "")
    return found if _ID.fullmatch(found) else None


def parse(content: bytes) -> Policy:
    """The policy in a policy file (RFC 8461 3.2). A `max_age` above the maximum counts as the maximum.

    Raises:
        BadPolicy: it is too long, not UTF-8, a line is no field, or a field is missing or wrong.
    """
    if len(content) > MAX_SIZE:
        raise BadPolicy(f"longer than {MAX_SIZE} octets")
    fields = _fields(_lines(content))
    if _first(fields, "version") != "STSv1":
        raise BadPolicy("the version is not STSv1")
    mode, age = _first(fields, "mode"), _first(fields, "max_age")
    if mode not in set(Mode):
        raise BadPolicy(f"no such mode: {mode!r}")
    if not _AGE.fullmatch(age):
        raise BadPolicy(f"not a max_age: {age!r}")
    hosts = _hosts(fields)
    if not hosts and mode != Mode.NONE:
        raise BadPolicy("it names no mail host")
    return Policy(Mode(mode), hosts, min(int(age), MAX_AGE))


def _lines(content: bytes) -> list[str]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise BadPolicy("not UTF-8") from None
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip(" \t")]


def _fields(lines: Sequence[str]) -> list[tuple[str, str]]:
    found = [_FIELD.fullmatch(line) for line in lines]
    if not all(found):
        raise BadPolicy(f"not a field: {lines[found.index(None)][:100]!r}")
    return [(field[1], field[2]) for field in found if field]


def _first(fields: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in fields if key == name), "")


def _hosts(fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(value.lower() for key, value in fields if key == "mx"))
    if len(hosts) > MAX_HOSTS:
        raise BadPolicy(f"more than {MAX_HOSTS} mail hosts")
    for host in hosts:
        if not _PATTERN.fullmatch(host):
            raise BadPolicy(f"not a mail host: {host[:100]!r}")
    return hosts
