"""Who asks for the same refusal again and again: a run that probes is heard ever more rarely.

Of refusals that waiting does not help, ten of one code within ten minutes shut the door to a run for half a minute, and
each one after that for twice as long, up to an hour. An accepted message ends it, and time without that refusal.
A call counts once for each code, however large its batch. Asking beforehand (preflight) counts by itself, and shuts out
itself alone: whoever looks before each step is not kept from posting what is right.

Counted in the cache of the request rates, and like them: a cache that cannot answer is 503. Once an answer is made,
nothing here changes it: what could not be counted then is lost. Agents for trying and loading are not looked at.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from django.core.cache import cache

from outbox.keys import Caller
from outbox.problems import CODES, Problem, Retry, refused

logger = logging.getLogger(__name__)

FEW: Final = 10
WINDOW_SECONDS, FIRST_SECONDS, LONGEST_SECONDS = 600, 30, 3600
COUNTED: Final = sorted(code for code, kind in CODES.items() if kind.retry is not Retry.AFTER)


class Asked(Protocol):
    """A draft, or a plan, of a run; None is the agent's run of the day."""

    @property
    def run_id(self) -> str | None: ...


Ask = TypeVar("Ask", bound=Asked)


class Watch:
    """The runs of one call: how long each is not heard, and whether there is something to forget of it."""

    def __init__(self, agent_id: int = 0, act: str = "", known: Mapping[str, Any] | None = None) -> None:
        self._agent_id = agent_id
        self._act = act
        self._known = known or {}

    def let_in(self, asked: Iterable[Ask | Problem]) -> list[Ask | Problem]:
        """Those whose runs are heard; a refusal in place of the others."""
        return [each if isinstance(each, Problem) else self._shut_out(each) or each for each in asked]

    def heed(self, asked: Sequence[Asked | Problem], outcomes: Iterable[str | None]) -> None:
        """Remember what each was answered: the code of a refusal, or None if it was accepted; "" is neither."""
        if not self._agent_id:
            return
        found = {
            (each.run_id or "", outcome)
            for each, outcome in zip(asked, outcomes, strict=True)
            if not isinstance(each, Problem)
        }
        accepted = {run for run, outcome in found if outcome is None}
        with _harmless():
            for run in accepted:
                if self._name(run, "level") in self._known:
                    cache.delete_many([self._name(run, of) for of in ("until", "level", *COUNTED)])
            for run, code in found:
                if run not in accepted and code in COUNTED:
                    self._count(run, code)

    def _shut_out(self, asked: Asked) -> Problem | None:
        until = self._known.get(self._name(asked.run_id or "", "until"), 0)
        if until <= datetime.now(UTC).timestamp():
            return None
        return Problem(
            "probing",
            "This run was refused in the same way again and again; until retry_at nothing more of it is judged.",
            retry_at=datetime.fromtimestamp(until, UTC),
            scope="run",
        )

    def _count(self, run: str, code: str) -> None:
        counted, level, until = (self._name(run, of) for of in (code, "level", "until"))
        cache.add(counted, 0, WINDOW_SECONDS)
        cache.add(level, 0, WINDOW_SECONDS)
        if cache.incr(counted) < FEW:
            return
        steps = cache.get(level, 0)
        wait = min(FIRST_SECONDS << steps, LONGEST_SECONDS)
        # of many refusals at once, one shuts the door
        if cache.add(until, datetime.now(UTC).timestamp() + wait, wait):
            cache.set(level, min(steps + 1, 10), wait + WINDOW_SECONDS)
            cache.touch(counted, wait + WINDOW_SECONDS)

    def _name(self, run: str, of: str) -> str:
        return f"probing:{self._act}:{self._agent_id}:{run}:{of}"


def watch(caller: Caller, act: str, asked: Iterable[Asked | Problem]) -> Watch:
    """What is remembered of the runs of one call; ``act``: "post" or "preflight".

    Raises:
        Refused: undecidable if the cache cannot say.
    """
    if caller.exempt:
        return Watch()
    runs = {each.run_id or "" for each in asked if not isinstance(each, Problem)}
    nothing = Watch(caller.agent_id, act)
    names = [nothing._name(run, of) for run in runs for of in ("until", "level")]
    try:
        return Watch(caller.agent_id, act, cache.get_many(names))
    except Exception as error:  # whatever the cache's client raises
        logger.warning("who probes cannot be told: %s", error)
        raise refused("undecidable", "How often this was refused cannot be told now.") from None


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the cache is down, or forgot a count between two steps
        logger.warning("refusals could not be counted: %s", error)
