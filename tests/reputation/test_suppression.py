"""Who is not mailed again: found under every spelling, once, by an index, and without an address once erased."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import override_settings
from django.utils import timezone

from reputation import sql, suppression
from reputation.models import Suppression
from reputation.suppression import AGENTS, ALL, Entry, Reason, look_up, suppress
from reputation.vault import new_master_key, vault

pytestmark = pytest.mark.usefixtures("live_db")

SALES = ("agents-sales", "agents")
NEWS = ("agents-news", "marketing")
RESETS = ("resets", "transactional")


@pytest.fixture(autouse=True)
def sealed() -> Any:
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        yield


def address_of(row: Suppression) -> str:
    return vault().unseal(bytes(row.address_sealed)).decode()


@pytest.mark.parametrize(
    ("entry", "stream", "stopped"),
    [
        (suppression.hard_bounce("ada@example.org", "dsn"), SALES, True),
        (
            suppression.hard_bounce("ada@example.org", "dsn"),
            RESETS,
            True,
        ),  # the mailbox is gone for everybody
        (suppression.complaint("ada@example.org", "arf"), SALES, True),
        (suppression.complaint("ada@example.org", "arf"), RESETS, False),  # never transactional
        (suppression.unsubscribed("ada@example.org", "agents-sales", "link"), SALES, True),
        (suppression.unsubscribed("ada@example.org", "agents-news", "link"), SALES, False),  # another stream
        (
            suppression.unsubscribed("ada@example.org", "agents", "link"),
            SALES,
            False,
        ),  # a stream of that name
    ],
)
def test_a_reason_reaches_as_far_as_it_should(entry: Entry, stream: tuple[str, str], stopped: bool) -> None:
    assert suppress([entry]) == 1
    found = look_up(["ada@example.org", "grace@example.org"], *stream)
    assert found == ({"ada@example.org": entry.reason} if stopped else {})


def test_each_of_many_streams_is_answered_for_itself() -> None:
    left, gone = "ada@example.org", "grace@example.org"
    suppress([suppression.unsubscribed(left, "agents-sales", "link"), suppression.hard_bounce(gone, "dsn")])
    letters = [
        (*stream, address) for stream in (SALES, NEWS, RESETS) for address in (left, gone, "eve@example.org")
    ]
    assert suppression.look_up_all(letters) == {
        (*SALES, left): "unsubscribed",
        **{(*stream, gone): "hard_bounce" for stream in (SALES, NEWS, RESETS)},
    }


@pytest.mark.parametrize(
    ("entry", "written_to", "stopped"),
    [
        (suppression.complaint("Ada+News@Example.org", "arf"), "ada@example.org", True),
        (suppression.complaint("ada@example.org", "arf"), "ADA+other@example.org", True),
        (suppression.complaint("a.da@gmail.com", "arf"), "ada+1@googlemail.com", True),
        (suppression.complaint("ada@bücher.example", "arf"), "ada@xn--bcher-kva.example", True),
        (suppression.hard_bounce("ada@example.org", "dsn"), "ada+news@example.org", True),
        # a server that knows no tags refuses the tag, not the person
        (suppression.hard_bounce("ada+news@example.org", "dsn"), "ada@example.org", False),
        (suppression.hard_bounce("ada+news@example.org", "dsn"), "ADA+NEWS@example.org", True),
        (suppression.complaint("ada@example.org", "arf"), "adam@example.org", False),
    ],
)
def test_an_address_is_found_under_its_normal_forms(entry: Entry, written_to: str, stopped: bool) -> None:
    suppress([entry])
    assert bool(look_up([written_to], *SALES)) is stopped


def test_suppressing_twice_is_suppressing_once() -> None:
    entries = [suppression.complaint(address, "arf") for address in ("ada@example.org", "Ada+x@example.org")]
    assert suppress(entries) == 1
    assert suppress(entries) == 0
    assert Suppression.objects.count() == 1
    assert (
        suppress([suppression.unsubscribed("ada@example.org", "agents-sales", "link")]) == 1
    )  # another reason
    assert suppress([]) == 0


def test_many_at_once_leave_one_row_and_wait_for_nobody_in_a_circle() -> None:
    addresses = [f"p{number}@example.org" for number in range(40)]
    failures: list[Exception] = []

    def work(ordered: list[str]) -> None:
        try:
            for _ in range(5):
                suppress(suppression.complaint(address, "arf") for address in ordered)
        except Exception as error:  # a deadlock would be one
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[addresses[:: 1 - 2 * (n % 2)]]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Suppression.objects.count() == 40


def test_an_expiry_is_extended_and_never_shortened() -> None:
    now = timezone.now()

    def until(days: int | None) -> datetime | None:
        ends = now + timedelta(days=days) if days is not None else None
        suppress([Entry("ada@example.org", Reason.MAILBOX_FULL, ALL, "reply", ends)])
        return Suppression.objects.get().expires_at

    assert until(14) == now + timedelta(days=14)
    assert until(90) == now + timedelta(days=90)
    assert until(14) == now + timedelta(days=90)
    assert until(None) is None
    assert until(14) is None


def test_what_has_expired_suppresses_nobody_until_it_comes_again() -> None:
    past = timezone.now() - timedelta(seconds=1)
    suppress([Entry("ada@example.org", Reason.MAILBOX_FULL, ALL, "reply", past)])
    assert look_up(["ada@example.org"], *SALES) == {}
    assert suppress([Entry("ada@example.org", Reason.MAILBOX_FULL, ALL, "reply", None)]) == 1
    assert look_up(["ada@example.org"], *SALES) == {"ada@example.org": "mailbox_full"}


def test_lifting_needs_a_reason_and_leaves_who_and_why() -> None:
    suppress([suppression.complaint("ada@example.org", "arf")])
    key = Suppression.objects.get().pk
    with pytest.raises(ValueError, match="reason"):
        suppression.lift(key, "person:dana", " \n")
    assert suppression.lift(key, "person:dana", "She asked for it") is True
    assert suppression.lift(key, "person:dana", "again") is False
    row = Suppression.objects.get()
    assert (row.lifted_by, row.lifted_why, row.lifted_at is not None) == (
        "person:dana",
        "She asked for it",
        True,
    )
    assert look_up(["ada@example.org"], *SALES) == {}
    assert suppress([suppression.complaint("ada@example.org", "arf")]) == 1  # a new story beside the old one
    assert Suppression.objects.count() == 2


def test_the_table_holds_no_address_that_can_be_read_without_the_master_key() -> None:
    suppress([suppression.complaint("ada@example.org", "arf")])
    (row,) = sql.rows("SELECT s::text AS whole FROM reputation_suppression AS s")
    assert "ada" not in row.whole
    assert b"ada".hex() not in row.whole
    assert address_of(Suppression.objects.get()) == "ada@example.org"


def test_erasure_drops_every_spelling_and_keeps_the_person_suppressed() -> None:
    suppress(
        [
            suppression.complaint("ada@example.org", "arf"),
            suppression.hard_bounce("ada+old@example.org", "dsn"),
            suppression.complaint("grace@example.org", "arf"),
        ]
    )
    assert suppression.erase("Ada+any@Example.org") == 2
    assert suppression.erase("ada@example.org") == 0
    kept = [row for row in Suppression.objects.all() if row.address_sealed]
    assert [address_of(row) for row in kept] == ["grace@example.org"]
    assert set(look_up(["ada@example.org", "ada+old@example.org"], *SALES)) == {
        "ada@example.org",
        "ada+old@example.org",
    }


def test_an_erased_address_does_not_come_back_by_another_reason() -> None:
    suppress([suppression.complaint("ada@example.org", "arf")])
    suppression.erase("ada@example.org")
    suppress(
        [
            suppression.complaint("ada@example.org", "arf"),
            suppression.unsubscribed("ada+x@example.org", "agents-sales", "link"),
        ]
    )
    assert Suppression.objects.count() == 2
    assert not any(row.address_sealed for row in Suppression.objects.all())


def test_a_mark_alone_suppresses_a_person() -> None:
    mark = suppression.person_mark("ada+x@example.org")
    assert suppression.suppress_mark(mark, "stream:agents-sales", Reason.UNSUBSCRIBED, "link") is True
    assert suppression.suppress_mark(mark, "stream:agents-sales", Reason.UNSUBSCRIBED, "link") is False
    assert look_up(["ada@example.org"], *SALES) == {"ada@example.org": "unsubscribed"}


@pytest.mark.parametrize("scope", ["everything", "", "run:x"])
def test_an_unknown_scope_is_refused_by_the_database(scope: str) -> None:
    with pytest.raises(IntegrityError):
        suppress([Entry("ada@example.org", Reason.BY_PERSON, scope, "person:dana")])


def test_a_batch_is_one_statement_that_reads_no_more_than_it_asks_for() -> None:
    sql.count(
        """
        INSERT INTO reputation_suppression (mark, person, address_sealed, scope, reason, source, created_at)
        SELECT decode(lpad(to_hex(n), 20, '0'), 'hex'), decode(lpad(to_hex(n), 20, '0'), 'hex'), '', 'all',
               'complaint', 'import', now()
        FROM generate_series(1, 20000) AS n
        """
    )
    suppress([suppression.complaint("p7@example.org", "arf")])
    asked = [f"p{number}@example.org" for number in range(500)]
    assert look_up(asked, *SALES) == {"p7@example.org": "complaint"}
    # as it was planned when the list was empty: sequential scans are not even considered
    given = [mark for address in asked for mark in suppression.marks(address)]
    assert _blocks_read(given) < 5 * len(given)
    assert _blocks_read(given[:1]) < 20


def _blocks_read(given: list[bytes]) -> int:
    plan = sql.rows(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM ao_suppressed(%s::bytea[], 'a', 'agents')",
        [given],
    )
    top = plan[0][0][0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def test_agents_and_all_are_what_the_scopes_are_called() -> None:
    suppress([Entry("ada@example.org", Reason.BY_PERSON, AGENTS, "person:dana")])
    assert look_up(["ada@example.org"], *SALES)
    assert not look_up(["ada@example.org"], *RESETS)
    suppress([Entry("ada@example.org", Reason.BY_PERSON, ALL, "person:dana")])
    assert look_up(["ada@example.org"], *RESETS)


def test_three_messages_to_a_full_mailbox_leave_it_alone_for_a_while() -> None:
    told = [suppression.mailbox_full("ada+x@example.org", "reply") for _ in range(3)]
    assert told == [False, False, True]
    row = Suppression.objects.get()
    assert row.expires_at is not None
    assert timedelta(days=13) < row.expires_at - timezone.now() < timedelta(days=15)
    assert look_up(["ada+x@example.org", "ada@example.org"], *RESETS) == {"ada+x@example.org": "mailbox_full"}
    assert suppression.mailbox_full("ada+x@example.org", "reply") is False  # counted anew


def test_messages_that_end_at_once_are_all_counted() -> None:
    told: list[bool] = []

    def work() -> None:
        told.append(suppression.mailbox_full("ada@example.org", "reply"))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 4 + [True] * 2
