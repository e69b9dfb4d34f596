"""While evidence is weak new mail of agents waits for a person, and goes on by itself when the evidence has passed."""

import pytest
from django.utils import timezone

from outbox import intake, keys, ledger, recheck
from outbox.models import Delivery, Event
from outbox.payloads import parse_draft
from reputation import killswitch, reopening
from reputation.models import Watch
from tests import factories
from tests.outbox.reopened import due_at_once, put_off, reopened, stopped

pytestmark = pytest.mark.usefixtures("live_db")
SCOPES = [
    "run:ada/r1",
    "agent:ada",
    "stream:agents-support",
    "domain_provider:agents.acme.test/gmail",
]
ELSEWHERE = [
    "run:ada/r2",
    "run:bob/r1",
    "agent:bob",
    "stream:other",
    "domain_provider:agents.acme.test/yahoo",
]


def weak(scope):
    now = timezone.now()
    Watch.objects.create(scope=scope, signal="bounces", stream="x", weak_since=now, touched_at=now)


def post(agent, to="grace@gmail.com"):
    body = {"to": to, "subject": "Hi", "text": "Hi", "agent": {"run_id": "r1"}}
    draft = parse_draft(body, now=timezone.now(), idempotency_key=None)
    caller = keys.authenticate(f"Bearer {factories.key(agent)}")
    [answer] = intake.accept([draft], caller, request_id="r", base_url="http://localhost")
    assert answer.status == 202, answer.body
    delivery = Delivery.objects.latest("id")
    return delivery.status, delivery.code


@pytest.mark.parametrize("scope", SCOPES)
def test_mail_of_a_weak_scope_is_held_and_goes_on_when_it_is_weak_no_more(scope):
    agent = factories.agent(exempt=False)
    weak(scope)
    assert post(agent) == ("held", "weak_evidence")
    assert ledger.release_rechecked() == 0
    Watch.objects.update(weak_since=None)
    assert ledger.release_rechecked() == 1
    assert Delivery.objects.get().status == "queued"
    last = Event.objects.latest("id")
    assert (last.kind, last.actor, last.note) == ("released", "rules", "the evidence is weak no more")


@pytest.mark.parametrize("scope", ELSEWHERE)
def test_mail_of_other_scopes_goes_on(scope):
    agent = factories.agent(exempt=False)
    weak(scope)
    assert post(agent) == ("queued", "")


def test_mail_of_an_agent_for_trying_and_transactional_mail_go_on():
    weak("agent:ada")
    weak("agent:robot")
    assert post(factories.agent()) == ("queued", "")
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    assert post(factories.agent("robot", exempt=False, stream=receipts)) == ("queued", "")


def test_what_is_held_for_its_domains_records_waits_for_both():
    agent = factories.agent(exempt=False)
    agent.stream.domain.state = "degraded"
    agent.stream.domain.save()
    weak("agent:ada")
    assert post(agent) == ("held", "recheck")
    agent.stream.domain.state = "verified"
    agent.stream.domain.save()
    assert ledger.release_rechecked() == 0
    Watch.objects.update(weak_since=None)
    assert ledger.release_rechecked() == 1


def test_what_was_held_waits_for_those_that_go_first_when_its_scope_opens_in_steps():
    agent = factories.agent(exempt=False)
    weak("agent:ada")
    assert post(agent) == ("held", "weak_evidence")
    stopped("agent:ada")
    reopened("agent:ada")
    assert not Watch.objects.exists()
    assert ledger.release_rechecked() == 1
    [minutes] = put_off()
    assert 29 < minutes <= 60


def test_what_was_held_does_not_leave_through_the_glass():
    agent = factories.agent(exempt=False)
    weak("agent:ada")
    assert post(agent) == ("held", "weak_evidence")
    glass = reopening.break_glass(stopped("agent:ada", who="rule:bounces"), who="rita", why="payroll")
    glass = recheck.advance(glass.pk, 60)
    assert (glass.state, killswitch.open_stops()) == ("open", [])
    assert ledger.release_rechecked() == 0
    recheck.advance(reopening.confirm_glass(glass, who="omar", why="seen").pk, 60)
    assert ledger.release_rechecked() == 1
    assert due_at_once() == {}
