"""A server that refuses for good ends the delivery, with a code of the closed list, and nobody else's."""

import pytest

from tests.walks.harness.inside import NotAccepted
from tests.walks.harness.installation import Installation
from tests.walks.harness.waiting import until

REFUSALS = {
    "nobody@gmail.test": "recipient_unknown",
    "inactive@outlook.test": "recipient_inactive",
    "block@yahoo.test": "reputation_refused",
    "auth@gmail.test": "authentication_refused",  # said after the dot: the server refused, so it is no second dot
}


def test_each_refusal_has_its_code_and_the_others_go_out(house: Installation) -> None:
    deliveries = house.post(*REFUSALS, "ok.neighbour@gmail.test")
    *refused, neighbour = deliveries
    house.until_status(refused, "bounced")
    house.until_status([neighbour], "delivered")
    assert {one.to: house.status(one) for one in refused} == {
        to: ("bounced", code) for to, code in REFUSALS.items()
    }
    house.check_invariants()


def test_who_is_unknown_to_their_own_server_is_mailed_no_more_and_the_others_are(house: Installation) -> None:
    deliveries = house.post("nobody.once@gmail.test", "block.us@yahoo.test")
    house.until_status(deliveries, "bounced")
    until(lambda: house.ask("SELECT id FROM reputation_suppression"), 10, "somebody is suppressed")
    with pytest.raises(NotAccepted, match="recipient_suppressed"):
        house.post("nobody.once@gmail.test")
    assert house.post("block.us@yahoo.test")


@pytest.mark.parametrize("local_part", ["dropdot", "lostdot", "garbage", "reset"])
def test_no_answer_after_the_dot_is_uncertain_and_stays_so(house: Installation, local_part: str) -> None:
    (delivery,) = house.post(f"{local_part}@corp.test")
    house.until_status([delivery], "uncertain")
    assert house.status(delivery) == ("uncertain", "no_reply_after_dot")
    house.check_invariants()
