"""The cast: Ada's agent writes for her, Bob's is a stranger. Plain functions that make rows."""

from typing import Any

from outbox import keys, policy_numbers
from outbox.models import Agent, ApiKey, Policy
from outbox.policy_numbers import LENIENT
from reputation.models import OrganisationalDomain, Route, SendingDomain, SigningKey, Stream


def organisation(name: str = "acme.test", use: str = "agents") -> OrganisationalDomain:
    """The registrable domain that agents may send from below."""
    return OrganisationalDomain.objects.get_or_create(name=name, defaults={"use": use, "preset": "none"})[0]


def stream(
    name: str = "agents-support",
    domain: str = "agents.acme.test",
    kind: str = "agents",
    *,
    policy: policy_numbers.Policy | None = LENIENT,
) -> Stream:
    """A stream that can send: a domain, a route and a key to sign with.

    Its policy holds and compares nothing, unless one is given; None is what the product comes with.
    """
    made, new = Stream.objects.get_or_create(name=name, defaults={"kind": kind})
    if new:
        route, _ = Route.objects.get_or_create(
            name="direct", defaults={"ehlo": "mta.acme.test", "preset": "none"}
        )
        sending = SendingDomain.objects.create(
            name=domain,
            stream=made,
            organisation=organisation(),
            state="verified",
            preset="none",
            route=route,
            default_sender=f"ada@{domain}",
        )
        SigningKey.objects.create(
            domain=sending,
            selector="s1",
            algorithm="rsa-sha256",
            private_sealed=b"",
            public_record="",
            state="active",
        )
        if policy is not None:
            numbers = policy_numbers.stored(policy)
            Policy.objects.create(stream=made, version=made.policy_version, numbers=numbers, who="tests")
    return made


def agent(name: str = "ada", **fields: Any) -> Agent:
    """An agent that no limit stops."""
    plenty = {
        "requests_per_minute": 100_000,
        "recipients_per_message": 50,
        "recipients_per_hour": 100_000,
        "recipients_per_day": 100_000,
        "recipients_per_run": 100_000,
        "domains_per_run": 100_000,
        "exempt": True,
    }
    fields.setdefault("stream", stream())
    return Agent.objects.create(name=name, **(plenty | fields))


def key(of: Agent | None, *scopes: str, kind: str = ApiKey.Kind.AGENT, **more: Any) -> str:
    """The text of a new key; all scopes unless some are named."""
    wanted = scopes or (("send", "read", "stop") if of else ())
    return keys.issue(of, kind, wanted, **more)[1]
