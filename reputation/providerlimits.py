"""How many connections one worker process may have to a site of each family of mailbox providers.

A person sets them in the admin; a process reads them again after a minute. A family without a row has the ordinary
number, which is the transport's own.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, LiteralString

from reputation import sql

KEEP_SECONDS: Final = 60.0

READ: Final[LiteralString] = "SELECT family, connections, reserved FROM reputation_providerlimit"


@dataclass(slots=True)
class _Kept:
    until: float = 0.0
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


_kept = _Kept()


def connections() -> Mapping[str, tuple[int, int]]:
    """Connections, at least one, and how many of these are for transactional mail only, by family.

    Raises:
        django.db.Error: the database cannot be asked, and what was read before is too old.
    """
    now = time.monotonic()
    if _kept.until <= now:
        _kept.limits = {row.family: (max(row.connections, 1), row.reserved) for row in sql.rows(READ)}
        _kept.until = now + KEEP_SECONDS
    return _kept.limits


def forget() -> None:
    """Read them again at the next question."""
    _kept.until = 0.0
