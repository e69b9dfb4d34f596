"""DNS for those who wait: the look-ups of a check, asked one at a time or all at once, without an event loop at hand.

Guarantees: every question is answered within `LIFETIME` seconds as found, absent or failed, and is asked once per
`Lookups`: each check begins with nothing remembered. Absent is an answer of the DNS; failed is none, and nobody
may conclude anything from it. Refuses to run inside an event loop: workers ask ``resolver`` itself.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from reputation.resolver import Answer, Exchangers, Problem, Resolver

TIMEOUT: Final = 2.0  # seconds, one try at one server
LIFETIME: Final = 6.0  # seconds, one question: three tries, or two servers that say nothing

Question = tuple[str, str]
"""A name (A-labels) and a record type."""


class Outcome(StrEnum):
    """What became of a question."""

    FOUND = "found"
    ABSENT = "absent"  # the name, or the type at that name, does not exist
    FAILED = "failed"  # time-out, SERVFAIL, refusal


@dataclass(frozen=True, slots=True)
class Found:
    """The values of one name and type as text, strings of a TXT joined; empty unless the outcome is FOUND.

    `canonical` is the name after CNAMEs, without its last dot.
    """

    name: str
    type: str
    outcome: Outcome
    values: tuple[str, ...] = ()
    canonical: str = ""
    ttl: float = 0.0


class Lookups:
    """A resolver of one check, to be used as a context manager; without `nameservers` it asks the system's."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None = None,
        *,
        allow_loopback: bool = False,
        timeout: float = TIMEOUT,
        lifetime: float = LIFETIME,
    ) -> None:
        self._runner = asyncio.Runner()
        self._resolver = Resolver(
            nameservers, allow_loopback=allow_loopback, timeout=timeout, lifetime=lifetime
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._runner.close()

    def ask(self, name: str, rdtype: str) -> Found:
        """One question; a name that no DNS could hold is absent."""
        return self._runner.run(self._find((name, rdtype)))

    def exchangers(self, domain: str) -> Exchangers:
        """The hosts that take mail for a domain, as a worker would find them."""
        return self._runner.run(self._resolver.exchangers(domain))

    def arriving(self, questions: Iterable[Question]) -> Iterator[Found]:
        """Ask all of these at once; their answers as they come, each question once.

        Between two of them `ask` may be called: what is under way goes on meanwhile.
        """
        loop = self._runner.get_loop()
        under_way = {loop.create_task(self._find(question)) for question in dict.fromkeys(questions)}
        try:
            while under_way:
                waiting = asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                done, under_way = loop.run_until_complete(waiting)
                yield from (task.result() for task in done)
        finally:
            for task in under_way:
                task.cancel()

    async def _find(self, question: Question) -> Found:
        name, rdtype = question
        with contextlib.suppress(ValueError):  # not ASCII, hence not an A-label
            return _found(question, await self._resolver.records(name, rdtype))
        return Found(name, rdtype, Outcome.ABSENT)


def _found(question: Question, answer: Answer) -> Found:
    if answer.problem is Problem.TEMPORARY:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.FOUND if answer.records else Outcome.ABSENT
    return Found(*question, outcome, answer.records, answer.canonical, answer.ttl)
