"""A server that says "later" is believed, and asked again when its time has come."""

from tests.walks.harness.installation import Installation


def test_a_greylisted_message_is_delivered_by_its_second_attempt(here: Installation) -> None:
    here.worker()
    (delivery,) = here.post("grey@corp.test")
    here.until_status([delivery], "deferred")
    assert not here.oracle()
    here.shift_clock(6 * 60)  # greylists are asked again after five minutes and a fifth at most
    here.until_status([delivery], "delivered")
    attempts = here.ask("SELECT number, reply_code, outcome FROM outbox_attempt ORDER BY number")
    assert [(row.number, row.reply_code, row.outcome) for row in attempts] == [
        (1, 451, "deferred"),
        (2, 250, "delivered"),
    ]
    assert here.check_invariants().dots == 1


def test_a_full_mailbox_waits_and_is_not_asked_before_its_time(here: Installation) -> None:
    here.worker()
    full, other = here.post("full@gmail.test", "ok@gmail.test")
    here.until_status([full], "deferred")
    here.shift_clock(6 * 60)
    here.until_status([other], "delivered")
    (later,) = here.post("ok@gmail.test")
    here.until_status([later], "delivered")  # the worker has looked, and left the full one alone
    assert here.status(full) == ("deferred", "mailbox_full")
    attempts = here.ask("SELECT number FROM outbox_attempt WHERE delivery_id = %s", full.delivery)
    assert len(attempts) == 1
    here.check_invariants()
