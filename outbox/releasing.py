"""Decisions are carried out: what was approved is queued, what was refused ends, page by page, whoever dies."""

from uuid import UUID


def advance(approval: UUID, seconds: float = 1.5) -> bool:
    """Go on with what was decided about a request; whether it is done."""
    raise NotImplementedError


def tend(seconds: float = 0.5) -> None:
    """Go on with every decision a little, let the next waves go, lapse and end what has come to that."""
    raise NotImplementedError
