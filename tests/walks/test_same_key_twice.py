"""The same idempotency key from fifty threads at once (F38): one message, and every answer speaks of it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.walks.harness.installation import Answer, Installation

THREADS = 50
DRAFT = {"to": "ok.once@gmail.test", "subject": "Once", "text": "Only once."}


def test_fifty_posts_with_one_key_make_one_message(house: Installation) -> None:
    start = Barrier(THREADS)
    headers = {"Idempotency-Key": f"walk-{house.name}"}

    def post(_: int) -> Answer:
        start.wait()
        return house.http("/v1/messages", DRAFT, **headers)

    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(post, range(THREADS)))
    accepted = [answer for answer in answers if answer.status == 202]
    others = Counter((answer.status, answer.body["code"]) for answer in answers if answer.status != 202)
    print(f"\n{len(accepted)} times 202, {dict(others)}")
    assert len({answer.body["id"] for answer in accepted}) == 1
    assert others.keys() <= {(409, "idempotency_in_progress")}
    assert sum("idempotent-replayed" not in answer.headers for answer in accepted) == 1
    (delivery,) = house.note(accepted[0].body)
    house.until_status([delivery], "delivered")

    # later: the same answer to the same body, and none to another
    again = house.http("/v1/messages", DRAFT, **headers)
    assert (again.status, again.body) == (202, accepted[0].body)
    other = house.http("/v1/messages", DRAFT | {"subject": "Twice"}, **headers)
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
    house.check_invariants()
