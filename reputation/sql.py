"""One way to run hand-written SQL: on Django's connection, bound by the server, prepared when used again.

Statements are constants of the room that owns the data; nothing else builds SQL from text. Errors surface as
Django's database errors, so a lost connection is noticed and replaced at the next use. JSON comes as text, as Django's
connections have it: ``loads`` reads it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import orjson
import psycopg
from django.db import Error, connections
from psycopg.adapt import AdaptersMap
from psycopg.rows import namedtuple_row
from psycopg.types.string import TextLoader

loads = orjson.loads
OWNER: Final = "owner"  # the connection of the role that owns the tables, where there is one
Params = Sequence[Any] | Mapping[str, Any]
Row = Any  # a named tuple; its fields are the statement's column names. Or None, where there may be none


def rows(statement: LiteralString, params: Params = (), *, using: str = "default") -> list[Row]:
    """Run one statement and return its rows as named tuples (an empty list if it returns none).

    Raises:
        django.db.Error: the database refused, or could not be asked.
    """
    with _asked(using) as connection:
        cursor = _cursor(connection).execute(statement, params)
        return cursor.fetchall() if _answers(cursor) else []


def count(statement: LiteralString, params: Params = (), *, using: str = "default") -> int:
    """Run one statement and return how many rows it touched."""
    with _asked(using) as connection:
        return _cursor(connection).execute(statement, params).rowcount


def exhaust(statement: LiteralString, params: Params = (), *, using: str = "default") -> int:
    """Run a statement that takes a page at a time until it finds nothing more; how many rows it touched in all."""
    touched = 0
    while page := count(statement, params, using=using):
        touched += page
    return touched


def one(statement: LiteralString, params: Params = (), *, using: str = "default") -> Row:
    """Run one statement and return its first row, or None."""
    found = rows(statement, params, using=using)
    return found[0] if found else None


def together(*statements: tuple[LiteralString, Params], using: str = "default") -> list[list[Row]]:
    """Run statements in one round trip and one transaction; each sees what those before it wrote."""
    with _asked(using) as connection:
        with connection.pipeline():
            cursors = [_cursor(connection).execute(*one) for one in statements]
        return [cursor.fetchall() if _answers(cursor) else [] for cursor in cursors]


def _answers(cursor: psycopg.Cursor[Row]) -> bool:
    """Whether the statement returned rows; ``cursor.description`` would build an object for each column."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def _adapters() -> AdaptersMap:
    """As Django's connections have them, but moments by psycopg's own loader, which is compiled."""
    adapters = AdaptersMap(psycopg.adapters)
    for name in ("jsonb", "inet", "cidr"):
        adapters.register_loader(name, TextLoader)
    return adapters


ADAPTERS: Final = _adapters()


class _Cursor(psycopg.Cursor[Row]):
    @property
    def adapters(self) -> AdaptersMap:
        return ADAPTERS


def _cursor(connection: psycopg.Connection[Any]) -> psycopg.Cursor[Row]:
    return _Cursor(connection, row_factory=namedtuple_row)


@contextmanager
def _asked(using: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection, with errors as Django's. One that broke is forgotten, so that the next statement opens a new one;
    a transaction ends by itself.
    """
    connection = connections[using]
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors:
            yield connection.connection
    except Error:
        if (
            connection.connection is not None
            and connection.connection.closed
            and not connection.in_atomic_block
        ):
            connection.close()
        raise
