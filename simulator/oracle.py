"""The oracle's log, reading end: what servers accepted, to hold against what the product claims.

One line per accepted message and recipient. `t_dot` is when the dot arrived; `t_reply` when the reply was
due, stamped just before the fsync that precedes it, and None (like `reply`) if the peer never got a whole
reply: such a message is kept all the same, because a real server may have kept it. Times are seconds since
the epoch.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient of one accepted message. `sha256`: of the bytes after dot-unstuffing, final CRLF
    included."""

    message_id: str | None
    mail_from: str
    rcpt: str
    sha256: str
    size: int
    helo: str
    peer: str
    t_dot: float
    t_reply: float | None
    reply: int | None
    behaviour: str
    tls: str
    provider: str
    mx: str
    delivery_ref: str | None


_FIELDS = frozenset(field.name for field in fields(Entry))


def load(path: Path | str) -> list[Entry]:
    """All entries in the order they were kept; a torn last line (nobody was told 250) is left out.

    Raises ValueError for a damaged line anywhere else.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    whole, _, _torn = text.rpartition(b"\n")
    return [parse(line) for line in whole.split(b"\n") if line]


def parse(line: bytes) -> Entry:
    """One line; fields this reader does not know are ignored."""
    known = {name: value for name, value in json.loads(line).items() if name in _FIELDS}
    return Entry(**known)


def pairs(entries: Iterable[Entry]) -> Counter[tuple[str | None, str]]:
    """How often each (Message-ID, recipient) was accepted: the count of invariant D."""
    return Counter((entry.message_id, entry.rcpt) for entry in entries)


def duplicates(entries: Iterable[Entry]) -> dict[tuple[str | None, str], int]:
    """The (Message-ID, recipient) pairs accepted more than once."""
    return {pair: count for pair, count in pairs(entries).items() if count > 1}
