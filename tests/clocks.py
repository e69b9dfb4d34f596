"""The rules' time in tests: only the owner may move it; every test begins with it where the database's is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg


def later(live_db: Any, by: timedelta | str) -> None:
    """The rules' time goes on."""
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute("UPDATE outbox_clockshift SET shift = shift + %s::interval", [by])


@contextmanager
def shifted(live_db: Any, by: timedelta) -> Iterator[None]:
    """The rules' time gone on for a while, and back."""
    later(live_db, by)
    yield
    later(live_db, -by)
