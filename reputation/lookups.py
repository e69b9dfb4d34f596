"""DNS for those who wait: the look-ups of a check, one at a time or all at once, without an event loop at hand.

Guarantees: every question is answered within `LIFETIME` seconds as answered, absent or failed, and is asked once per
`Lookups`: each check begins with nothing remembered. Absent is an answer of the DNS; failed is none, and nobody
may conclude anything from it. Refuses to run inside an event loop: workers ask ``resolver`` itself.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

from reputation.asking import Absent, Temporary
from reputation.records import Found, Outcome
from reputation.resolver import Answer, Exchangers, Problem, Resolver

TIMEOUT: Final = 2.0  # seconds, one try at one server
LIFETIME: Final = 6.0  # seconds, one question: three tries, or two servers that say nothing

NOTHING: Final = Found((), Outcome.ABSENT)

Question = tuple[str, str]
"""A name (A-labels) and a record type."""


class Lookups:
    """A resolver for one check, used as a context manager; without `nameservers` it asks the system's."""

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

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def ask(self, name: str, rdtype: str) -> Found:
        """One question; a name that no DNS could hold is absent."""
        return self._runner.run(self._find((name, rdtype)))

    def values(self, name: str, rdtype: str) -> tuple[str, ...]:
        """The same as the pure rooms want it (``spf.Lookup``); raises spf.Absent and spf.Temporary."""
        found = self.ask(name, rdtype)
        if found.outcome is Outcome.FAILED:
            raise Temporary(f"{name} {rdtype}")
        if found.outcome is Outcome.ABSENT:
            raise Absent(f"{name} {rdtype}")
        return found.values

    def exchangers(self, domain: str) -> Exchangers:
        """The hosts that take mail for a domain, as a worker would find them."""
        return self._runner.run(self._resolver.exchangers(domain))

    def arriving(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Found]]:
        """Ask all of these at once; their answers as they come, each question once.

        Between two of them `ask` may be called: what is under way goes on meanwhile.
        """
        loop = self._runner.get_loop()
        asked = {loop.create_task(self._find(question)): question for question in questions}
        under_way = set(asked)
        try:
            while under_way:
                waiting = asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                done, under_way = loop.run_until_complete(waiting)
                yield from ((asked[task], task.result()) for task in done)
        finally:
            for task in under_way:
                task.cancel()

    async def _find(self, question: Question) -> Found:
        try:
            return _found(await self._resolver.records(*question))
        except ValueError:  # not ASCII, hence no A-label
            return NOTHING


def _found(answer: Answer) -> Found:
    if answer.problem is Problem.TEMPORARY:
        return Found((), Outcome.FAILED)
    outcome = Outcome.ANSWERED if answer.records else Outcome.ABSENT
    return Found(answer.records, outcome, answer.ttl)
