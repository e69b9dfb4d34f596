"""Which MTA-STS policy holds for a recipient's domain now (RFC 8461), asked before each direct delivery.

Guarantees: a policy that was fetched holds until it runs out, whatever becomes of its TXT record or of later fetches;
a changed id or a day's age has it fetched anew; a domain is looked at once in five minutes by a process, however many
deliveries ask, and one that hangs holds up no other. Nothing is fetched in a transaction. What cannot be found out is
no policy, never a refusal: an attacker who stops the first fetch gains no more than before there was MTA-STS (10.2).
Refuses to judge hosts and lines: `mta_sts` and the delivery edge do.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, Protocol

from django.db import Error

from reputation import fetching, resolver, sql
from reputation.mta_sts import NO_POLICY, BadPolicy, Mode, Policy, parse, record_id

logger = logging.getLogger(__name__)

KEEP: Final = 10_000  # domains a process remembers: a few MB
LOOK_AGAIN: Final = (
    300.0  # seconds; also the pause after a failed fetch (RFC 8461 3.3: five minutes or longer)
)
LOOK_SOON: Final = 30.0  # seconds, where DNS or the database gave no answer

HOLDING: Final[LiteralString] = """
SELECT domain, policy_id, mode, hosts, fetched_at > ao_now() - interval '1 day' AS fresh
FROM reputation_tlspolicy WHERE domain = ANY(%s) AND expires_at > ao_now()
"""

# Two workers may have fetched at once: whichever statement comes second leaves a policy that is as good.
KEEP_ONE: Final[LiteralString] = """
INSERT INTO reputation_tlspolicy (domain, policy_id, mode, hosts, fetched_at, expires_at)
VALUES (%(domain)s, %(policy_id)s, %(mode)s, %(hosts)s, ao_now(), ao_now() + %(max_age)s * interval '1 second')
ON CONFLICT (domain) DO UPDATE SET policy_id = excluded.policy_id, mode = excluded.mode, hosts = excluded.hosts,
    fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """A policy with the id of the record under which it was fetched; `fresh`: less than a day ago."""

    policy_id: str
    policy: Policy
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about one domain, with what was just fetched, to be kept first."""

    domain: str
    fetched: Holding | None = None


class Texts(Protocol):
    """The part of the resolver that is needed here."""

    async def txt(self, name: str) -> resolver.Answer: ...


class Pages(Protocol):
    """The part of the fetcher that is needed here."""

    async def get(self, url: str) -> fetching.Answer: ...


def holding(group: Sequence[Asked]) -> list[Holding | None]:
    """The policy in the database for each of these domains that has not run out, in their order.

    Raises:
        django.db.Error: the database cannot be asked.
    """
    for asked in group:
        if asked.fetched is not None:
            _keep(asked.domain, asked.fetched)
    found = {row.domain: row for row in sql.rows(HOLDING, [[asked.domain for asked in group]])}
    return [_holding(found.get(asked.domain)) for asked in group]


class TlsPolicies:
    """Policies for the deliveries of one event loop; `hold` is `holding` for one domain, in a thread."""

    def __init__(
        self,
        texts: Texts,
        pages: Pages,
        hold: Callable[[Asked], Awaitable[Holding | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._texts = texts
        self._pages = pages
        self._hold = hold
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Policy]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Policy]] = {}

    async def policy_for(self, domain: str) -> Policy:
        """The policy of this domain (A-labels) as of the last few minutes; `NO_POLICY` if it has none."""
        until, policy = self._known.get(domain, (0.0, NO_POLICY))
        if until > self._clock():
            self._known.move_to_end(domain)
            return policy
        if domain not in self._looking:
            self._looking[domain] = looking = asyncio.create_task(self._look(domain))
            looking.add_done_callback(lambda _: self._looking.pop(domain, None))
        # a delivery that is cancelled must not take the answer from the others
        return await asyncio.shield(self._looking[domain])

    async def _look(self, domain: str) -> Policy:
        held, sure = await self._ask(Asked(domain))
        answer = await self._texts.txt(f"_mta-sts.{domain}")
        policy_id = record_id(answer.records)
        if policy_id is not None and not (held and held.fresh and held.policy_id == policy_id):
            fetched = await self._fetch(domain, policy_id)
            if fetched is not None:
                stored, sure = await self._ask(Asked(domain, fetched))
                held = stored or fetched
        sure = sure and answer.problem is not resolver.Problem.TEMPORARY
        policy = held.policy if held else NO_POLICY
        self._remember(domain, policy, LOOK_AGAIN if sure else LOOK_SOON)
        return policy

    async def _ask(self, asked: Asked) -> tuple[Holding | None, bool]:
        """What the database holds, and whether it could be asked; without it no dot is cleared anyway."""
        try:
            return await self._hold(asked), True
        except Error as error:
            logger.warning("the TLS policy of %s could not be looked up or kept: %s", asked.domain, error)
            return None, False

    async def _fetch(self, domain: str, policy_id: str) -> Holding | None:
        """The policy file, if there is a good one (RFC 8461 3.3)."""
        try:
            answer = await self._pages.get(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")
            if (answer.status, answer.content_type) != (200, "text/plain"):
                raise BadPolicy(f"status {answer.status}, {answer.content_type or 'no type'}")
            return Holding(policy_id, parse(answer.body))
        except (fetching.FetchFailed, BadPolicy) as error:
            logger.warning("no MTA-STS policy from %s under id %s: %s", domain, policy_id, error)
            return None

    def _remember(self, domain: str, policy: Policy, seconds: float) -> None:
        self._known[domain] = (self._clock() + seconds, policy)
        self._known.move_to_end(domain)
        if len(self._known) > KEEP:
            self._known.popitem(last=False)


def _keep(domain: str, fetched: Holding) -> None:
    policy = fetched.policy
    sql.count(
        KEEP_ONE,
        {
            "domain": domain,
            "policy_id": fetched.policy_id,
            "mode": policy.mode.value,
            "hosts": list(policy.hosts),
            "max_age": policy.max_age,
        },
    )


def _holding(row: sql.Row) -> Holding | None:
    if row is None:
        return None
    return Holding(row.policy_id, Policy(Mode(row.mode), tuple(row.hosts)), row.fresh)
