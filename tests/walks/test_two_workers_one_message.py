"""Two workers that look for the same message at the same time: one of them sends it."""

from tests.walks.harness.installation import Installation

ROUNDS = 20


def test_each_message_is_claimed_by_one_of_them(here: Installation) -> None:
    first, second = here.worker(), here.worker()
    for number in range(ROUNDS):
        (delivery,) = here.post(f"ok.{number}@gmail.test")
        here.inside.ring()
        here.until_status([delivery], "delivered")
    claims = here.ask("SELECT delivery_id FROM outbox_event WHERE kind = 'claimed'")
    assert len(claims) == ROUNDS
    assert first.alive
    assert second.alive
    assert here.check_invariants().dots == ROUNDS
