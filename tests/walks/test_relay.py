"""Through a relay, with TLS and a login: the lane stays the lane, and `relayed` is all that is claimed."""

from collections.abc import Iterator

import pytest

from reputation.asking import Lookup
from simulator.config import LOGIN
from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.receiver import Signature, judge

STREAM, DOMAIN = "agents-sales", "sales.acme.test"
USER, PASSWORD = LOGIN
WRONG = "not-the-relays-password"


@pytest.fixture
def lookup(here: Installation) -> Iterator[Lookup]:
    with here.lookups() as asking:
        yield asking.values


def relay_by(here: Installation, password: str) -> None:
    """The lane leaves by the simulator's relay, whose certificate is of the simulator's own authority."""
    here.inside.leave_by(
        STREAM,
        password,
        means="relay",
        ehlo="out.acme.test",
        host="localhost",
        port=here.ports["relay"],
        security="starttls",
        ca_file=str(here.ca_file),
        username=USER,
    )


def check_lane(here: Installation, delivery: Accepted, lookup: Lookup, *selectors: str) -> None:
    """What the relay got of this delivery is of its lane, and every signature holds."""
    same = (delivery.header_id, delivery.to)
    [entry] = [entry for entry in here.oracle() if (entry.message_id, entry.rcpt) == same]
    assert (entry.mx, entry.helo) == ("relay.test", "out.acme.test")
    assert entry.tls.startswith("TLSv1.")
    assert entry.mail_from.endswith(f"@rp.{DOMAIN}")
    verdict = judge(here.kept(entry), entry, lookup)
    assert verdict.author == DOMAIN
    assert verdict.signatures == tuple(Signature(DOMAIN, selector, True) for selector in selectors)
    assert verdict.dmarc == "pass"


def test_a_relayed_message_is_of_its_lane_and_not_called_delivered(
    here: Installation, lookup: Lookup
) -> None:
    relay_by(here, PASSWORD)
    here.worker()
    relayed = here.post(
        "ok.a@gmail.test", "nobody@corp.test"
    )  # the relay takes what their servers would refuse
    (direct,) = here.post("ok@gmail.test", agent="carol")
    here.until_status(relayed, "relayed")
    assert {here.status(one) for one in relayed} == {("relayed", "accepted_by_relay")}
    for one in relayed:
        check_lane(here, one, lookup, "walk")
    # the lane next door does not go by it
    here.until_status([direct], "delivered")
    here.check_invariants()


def test_a_second_signature_holds_beside_the_first(here: Installation, lookup: Lookup) -> None:
    relay_by(here, PASSWORD)
    here.inside.sign_twice(STREAM)
    here.worker()
    (delivery,) = here.post("ok@gmail.test")
    here.until_status([delivery], "relayed")
    check_lane(here, delivery, lookup, "walk", "walk-ed")
    [attempt] = here.ask("SELECT selectors FROM outbox_attempt")
    assert attempt.selectors == "walk walk-ed"


def test_a_wrong_password_is_our_trouble_and_nobodys_bounce(here: Installation, lookup: Lookup) -> None:
    relay_by(here, WRONG)
    worker = here.worker()
    (delivery,) = here.post("ok@gmail.test")
    here.until_status([delivery], "deferred")
    [attempt] = here.ask("SELECT phase, reply_code, code, reply, tls FROM outbox_attempt")
    assert (attempt.phase, attempt.reply_code, attempt.code) == ("auth", 535, "relay_login_refused")
    assert not here.oracle()
    # the password is nowhere to be read
    [route] = here.ask("SELECT password_sealed FROM reputation_route WHERE means = 'relay'")
    assert route.password_sealed
    assert WRONG.encode() not in bytes(route.password_sealed)
    assert WRONG not in worker.said() + attempt.reply

    relay_by(here, PASSWORD)
    here.shift_clock(3600)
    here.until_status([delivery], "relayed")
    check_lane(here, delivery, lookup, "walk")
    here.check_invariants()
