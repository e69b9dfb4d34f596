"""Hard evidence: a named provider's word closes at once, anybody else's when three say the same."""

from datetime import timedelta

import pytest
from django.utils import timezone

from reputation import judging, killswitch, witnesses
from reputation.models import Judgement, OpenStop, Witness
from reputation.shaping import Accusation

pytestmark = pytest.mark.usefixtures("live_db")

DOMAIN = "domain:sales.acme.test"
AT_GMAIL = "domain_provider:sales.acme.test/gmail"


def said(organisation="", scope=DOMAIN, rule="authentication", family=""):
    return Accusation(scope, rule, "550 5.7.26 unauthenticated", family, organisation)


def test_a_named_providers_word_closes_at_once_and_once():
    word = said(scope=AT_GMAIL, family="gmail")
    assert witnesses.hear(word)
    assert not witnesses.hear(word)  # it is about to be closed
    [tripped] = judging.judge()
    assert tripped.scope == AT_GMAIL
    assert not witnesses.hear(word)
    judgement = Judgement.objects.get()
    assert (judgement.strength, judgement.rule, judgement.epoch) == (
        "at_once",
        "authentication",
        tripped.epoch,
    )
    assert "gmail refused our mail for good: 550 5.7.26" in judgement.why


@pytest.mark.parametrize(
    ("organisations", "believed"),
    [
        (["a.example", "b.example"], False),
        (["a.example", "a.example", "a.example", "b.example"], False),  # who repeats it is one witness
        (["a.example", "b.example", "c.example"], True),
    ],
)
def test_others_are_believed_when_three_say_so(organisations, believed):
    assert [witnesses.hear(said(name)) for name in organisations][-1] is believed
    judging.judge()
    assert OpenStop.objects.filter(scope=DOMAIN).exists() is believed


def test_witnesses_of_another_thing_or_of_yesterday_do_not_add_up():
    witnesses.hear(said("a.example"))
    witnesses.hear(said("b.example"))
    Witness.objects.filter(organisation="a.example").update(at=timezone.now() - timedelta(minutes=61))
    assert not witnesses.hear(said("c.example"))
    assert not witnesses.hear(said("d.example", rule="unsolicited"))
    assert not witnesses.hear(said("d.example", scope="domain:other.acme.test"))
    assert witnesses.hear(said("d.example"))


def test_a_resume_begins_anew():
    for name in ("a.example", "b.example", "c.example"):
        witnesses.hear(said(name))
    judging.judge()
    killswitch.resume(DOMAIN, who="person", why="SPF mended")
    assert not witnesses.hear(said("d.example"))
