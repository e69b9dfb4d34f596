"""Every secret of the database under the newest master key, so that an older one can be dropped.

A sealed column is a binary column whose name ends in ``_sealed``, of any table. Guarantees: each value is replaced
only if it is still the one that was read, one by one, so that it may run beside the service, twice at once, or
again after it was broken off. Refuses to touch a value that no master key opens: it is counted as lost and stays.

In order: put the new key first in AO_MASTER_KEYS and restart everything, since who has only the old one cannot open
what is sealed here; reseal; see that nothing is left; take the old key out and restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import models

from reputation.vault import Unsealable, Vault, vault

BATCH: Final = 200  # values in memory at once
SUFFIX: Final = "_sealed"


@dataclass(frozen=True, slots=True)
class Tally:
    """One column's values: under the newest key already, resealed now, still under an older key, opened by none."""

    column: str
    newest: int = 0
    resealed: int = 0
    old: int = 0
    lost: int = 0

    @property
    def done(self) -> bool:
        """Whether the newest key alone opens everything."""
        return not self.old and not self.lost


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of sealed values; an empty one is no value."""

    model: type[models.Model]
    field: str

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.field}"


def columns() -> list[Sealed]:
    """Every sealed column there is."""
    fields = ((model, field) for model in apps.get_models() for field in model._meta.concrete_fields)
    return [
        Sealed(model, field.name)
        for model, field in fields
        if isinstance(field, models.BinaryField) and field.name.endswith(SUFFIX)
    ]


def reseal(*, only_look: bool = False) -> list[Tally]:
    """Put every sealed value under the newest master key, or only count what is left to do.

    Raises:
        BadMasterKey: there is no usable master key.
    """
    box = vault()
    return [_tally(column, box, only_look) for column in columns()]


def _tally(column: Sealed, box: Vault, only_look: bool) -> Tally:
    counts = dict.fromkeys(("newest", "resealed", "old", "lost"), 0)
    # each value in a transaction of its own: rows held together could wait in a circle with a switch of keys
    for pk, sealed in _values(column):
        counts[_treat(column, box, pk, sealed, only_look)] += 1
    return Tally(str(column), **counts)


def _values(column: Sealed) -> Iterator[tuple[Any, bytes]]:
    """(Primary key, value) of every value, in order of the key; a batch is read when its turn has come."""
    rows, last = column.model._base_manager.exclude(**{column.field: b""}).order_by("pk"), None
    while True:
        page = rows.filter(pk__gt=last) if last is not None else rows
        batch = list(page.values_list("pk", column.field)[:BATCH])
        if not batch:
            return
        yield from ((pk, bytes(sealed)) for pk, sealed in batch)
        last = batch[-1][0]


def _treat(column: Sealed, box: Vault, pk: Any, sealed: bytes, only_look: bool) -> str:
    """Reseal one value if it needs that, and say what it is now."""
    try:
        if box.is_newest(sealed):
            return "newest"
        if only_look:
            return "old"
        fresh = box.rotate(sealed)
    except Unsealable:
        return "lost"
    # whoever stored another value meanwhile wins; whether that one is under the newest key shows the next look
    same = column.model._base_manager.filter(**{"pk": pk, column.field: sealed})
    return "resealed" if same.update(**{column.field: fresh}) else "old"
