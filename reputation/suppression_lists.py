"""Suppression lists as CSV: ours for people and other products, and theirs for us.

Guarantees: a list is written line by line, in memory of one page however long it is; no cell can be run by a
spreadsheet (OWASP, CSV injection), and what was escaped for that is read back as it was. Of a list that is read every
line counts or is named by its number; the whole is one transaction.

Refuses a list without a column of addresses, or one that is longer than ``MAX_LINES``.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from reputation.models import Suppression
from reputation.suppression import Entry, Reason, address_in, suppress

COLUMNS: Final = (
    *("id", "address", "scope", "reason", "source", "why", "created_at", "expires_at"),
    *("lifted_at", "lifted_by", "lifted_why", "erased_at"),
)
ADDRESSES: Final = ("address", "email", "recipient")  # what others call the column
MAX_LINES: Final = 100_000
BATCH: Final = 1000
NAMED: Final = 20  # wrong lines that are named

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# What was escaped: an apostrophe before one of these, or before an apostrophe that was there already.
_ESCAPED: Final = re.compile(r"'(?=['=+\-@\t\r\n])")
_SCOPE: Final = re.compile(r"all|agents|stream:[A-Za-z0-9_-]{1,63}")
_ADDRESS: Final = re.compile(r"[^\s@\x00-\x1f\x7f,;<>\"]{1,64}@[^\s@\x00-\x1f\x7f,;<>\"]{1,255}")


class BadList(ValueError):
    """The list cannot be read; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a list: lines read, how many were not suppressed so already, and the numbers of wrong lines."""

    lines: int
    fresh: int
    wrong: tuple[int, ...]


def written(rows: "QuerySet[Suppression]") -> Iterator[str]:
    """The list, a line at a time, with its header."""
    yield line(COLUMNS)
    for row in rows.iterator(chunk_size=BATCH):
        yield line(_cells(row))


def read(text: Iterable[str], entry: Entry) -> Imported:
    """Suppress everybody on a list; ``entry`` says how, where the list does not.

    Raises:
        BadList: nothing was written.
        django.db.Error: nothing was written.
    """
    lines, fresh, wrong = 0, 0, []
    with transaction.atomic():
        numbered = _numbered(text)
        while batch := list(itertools.islice(numbered, BATCH)):
            lines += len(batch)
            if lines > MAX_LINES:
                raise BadList(f"The list is longer than {MAX_LINES:,} lines; split it.")
            entries = [(number, _entry(cells, entry)) for number, cells in batch if not _is_over(cells)]
            wrong += [number for number, found in entries if found is None]
            fresh += suppress(found for _, found in entries if found is not None)
    return Imported(lines, fresh, tuple(wrong))


def line(cells: Iterable[str]) -> str:
    """One line of CSV in which no cell is a formula to a spreadsheet."""
    written = io.StringIO()
    csv.writer(written).writerow([_escaped(cell) for cell in cells])
    return written.getvalue()


Cells = Mapping[str, str]


def _numbered(text: Iterable[str]) -> Iterator[tuple[int, Cells]]:
    """The cells of each line by the names of their columns, the addresses' always ``address``."""
    reader = csv.reader(text)
    try:
        columns = [_column(name) for name in next(reader, [])]
        if "address" not in columns:
            raise BadList("The first line must name the columns, one of them address or email.")
        for cells in reader:
            if cells:
                yield reader.line_num, dict(zip(columns, map(_unescaped, cells), strict=False))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadList(f"Line {reader.line_num + 1} cannot be read: {error}") from None


def _column(name: str) -> str:
    plain = name.strip().lower()
    return "address" if plain in ADDRESSES else plain


def _is_over(cells: Cells) -> bool:
    """Whether a line of ours is history: lifted, or without the address that it had."""
    return bool(cells.get("lifted_at") or cells.get("erased_at"))


def _entry(cells: Cells, given: Entry) -> Entry | None:
    """What one line asks for; None if it is wrong."""
    told = {name: cell.strip() for name, cell in cells.items()}
    scope = told.get("scope") or given.scope
    if not _ADDRESS.fullmatch(told.get("address", "")) or not _SCOPE.fullmatch(scope):
        return None
    try:
        reason = Reason(told.get("reason") or given.reason)
        expires_at = _instant(told.get("expires_at", "")) or given.expires_at
    except ValueError:
        return None
    return Entry(told["address"], reason, scope, given.source, expires_at, given.why)


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _cells(row: Suppression) -> Iterator[str]:
    for name in COLUMNS:
        value = address_in(row) if name == "address" else getattr(row, name)
        yield value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)


def _escaped(cell: str) -> str:
    return f"'{cell}" if cell.startswith((*_FORMULA, "'")) else cell


def _unescaped(cell: str) -> str:
    return _ESCAPED.sub("", cell, count=1) if cell.startswith("'") else cell
