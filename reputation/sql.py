"""One way to run hand-written SQL: on Django's connection, bound by the server, prepared after its second use.

Statements are constants of the room that owns the data; nothing else builds SQL from text. Errors surface as
Django's database errors, so a lost connection is noticed and replaced at the next use.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.db import connections
from psycopg.rows import namedtuple_row

Params = Sequence[Any] | Mapping[str, Any]


def rows(statement: LiteralString, params: Params = (), *, using: str = "default") -> list[Any]:
    """Run one statement and return its rows as named tuples (an empty list if it returns none).

    Raises:
        django.db.Error: the database refused, or could not be asked.
    """
    connection = connections[using]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection, row_factory=namedtuple_row) as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def count(statement: LiteralString, params: Params = (), *, using: str = "default") -> int:
    """Run one statement and return how many rows it touched."""
    connection = connections[using]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, params)
        return cursor.rowcount


def one(statement: LiteralString, params: Params = (), *, using: str = "default") -> Any:
    """Run one statement and return its only row, or None."""
    found = rows(statement, params, using=using)
    return found[0] if found else None
