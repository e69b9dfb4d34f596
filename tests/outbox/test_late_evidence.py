"""What is reported later is evidence too: once, of whose mail it was, and not of an agent for trying."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from outbox import mailboxes, optouts, returns, sessions
from outbox.models import Delivery
from reputation import judging, killswitch
from reputation.models import Evidence, OpenStop, Watch
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.returning import VERP, bounce, complaint, delivered, return_path

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def session(live_db: Any) -> Iterator[int]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        mailboxes.forget()
        yield sessions.begin("test")
        mailboxes.forget()


def sent(session: int, number: int, *, exempt: bool = False) -> list[Any]:
    key = factories.key(factories.agent(exempt=exempt))
    return delivered(session, number, key=key)


def back(raw: bytes, delivery: Any) -> returns.Taken:
    return returns.take(raw, return_path(delivery), source="smtp")


def events(signal: str) -> int:
    watch = Watch.objects.get(scope="stream:agents-support", signal=signal)
    return sum(len(stretch[2]) for stretch in watch.stretches[1])


def test_a_settle_and_late_reports_are_evidence_of_one_another_and_count_once(session: int) -> None:
    one, two = sent(session, 2)
    assert Evidence.objects.get().trials == 2
    for _ in range(2):
        back(bounce(one), one)
        back(complaint(two), two)
    judging.judge()
    assert Watch.objects.get(scope="agent:ada", signal="bounces").trials == 2
    assert (events("bounces"), events("complaints_elsewhere")) == (1, 1)


def test_what_speaks_of_us_and_praise_are_none(session: int) -> None:
    one, two = sent(session, 2)
    back(bounce(one, status="5.7.26", says="550 5.7.26 unauthenticated"), one)
    back(complaint(two, kind="not-spam"), two)
    judging.judge()
    assert events("bounces") == 0


def test_a_report_is_judged_before_the_door_answers(session: int) -> None:
    for one in sent(session, 6):
        back(bounce(one), one)  # unknown users all, among the first twenty
    [run] = OpenStop.objects.all()
    assert (run.scope.partition(":")[0], run.who) == ("run", "rule:first_messages")


def test_reports_about_what_left_before_the_resume_close_nothing(session: int) -> None:
    mail = sent(session, 12)
    for one in mail[:6]:
        back(bounce(one), one)
    killswitch.resume(OpenStop.objects.get().scope, who="person", why="looked")
    for one in mail[6:]:
        back(bounce(one), one)
    assert not OpenStop.objects.exists()


def test_who_unsubscribes_is_evidence_once(session: int) -> None:
    [one] = sent(session, 1)
    token = _token(one)
    for _ in range(2):
        optouts.leave(token, "link")
    judging.judge()
    assert events("unsubscribes") == 1


def test_nothing_of_an_agent_for_trying_is_evidence(session: int) -> None:
    one, two = sent(session, 2, exempt=True)
    back(bounce(one), one)
    back(complaint(two), two)
    optouts.leave(_token(two), "link")
    assert not Evidence.objects.exists()
    assert not Watch.objects.exists()


def _token(delivery: Any) -> str:
    from tests.outbox.test_optouts import token_of

    row = Delivery.objects.get(pk=delivery)
    return token_of(row, row.recipient)
