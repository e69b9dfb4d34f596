# ruff: noqa: ARG001
"""Stub of part A."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Print:
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    message_id: UUID | None
    at: datetime
    within_hour: int


@dataclass(frozen=True, slots=True)
class Likeness:
    earlier: Mapping[str, Earlier]
    cluster: int | None
    cluster_size: int


NOTHING: Final = Likeness({}, None, 0)


def print_of(subject: str, text: str, html: str | None, names: Collection[str]) -> Print:
    return Print(f"{subject}\n{text}")
