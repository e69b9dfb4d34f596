"""Our own signature against the key that the DNS shows: a failure must be certain before it counts."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from reputation import signing
from reputation.resolver import Answer, Problem
from reputation.rules import Strength
from reputation.selfsigned import AGAIN_AFTER, LARGEST, SelfChecks
from reputation.signing import Algorithm

DOMAIN = "agents.acme.test"
PAIR, OTHER, EDWARDS = (signing.generate(kind) for kind in (Algorithm.RSA, Algorithm.RSA, Algorithm.ED25519))
SIGNER = signing.load(DOMAIN, "s1", Algorithm.RSA, PAIR.private_pem)
SECOND = signing.load(DOMAIN, "e1", Algorithm.ED25519, EDWARDS.private_pem)
OURS, TAMPERED = (PAIR.public_record,), (OTHER.public_record,)
HEADERS = ((b"From", b"Ada <ada@agents.acme.test>"), (b"Subject", b"Hi"))
BODY = b"Hi Grace\r\n"
RAW = (
    signing.sign(HEADERS, BODY, [SIGNER, SECOND], 1_700_000_000)
    + b"From: Ada <ada@agents.acme.test>\r\nSubject: Hi\r\n\r\n"
    + BODY
)


class Dns:
    """A resolver that shows these TXT records; None: it gets no answer."""

    def __init__(self, shown: Sequence[str] | None) -> None:
        self.shown = shown
        self.anew = 0

    async def records(self, name: str, rdtype: str) -> Answer:
        absent = Problem.TEMPORARY if self.shown is None else None if self.shown else Problem.NO_SUCH_DOMAIN
        return Answer(name, rdtype, tuple(self.shown or ()), absent, 60.0, name)

    async def fresh(self, name: str, rdtype: str) -> Answer:
        self.anew += 1
        return await self.records(name, rdtype)


def failed(first: Any, second: Any, raw: bytes = RAW, signer: signing.Signer = SIGNER) -> Any:
    return asyncio.run(SelfChecks(Dns(first), Dns(second)).failed(raw, signer))


def test_another_key_in_the_dns_is_told_with_what_stands_there() -> None:
    verdict = failed(TAMPERED, TAMPERED)
    assert (verdict.scope, verdict.rule, verdict.strength) == (
        f"domain:{DOMAIN}",
        "dkim_self_check",
        Strength.AT_ONCE,
    )
    assert verdict.arithmetic["question"] == f"s1._domainkey.{DOMAIN} TXT"
    assert verdict.arithmetic["answer"] == list(TAMPERED)
    assert verdict.arithmetic["expected"] == PAIR.public_record


def test_a_message_that_was_altered_after_it_was_signed_is_told() -> None:
    assert failed(OURS, OURS, RAW.replace(b"Hi Grace", b"Hi Greta")) is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (OURS, TAMPERED),  # healthy: nobody asks again
        (TAMPERED, OURS),  # an old answer, or a liar
        (TAMPERED, None),
        (TAMPERED, ()),
        (None, TAMPERED),  # no answer
        ((), TAMPERED),  # no record: the domain's checks see that
        (("v=DKIM1; k=rsa; p=",), TAMPERED),  # revoked, as in a rotation
        (("v=spf1 -all",), TAMPERED),  # no key at all
        ((*TAMPERED, *OURS), TAMPERED),  # one of several
    ],
)
def test_anything_else_proves_nothing(first: Any, second: Any) -> None:
    assert failed(first, second) is None


def test_what_holds_is_not_asked_twice() -> None:
    second = Dns(TAMPERED)
    asyncio.run(SelfChecks(Dns(OURS), second).failed(RAW, SIGNER))
    assert not second.anew


def test_an_ed25519_signature_that_fails_closes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert failed((EDWARDS.public_record,), (EDWARDS.public_record,), signer=SECOND) is None
    assert not caplog.records
    wrong = (signing.generate(Algorithm.ED25519).public_record,)
    assert failed(wrong, wrong, signer=SECOND) is None
    assert f"e1._domainkey.{DOMAIN}" in caplog.text


def test_each_key_has_its_turn_once_in_five_minutes() -> None:
    now = [0.0]
    checks = SelfChecks(Dns(OURS), Dns(OURS), lambda: now[0])
    assert checks.due([SIGNER], LARGEST + 1) == []  # too large; the next one is looked at
    assert checks.due([SIGNER], 100) == [SIGNER]
    assert checks.due([SIGNER, SECOND], 100) == [SECOND]
    now[0] = AGAIN_AFTER
    assert checks.due([SIGNER, SECOND], 100) == [SIGNER, SECOND]
