"""Old months are forgotten whole, and never with anything open in them."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import Error

from outbox import sessions
from outbox.keys import Caller, authenticate
from outbox.models import Attempt, Delivery, Event, Message
from reputation import sql
from tests import factories
from tests.clocks import later
from tests.outbox.test_ledger import claim, clear, post, settle

TABLES = (Message, Delivery, Attempt, Event)


@pytest.fixture
def caller(live_db: Any) -> Iterator[Caller]:
    """What is posted now is seven months old; afterwards the month is as it was."""
    yield authenticate(f"Bearer {factories.key(factories.agent())}")
    sql.one("SELECT ao_make_partitions() AS made")


def forgotten(months: int = 4) -> str:
    told = StringIO()
    call_command("forget", months=months, stdout=told)
    return told.getvalue()


def sent(caller: Caller, count: int) -> None:
    post(caller, count)
    session = sessions.begin("test")
    claimed = claim(session)
    clear(session, claimed)
    assert all(settle(session, one, spoke=True, reply="ok", reply_code=250) for one in claimed)


def test_a_month_whose_mail_is_over_goes_whole(caller: Caller, live_db: Any) -> None:
    sent(caller, 3)
    later(live_db, timedelta(days=7 * 31))
    assert "Forgot" in forgotten()
    assert [table.objects.count() for table in TABLES] == [0, 0, 0, 0]


def test_what_is_open_keeps_its_month(caller: Caller, live_db: Any) -> None:
    sent(caller, 2)
    post(caller, 1)
    later(live_db, timedelta(days=7 * 31))
    with pytest.raises(CommandError, match="1 of its deliveries"):
        forgotten()
    assert [table.objects.count() for table in TABLES[:2]] == [3, 3]


def test_what_is_younger_stays(caller: Caller, live_db: Any) -> None:
    sent(caller, 1)
    later(live_db, timedelta(days=3 * 28))
    assert forgotten() == ""
    assert Message.objects.count() == 1


def test_it_waits_for_no_dump(caller: Caller, live_db: Any) -> None:
    sent(caller, 1)
    later(live_db, timedelta(days=7 * 31))
    with psycopg.connect(live_db.superuser) as dump:
        dump.execute("SELECT FROM outbox_event LIMIT 1")
        with pytest.raises(CommandError, match=r"Not now, try again: .*lock timeout"):
            forgotten()
    assert Message.objects.count() == Delivery.objects.count() == 1


def test_so_long_as_reports_may_come_back_nothing_is_forgotten(caller: Caller) -> None:
    with pytest.raises(CommandError, match="at least 4 months"):
        forgotten(3)


def test_the_application_forgets_nothing(caller: Caller) -> None:
    with pytest.raises(Error, match="permission denied"):
        sql.one("SELECT ao_forget_month(now() - interval '1 year') AS open")
