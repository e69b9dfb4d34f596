"""MTA-STS from end to end: policies over HTTPS, a real resolver, table and transport, and mail hosts of all kinds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from outbox.delivery import Reply, SmtpTransport
from outbox.grouping import Grouped
from outbox.outcomes import Fault, Phase
from reputation.fetching import Fetcher
from reputation.models import TlsPolicy
from reputation.resolver import Resolver
from reputation.tlspolicies import Asked, Holding, TlsPolicies, holding
from simulator import Config, Simulator, running
from tests.outbox.scripted import cleared, direct, envelope


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(Config(log=tmp_path_factory.mktemp("internet") / "log", policy_port=0)) as sim:
        yield sim


Send = Callable[..., Any]


@asynccontextmanager
async def sender(internet: Simulator, policy_port: int | None = None) -> AsyncIterator[Send]:
    """Sends to a domain as a worker would; with another `policy_port` no policy can be fetched."""
    resolver = Resolver([("127.0.0.1", internet.dns_port)], allow_loopback=True)
    ca_file = str(internet.ca_file)
    fetcher = Fetcher(resolver, port=policy_port or internet.policy_port or 0, ca_file=ca_file)
    hold = Grouped[Asked, Holding | None]("policies", holding)
    out = SmtpTransport(resolver, policy_for=TlsPolicies(resolver, fetcher, hold).policy_for)

    async def send(domain: str, **given: Any) -> Reply:
        message = envelope(f"ok@{domain}", domain=domain)
        return await out.deliver(message, direct(internet.smtp_port, ca_file=ca_file, **given), cleared)

    try:
        yield send
    finally:
        await out.close()
        hold.close()


DOMAINS = [
    # domain, whether its sender requires TLS -> TLS of the accepted message, or the fault
    ("sts.test", False, "TLSv1.3 verified"),
    ("sts.test", True, "TLSv1.3 verified"),
    ("sts-testing.test", False, "TLSv1.3"),
    ("sts-badcert.test", False, Fault.TLS),
    ("sts-selfsigned.test", False, Fault.TLS),
    ("sts-nomatch.test", False, Fault.TLS_POLICY),
    ("sts-notls.test", False, Fault.TLS_MISSING),
    ("sts-nopolicy.test", False, "TLSv1.3"),  # announced and not there: as if there were none
    ("other.test", False, "TLSv1.3"),
    ("notls.test", False, ""),
    ("notls.test", True, Fault.TLS_MISSING),
    ("badtls.test", False, ""),
    ("tls454.test", True, None),  # a refusal of the server's own: a reply, and no fault
]


@pytest.mark.parametrize(("domain", "require_tls", "expected"), DOMAINS)
def test_each_domain_gets_what_it_asks_for(
    live_db: Any, internet: Simulator, domain: str, require_tls: bool, expected: str | Fault | None
) -> None:
    async def main() -> Reply:
        async with sender(internet) as send:
            return await send(domain, require_tls=require_tls)

    reply = asyncio.run(main())
    if expected is None or isinstance(expected, Fault):
        assert (reply.fault, reply.dot_written) == (expected, False)
        assert reply.phase in (Phase.RESOLVE, Phase.STARTTLS)
    else:
        assert (reply.code, reply.tls) == (250, expected)


def test_a_kept_policy_is_enforced_by_a_worker_that_can_fetch_none(live_db: Any, internet: Simulator) -> None:
    async def main(policy_port: int | None = None) -> Fault | None:
        async with sender(internet, policy_port) as send:
            reply: Reply = await send("sts-nomatch.test")
            return reply.fault

    assert asyncio.run(main()) is Fault.TLS_POLICY
    TlsPolicy.objects.update(policy_id="0")  # the record has another id: it must be fetched, and cannot be
    assert asyncio.run(main(policy_port=internet.smtp_port)) is Fault.TLS_POLICY
    TlsPolicy.objects.all().delete()  # nothing is kept: as if there were no policy
    assert asyncio.run(main(policy_port=internet.smtp_port)) is None


def test_none_is_sent_in_the_clear_to_a_host_that_was_once_spoken_to_so(
    live_db: Any, internet: Simulator
) -> None:
    async def main() -> list[Reply]:
        async with sender(internet) as send:
            return [await send("badtls.test"), await send("badtls.test", require_tls=True)]

    plain, refused = asyncio.run(main())
    assert (plain.code, plain.tls) == (250, "")
    assert refused.phase is Phase.STARTTLS
    assert refused.fault in (Fault.CLOSED, Fault.RESET)  # in the middle of the handshake
